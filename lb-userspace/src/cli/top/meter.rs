//! Rates, made of counters that are read again and again.

use std::collections::{HashMap, VecDeque};

use crate::api::{InterfaceTraffic, Overview, Traffic};

/// Rates that a trend remembers.
const REMEMBERED: usize = 240;

/// A counter with its rate.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    last: Option<u64>,
    rate: Option<f64>,
    trend: VecDeque<f64>,
}

impl Meter {
    /// Takes in what the counter says, so many seconds after the last time; `None`: rates cannot be told this time.
    fn feed(&mut self, count: u64, seconds: Option<f64>) {
        let more = self.last.replace(count).and_then(|last| count.checked_sub(last));
        self.rate = match (more, seconds) {
            (Some(more), Some(seconds)) => Some(more as f64 / seconds),
            _ => None,
        };
        if let Some(rate) = self.rate {
            if self.trend.len() == REMEMBERED {
                self.trend.pop_front();
            }
            self.trend.push_back(rate);
        }
    }

    /// Per second; `None`: not known yet.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// The last rates, the oldest first.
    pub(super) fn trend(&self) -> Vec<f64> {
        self.trend.iter().copied().collect()
    }
}

/// The counters of something that forwards.
#[derive(Clone, Debug, Default)]
pub(super) struct TrafficMeter {
    pub(super) packets_in: Meter,
    pub(super) bytes_in: Meter,
    pub(super) packets_out: Meter,
    pub(super) bytes_out: Meter,
    pub(super) flows: Meter,
}

impl TrafficMeter {
    fn feed(&mut self, traffic: &Traffic, seconds: Option<f64>) {
        let Traffic { packets_in, bytes_in, packets_out, bytes_out, flows } = *traffic;
        self.packets_in.feed(packets_in, seconds);
        self.bytes_in.feed(bytes_in, seconds);
        self.packets_out.feed(packets_out, seconds);
        self.bytes_out.feed(bytes_out, seconds);
        self.flows.feed(flows, seconds);
    }
}

/// The counters of an interface.
#[derive(Clone, Debug, Default)]
pub(super) struct InterfaceMeter {
    pub(super) rx_packets: Meter,
    pub(super) rx_bytes: Meter,
    pub(super) tx_packets: Meter,
    pub(super) tx_bytes: Meter,
    pub(super) passed: Meter,
    pub(super) dropped: Meter,
}

impl InterfaceMeter {
    fn feed(&mut self, traffic: &InterfaceTraffic, seconds: Option<f64>) {
        self.rx_packets.feed(traffic.rx_packets, seconds);
        self.rx_bytes.feed(traffic.rx_bytes, seconds);
        self.tx_packets.feed(traffic.tx_packets, seconds);
        self.tx_bytes.feed(traffic.tx_bytes, seconds);
        self.passed.feed(traffic.passed, seconds);
        self.dropped.feed(traffic.dropped, seconds);
    }
}

/// All rates that are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Meters {
    /// When the counters were read, in milliseconds since `lbd` started.
    at: Option<u64>,
    pub(super) total: TrafficMeter,
    pub(super) dropped: Meter,
    pub(super) services: HashMap<String, TrafficMeter>,
    /// By service and backend.
    pub(super) backends: HashMap<(String, String), TrafficMeter>,
    pub(super) drops: HashMap<String, Meter>,
    pub(super) interfaces: HashMap<String, InterfaceMeter>,
}

impl Meters {
    /// Takes in what was read. What is not there any more is forgotten.
    pub(super) fn feed(&mut self, seen: &Overview) {
        // An lbd that was started again counts its time anew: nobody knows how long it was away.
        let elapsed = self.at.replace(seen.milliseconds).and_then(|last| seen.milliseconds.checked_sub(last));
        let seconds = elapsed.filter(|elapsed| *elapsed > 0).map(|elapsed| elapsed as f64 / 1e3);
        self.total.feed(&seen.totals, seconds);
        self.dropped.feed(seen.dropped, seconds);
        let stats = &seen.stats;
        let services = stats.services.iter().map(|row| (row.service.clone(), &row.traffic));
        feed(&mut self.services, services, |meter, traffic| meter.feed(traffic, seconds));
        let backends =
            stats.backends.iter().map(|row| ((row.service.clone(), row.backend.clone()), &row.traffic));
        feed(&mut self.backends, backends, |meter, traffic| meter.feed(traffic, seconds));
        let drops = seen.drops.iter().map(|drop| (drop.reason.clone(), drop.packets));
        // A reason that was never counted is not listed: its first packets are rated, too.
        let fresh = || Meter { last: Some(0), ..Meter::default() };
        let mut known = std::mem::take(&mut self.drops);
        for (reason, packets) in drops {
            let mut meter = known.remove(&reason).unwrap_or_else(fresh);
            meter.feed(packets, seconds);
            self.drops.insert(reason, meter);
        }
        let interfaces = stats.interfaces.iter().map(|row| (row.name.clone(), row));
        feed(&mut self.interfaces, interfaces, |meter, traffic| meter.feed(traffic, seconds));
    }
}

fn feed<K: std::hash::Hash + Eq, M: Default, C>(
    meters: &mut HashMap<K, M>,
    counts: impl Iterator<Item = (K, C)>,
    take: impl Fn(&mut M, C),
) {
    let mut known = std::mem::take(meters);
    for (key, count) in counts {
        let mut meter = known.remove(&key).unwrap_or_default();
        take(&mut meter, count);
        meters.insert(key, meter);
    }
}
