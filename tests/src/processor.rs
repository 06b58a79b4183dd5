//! Where threads run, and for how long they did.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Keeps the calling thread on a processor.
///
/// # Errors
///
/// If there is no such processor.
pub fn stay_on(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor).with_context(|| format!("processor {processor}"))?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("cannot keep this thread on processor {processor}"))
}

/// Processor time that all threads of a process have taken which it still has.
///
/// # Errors
///
/// If it is gone, or the kernel keeps no statistics of the scheduler.
pub fn time_of(process: u32) -> Result<Duration> {
    let directory = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&directory).with_context(|| directory.clone())?;
    tasks.flatten().map(|task| of_thread(&task.path().join("schedstat"))).sum()
}

fn of_thread(path: &Path) -> Result<Duration> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    nanos.map(Duration::from_nanos).with_context(|| format!("{}: no time in {text:?}", path.display()))
}
