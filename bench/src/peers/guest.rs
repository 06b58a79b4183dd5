//! IPVS beside ours, in a guest with a kernel that has it.

use anyhow::Result;

use crate::{finding::Findings, part::Run};

/// Measures in the guest.
///
/// # Errors
///
/// If the guest does not boot or does not finish.
pub fn run(_run: &mut Run<'_>) -> Result<Findings> {
    Ok(Findings::nothing("IPVS: not measured yet"))
}
