//! Which thread runs where.

use anyhow::{Context, Result};
pub use lb_tests::processor::{pin, prefer};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, gettid},
};

/// The calling thread.
#[must_use]
pub fn this_thread() -> u32 {
    gettid().as_raw().cast_unsigned()
}

/// Keeps the calling thread on a processor until it is dropped.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// Pins the calling thread.
    ///
    /// # Errors
    ///
    /// If there is no such processor.
    pub fn here(cpu: usize) -> Result<Self> {
        let before = sched_getaffinity(Pid::from_raw(0)).context("where may this thread run?")?;
        pin(0, cpu)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}
