//! How fast the daemon is: slot tables, events, loads, changes, metrics, expiry.

mod daemon;
mod events;
pub mod fill;
mod scan;

pub(crate) use daemon::changes;

use anyhow::Result;

use crate::{finding::Findings, part::Run};

const STEPS: usize = 6;

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    run.step("slot tables and events", 0, STEPS);
    fill::measure(run.depth, &mut findings);
    events::measure(run.depth, &mut findings)?;
    run.step("10 000 services", 1, STEPS);
    daemon::load_and_change(run.depth, &mut findings)?;
    run.step("metrics", 3, STEPS);
    daemon::scrape(run.depth, &mut findings)?;
    run.step("a million flows", 4, STEPS);
    scan::measure(run.depth, &mut findings)?;
    Ok(findings)
}
