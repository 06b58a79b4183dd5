//! Scans the flow tables about once a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::Clock;
use crate::{
    control::{Event, Handle},
    flows::{FlowMaps, Report, Scanner, scan_threads},
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
pub(super) async fn run(control: Handle, maps: Arc<FlowMaps>, last: LastReport, clock: Clock) {
    let mut scanner = Scanner::default();
    let mut failing = false;
    loop {
        let begin = clock.now();
        let maps = Arc::clone(&maps);
        let scan = tokio::task::spawn_blocking(move || {
            let outcome = scanner.scan(&maps, clock.tick());
            (scanner, outcome)
        });
        let Ok((scanner_back, outcome)) = scan.await else { return };
        scanner = scanner_back;
        match outcome {
            Ok(report) => {
                failing = false;
                for id in &report.released {
                    if control.report(Event::BackendReleased { id: *id }).await.is_err() {
                        return;
                    }
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
        tokio::time::sleep(INTERVAL.saturating_sub(took).max(took * (5 * scan_threads() - 1))).await;
    }
}
