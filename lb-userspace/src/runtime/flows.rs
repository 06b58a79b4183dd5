//! Scans the flow tables about once a second.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lb_common::abi::BackendState;
use tokio::sync::watch;

use super::{Clock, follow, resets};
use crate::{
    control::{Event, Handle, Snapshot},
    events::Bus,
    flows::{FlowMaps, Follower, Report, Scanner, scan_threads},
};

/// Between the starts of two scans, unless that would take more than a fifth of a CPU.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the last scan found.
#[derive(Clone, Debug, Default)]
pub(super) struct LastReport(Arc<Mutex<Arc<Report>>>);

impl LastReport {
    pub(super) fn latest(&self) -> Arc<Report> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, report: Report) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(report);
    }
}

/// Scans until control ends.
pub(super) async fn run(control: Handle, events: Bus, maps: Arc<FlowMaps>, last: LastReport, clock: Clock) {
    let (mut scanner, mut follower) = (Scanner::default(), Follower::default());
    let mut failing = false;
    let mut snapshots = control.watch();
    let mut out = taken_out(&snapshots.borrow_and_update());
    loop {
        let (begin, began) = (clock.now(), clock.instant());
        let scanned = Arc::clone(&maps);
        let asked = follow::is_asked(&events);
        let scan = tokio::task::spawn_blocking(move || {
            let tick = clock.tick();
            let followed = follow::look(&mut follower, asked, &scanned, tick);
            let outcome = scanner.scan(&scanned, tick);
            (scanner, follower, followed, outcome)
        });
        let Ok((scanner_back, follower_back, followed, outcome)) = scan.await else { return };
        (scanner, follower) = (scanner_back, follower_back);
        if let Some(followed) = followed {
            follow::tell(&events, &followed, &control.snapshot(), clock.moment().wall);
        }
        match outcome {
            Ok(mut report) => {
                failing = false;
                resets::ask(std::mem::take(&mut report.endings), &maps, clock).await;
                for id in &report.released {
                    if control.report(Event::BackendReleased { id: *id }).await.is_err() {
                        return;
                    }
                }
                if let Some(flows) = of_drained(&control, &report)
                    && control.report(Event::Census { began, flows }).await.is_err()
                {
                    return;
                }
                last.replace(report);
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "cannot scan the flow tables; trying again every second");
            }
            Err(_) => {}
        }
        if control.report(Event::Tick).await.is_err() {
            return;
        }
        let took = clock.now().saturating_sub(begin);
        let pause = INTERVAL.saturating_sub(took).max(took * (5 * scan_threads() - 1));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = more_taken_out(&mut snapshots, &mut out), if pause <= INTERVAL => {}
        }
    }
}

/// Flows that have not ended of the backends that are drained; nothing if none is.
fn of_drained(control: &Handle, report: &Report) -> Option<BTreeMap<u32, u64>> {
    let snapshot = control.snapshot();
    let open = report.flows.iter().filter(|((_, backend), _)| snapshot.drains.contains_key(backend));
    let mut flows = BTreeMap::new();
    for ((_, backend), counts) in open {
        *flows.entry(*backend).or_default() += counts.open();
    }
    (!snapshot.drains.is_empty()).then_some(flows)
}

/// Returns when backends were taken out, whose connections may have to be reset at once.
async fn more_taken_out(snapshots: &mut watch::Receiver<Arc<Snapshot>>, out: &mut usize) {
    while snapshots.changed().await.is_ok() {
        let before = std::mem::replace(out, taken_out(&snapshots.borrow_and_update()));
        if *out > before {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// The number of backends that take no packets.
fn taken_out(snapshot: &Snapshot) -> usize {
    let takes = |state| matches!(state, BackendState::Active | BackendState::Draining);
    snapshot.backends().filter(|(_, backend)| !takes(backend.state)).count() + snapshot.releasing.len()
}
