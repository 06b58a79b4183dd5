//! Reads the counters for the charts of the last hour.

use std::sync::{Arc, Mutex, PoisonError};

use lb_common::abi::DropReason;
use tokio::time::{MissedTickBehavior, interval};

use super::{Clock, data::Data};
use crate::{
    control::Handle,
    flows::Report,
    history::{EVERY, Figures, History, Point, Rate, SERVICES},
    maps::Totals,
    model::ServiceName,
};

/// What happened in the last hour.
#[derive(Clone, Debug, Default)]
pub(super) struct LastHour(Arc<Mutex<History>>);

impl LastHour {
    pub(super) fn rates(&self, service: Option<&ServiceName>) -> Vec<Rate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rates(service)
    }

    fn record(&self, point: Point) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(point);
    }
}

/// Reads them until it is ended.
pub(super) async fn run(control: Handle, data: Arc<Data>, clock: Clock) {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        turns.tick().await;
        let (read, control) = (Arc::clone(&data), control.clone());
        let point = tokio::task::spawn_blocking(move || {
            let totals = read.counters.read_services()?;
            Ok::<_, crate::maps::MapError>(point(&control, &totals, &read.last.latest(), clock))
        });
        match point.await {
            Ok(Ok(point)) => data.history.record(point),
            Ok(Err(error)) => tracing::debug!(%error, "the history lacks a point"),
            Err(_) => return,
        }
    }
}

fn point(control: &Handle, totals: &Totals, report: &Report, clock: Clock) -> Point {
    let snapshot = control.snapshot();
    let mut all = Figures {
        drops: DropReason::ALL.iter().map(|reason| totals.drops(*reason)).sum(),
        ..Figures::default()
    };
    let mut services = Vec::new();
    for service in &snapshot.services {
        let figures = figures(service.id, totals, report);
        all.traffic += figures.traffic;
        all.active_flows += figures.active_flows;
        if services.len() < SERVICES {
            services.push((service.desired.name.clone(), figures));
        }
    }
    let moment = clock.moment();
    Point { now: clock.now(), at: moment.wall, all, services }
}

fn figures(service: u16, totals: &Totals, report: &Report) -> Figures {
    let flows = report.flows.range((service, 0)..=(service, u32::MAX));
    Figures {
        traffic: totals.service(service),
        active_flows: flows.map(|(_, counts)| counts.established + counts.embryonic).sum(),
        drops: 0,
    }
}
