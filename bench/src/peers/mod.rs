//! Others on the same topology, in the same run.

pub mod guest;

use anyhow::Result;

use crate::{finding::Findings, part::Run};

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    guest::run(run)
}
