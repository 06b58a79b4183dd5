//! The traffic of the last hour, for charts: counters that were read at intervals, from which rates are made when somebody asks. No clock
//! and no I/O.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use lb_common::abi::TrafficCounters;

use crate::model::{ServiceName, Timestamp};

/// Time between two points.
pub const EVERY: Duration = Duration::from_secs(5);
/// Points that are kept: an hour of rates.
pub const KEPT: usize = 721;
/// Most services that have a history of their own, the first ones of the configuration: with more than that an hour would take
/// hundreds of megabytes.
pub const SERVICES: usize = 100;

/// Counters since the maps were made, and the flows at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What was forwarded, and the flows that began.
    pub traffic: TrafficCounters,
    /// Flows that live.
    pub active_flows: u64,
    /// Dropped packets; 0 for a service.
    pub drops: u64,
}

/// What was read at a moment.
#[derive(Clone, Debug)]
pub struct Point {
    /// Monotonic time.
    pub now: Duration,
    /// What the clock on the wall said.
    pub at: Timestamp,
    /// All services together.
    pub all: Figures,
    /// The first [`SERVICES`] of them.
    pub services: Vec<(ServiceName, Figures)>,
}

impl Point {
    fn of(&self, service: Option<&ServiceName>) -> Option<&Figures> {
        match service {
            None => Some(&self.all),
            Some(name) => self.services.iter().find(|(known, _)| known == name).map(|(_, figures)| figures),
        }
    }
}

/// Rates between two points, at the later one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// When.
    pub at: Timestamp,
    /// Packets from clients per second.
    pub packets_in: f64,
    /// Bytes of these per second.
    pub bytes_in: f64,
    /// Packets to clients per second.
    pub packets_out: f64,
    /// Bytes of these per second.
    pub bytes_out: f64,
    /// Flows that began per second.
    pub flows: f64,
    /// Flows that lived.
    pub active_flows: u64,
    /// Dropped packets per second.
    pub drops: f64,
}

/// The points of the last hour.
#[derive(Debug, Default)]
pub struct History {
    points: VecDeque<Point>,
}

impl History {
    /// Adds a point, and forgets the oldest if there are [`KEPT`].
    pub fn record(&mut self, point: Point) {
        if self.points.len() == KEPT {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// The rates of all services together, or of one; where it was not there, there are none.
    #[must_use]
    pub fn rates(&self, service: Option<&ServiceName>) -> Vec<Rate> {
        let pairs = self.points.iter().zip(self.points.iter().skip(1));
        pairs.filter_map(|(before, after)| between(before, after, service)).collect()
    }
}

fn between(before: &Point, after: &Point, service: Option<&ServiceName>) -> Option<Rate> {
    let seconds = after.now.saturating_sub(before.now).as_secs_f64();
    let (old, new) = (before.of(service)?, after.of(service)?);
    if seconds <= 0.0 {
        return None;
    }
    // Counters begin anew with the maps, and with the id of a service that was removed.
    let rate = |count: fn(&Figures) -> u64| per_second(count(new).saturating_sub(count(old)), seconds);
    Some(Rate {
        at: after.at,
        packets_in: rate(|figures| figures.traffic.packets_in),
        bytes_in: rate(|figures| figures.traffic.bytes_in),
        packets_out: rate(|figures| figures.traffic.packets_out),
        bytes_out: rate(|figures| figures.traffic.bytes_out),
        flows: rate(|figures| figures.traffic.flows),
        active_flows: new.active_flows,
        drops: rate(|figures| figures.drops),
    })
}

/// To a thousandth, which is more than a chart shows.
#[expect(clippy::cast_precision_loss, reason = "what passes in some seconds is far below 2^52")]
fn per_second(count: u64, seconds: f64) -> f64 {
    (count as f64 / seconds * 1e3).round() / 1e3
}
