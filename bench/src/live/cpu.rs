//! Which thread runs where.

use anyhow::{Context, Result};
use lb_tests::command;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
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

/// Lets a thread run before all that have no such priority.
///
/// # Errors
///
/// If the thread is gone.
pub fn prefer(thread: u32) -> Result<()> {
    command::sh(&format!("chrt --fifo --pid 1 {thread}")).map(drop)
}
