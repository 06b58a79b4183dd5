//! Where threads run, and for how long they did.

use std::{ffi::OsStr, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::command;

/// Keeps the calling thread on a processor.
///
/// # Errors
///
/// If there is no such processor.
pub fn stay_on(processor: usize) -> Result<()> {
    pin(0, processor)
}

/// Keeps a thread on a processor; 0 is the calling thread.
///
/// # Errors
///
/// If there is no such processor, or the thread is gone.
pub fn pin(thread: u32, processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor).with_context(|| format!("processor {processor}"))?;
    sched_setaffinity(Pid::from_raw(thread.cast_signed()), &set)
        .with_context(|| format!("cannot keep thread {thread} on processor {processor}"))
}

/// Lets a thread run before all that have no such priority, or a lower one; 1 is the lowest.
///
/// # Errors
///
/// If the thread is gone.
pub fn prefer(thread: u32, priority: u8) -> Result<()> {
    command::sh(&format!("chrt --fifo --pid {priority} {thread}")).map(drop)
}

/// The threads of a process.
///
/// # Errors
///
/// If it is gone.
pub fn threads_of(process: u32) -> Result<Vec<u32>> {
    let directory = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&directory).with_context(|| directory.clone())?;
    let number = |name: &OsStr| name.to_str().and_then(|name| name.parse().ok());
    tasks.flatten().map(|task| number(&task.file_name()).context("a thread without a number")).collect()
}

/// Processor time that all threads of a process have taken which it still has.
///
/// # Errors
///
/// If it is gone, or the kernel keeps no statistics of the scheduler.
pub fn time_of(process: u32) -> Result<Duration> {
    let schedstat = |thread| of_thread(Path::new(&format!("/proc/{process}/task/{thread}/schedstat")));
    threads_of(process)?.into_iter().map(schedstat).sum()
}

fn of_thread(path: &Path) -> Result<Duration> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    nanos.map(Duration::from_nanos).with_context(|| format!("{}: no time in {text:?}", path.display()))
}
