//! How fast the daemon is: slot tables, events, loads, changes, metrics, expiry, health checks.

mod daemon;
mod events;
pub mod fill;
mod probes;
mod scan;

pub(crate) use daemon::changes;

use anyhow::Result;

use crate::{
    finding::Findings,
    part::{Depth, Run},
};

/// What is measured of it.
type Step = fn(Depth, &mut Findings) -> Result<()>;

const STEPS: [(&str, Step); 6] = [
    ("slot tables", |depth, findings| {
        fill::measure(depth, findings);
        Ok(())
    }),
    ("events", events::measure),
    ("10 000 services", daemon::load_and_change),
    ("metrics", daemon::scrape),
    ("a million flows", scan::measure),
    ("10 000 checks a second", probes::measure),
];

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    for (done, (name, step)) in STEPS.into_iter().enumerate() {
        if run.wants(name) {
            run.step(name, done, STEPS.len());
            step(run.depth, &mut findings)?;
        }
    }
    Ok(findings)
}
