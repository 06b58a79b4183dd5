//! Timing of wrapped programs in interleaved rounds.

use std::{collections::BTreeMap, os::fd::AsFd};

use anyhow::{Context, Result, ensure};
use lb_tests::packets::world::CLIENTS;
use lb_userspace::sys::bpf::test_run;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

use super::programs::{Template, Wrapped, pass};
use crate::statistics::median;

/// A program to time with a frame.
#[derive(Debug)]
pub(super) struct Subject {
    template: Template,
    wrapped: Wrapped,
    /// The same wrapper around `return XDP_PASS`: what is not the program's own cost.
    empty: Wrapped,
    action: u32,
    repeat: u32,
}

/// Nanoseconds a packet, net of the wrapper, of every round.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Vec<f64>);

impl Subject {
    /// A wrapped program that is to return `action`, run `repeat` times in each round.
    pub(super) fn new(template: Template, wrapped: Wrapped, action: u32, repeat: u32) -> Result<Self> {
        let empty = pass().load()?;
        let empty = Wrapped::new(&template, empty.as_fd())?;
        Ok(Self { template, wrapped, empty, action, repeat })
    }

    /// How often `rounds` rounds and the one before them run the program.
    pub(super) fn repetitions(&self, rounds: usize) -> u64 {
        u64::from(self.repeat) * (rounds as u64 + 1)
    }

    /// Times one round; nanoseconds a packet.
    fn round(&self) -> Result<f64> {
        let whole = self.time(&self.wrapped, Some(self.action))?;
        let empty = self.time(&self.empty, None)?;
        Ok(whole - empty)
    }

    fn time(&self, wrapped: &Wrapped, action: Option<u32>) -> Result<f64> {
        let before = thread_nanos()?;
        let run = test_run(wrapped.program.as_fd(), CLIENTS, &self.template.frame, self.repeat)?;
        let nanos = thread_nanos()? - before;
        if let Some(action) = action {
            ensure!(run.action == action, "XDP action {}, expected {action}", run.action);
        }
        Ok(nanos as f64 / f64::from(self.repeat))
    }
}

/// Times the subjects in turn, `rounds` times. To be called in the bed's namespace.
///
/// `progress` is told the number of the round.
pub(super) fn interleave(
    subjects: &BTreeMap<String, Subject>,
    rounds: usize,
    mut progress: impl FnMut(usize),
) -> Result<BTreeMap<String, Times>> {
    pin()?;
    let mut times: BTreeMap<String, Times> = BTreeMap::new();
    for (name, subject) in subjects {
        subject.round().with_context(|| name.clone())?;
    }
    for round in 0..rounds {
        progress(round);
        for (name, subject) in subjects {
            let nanos = subject.round().with_context(|| name.clone())?;
            times.entry(name.clone()).or_default().0.push(nanos);
        }
    }
    Ok(times)
}

impl Times {
    /// The median.
    pub(super) fn median(&self) -> f64 {
        median(&self.0)
    }

    /// The least.
    pub(super) fn minimum(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The median of the ratios of single rounds.
    pub(super) fn ratio(&self, floor: &Self) -> f64 {
        median(&self.0.iter().zip(&floor.0).map(|(ours, floor)| ours / floor).collect::<Vec<_>>())
    }
}

/// Keeps this thread on the last CPU: the first one has the most interrupts.
fn pin() -> Result<()> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(cpus - 1)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("cannot pin the thread")
}

fn thread_nanos() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
