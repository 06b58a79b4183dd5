//! Which thread runs where.

use anyhow::{Context, Result};
use lb_tests::command;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, gettid},
};

/// Keeps a thread on a processor; 0 is the calling thread.
///
/// # Errors
///
/// If there is no such processor, or the thread is gone.
pub fn pin(thread: u32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("processor {cpu}"))?;
    sched_setaffinity(Pid::from_raw(thread.cast_signed()), &set)
        .with_context(|| format!("cannot keep thread {thread} on processor {cpu}"))
}

/// Lets a thread run before all that have no such priority, or a lower one; 1 is the lowest.
///
/// # Errors
///
/// If the thread is gone.
pub fn prefer(thread: u32, priority: u8) -> Result<()> {
    command::sh(&format!("chrt --fifo --pid {priority} {thread}")).map(drop)
}

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
