//! Rounds of a case: those that the prober saw clearly count.

use std::{array, fs, time::Duration};

use anyhow::{Context, Result, bail, ensure};

pub(super) use super::super::figures::{maximum, median};
use super::super::{Required, Row, number};
use crate::{
    client::Seen,
    config::Mode,
    duo::{Duo, Mover, Setup},
};

/// A round counts if its outage is known to so much, and the prober was never late by more. A prober that asks each millisecond knows it
/// to two milliseconds at best.
const CLEAR: Duration = Duration::from_millis(5);
/// So many rounds may be needed for one that counts, on average.
const ATTEMPTS: u64 = 3;

/// Both modes as the documentation has them: in `full-nat` the nodes tell each other their flows, so that neither gives a SNAT port away that the other
/// one uses.
pub(super) const MODES: [Setup; 2] =
    [Setup::NAT, Setup { mode: Mode::FullNat, replicated: true, ..Setup::NAT }];

/// A mode of [`MODES`] for people.
pub(super) fn mode_of(setup: &Setup) -> String {
    let with = if setup.replicated { " with replication" } else { "" };
    format!("{}{with}", setup.mode.name())
}

/// What was seen in the rounds that count.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    wanted: u64,
    seen: Vec<[Seen; 2]>,
    /// Rounds that do not count as the prober itself was late.
    unclear: u64,
}

impl Rounds {
    /// None yet of so many.
    pub(super) fn new(wanted: u64) -> Self {
        Self { wanted, seen: Vec::new(), unclear: 0 }
    }

    /// Adds a round, as it was seen within one flow and with new ones, unless there are enough. One that was not seen clearly is to be
    /// repeated.
    pub(super) fn add(&mut self, seen: [Seen; 2]) -> Result<()> {
        if self.is_done() {
            return Ok(());
        }
        if seen.iter().all(|seen| seen.blur <= CLEAR && seen.stall <= CLEAR) {
            self.seen.push(seen);
            return Ok(());
        }
        self.unclear += 1;
        ensure!(
            self.unclear <= self.wanted * ATTEMPTS,
            "{} of {} rounds say nothing, as the prober was late: the machine is too busy",
            self.unclear,
            self.unclear + self.done()
        );
        Ok(())
    }

    /// Whether there are enough.
    pub(super) fn is_done(&self) -> bool {
        self.done() >= self.wanted
    }

    /// Rounds that count.
    pub(super) fn done(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Median and maximum of the time without an answer.
    pub(super) fn outages(&self, case: &str, required: [Required; 2]) -> Vec<Row> {
        let times = self.times();
        let case = format!("{case}, {}: without an answer", self.title());
        vec![
            Row::new(format!("{case}, median"), median(&times), "ms", required[0]),
            Row::new(format!("{case}, maximum"), maximum(&times), "ms", required[1]),
        ]
    }

    /// By how many milliseconds rounds were longer without an answer than those of the same numbers of `other`, one by one.
    pub(super) fn longer_than(&self, other: &Self) -> Vec<f64> {
        self.times().iter().zip(other.times()).map(|(own, other)| own - other).collect()
    }

    /// Milliseconds without an answer.
    fn times(&self) -> Vec<f64> {
        let longest = |[one, new]: &[Seen; 2]| one.outage.max(new.outage).as_secs_f64() * 1e3;
        self.seen.iter().map(longest).collect()
    }

    /// Probes lost: median of the rounds, and maximum.
    pub(super) fn losses(&self, case: &str, required: Required) -> Vec<Row> {
        let mut rows = Vec::new();
        for (index, flows) in ["one flow", "new flows"].into_iter().enumerate() {
            let lost: Vec<f64> = self.seen.iter().map(|seen| number(seen[index].lost)).collect();
            let case = format!("{case}, {}: lost of {flows}", self.title());
            rows.push(Row::new(format!("{case}, median"), median(&lost), "probes", required));
            rows.push(Row::new(format!("{case}, maximum"), maximum(&lost), "probes", required));
        }
        rows
    }

    fn title(&self) -> String {
        let unclear = if self.unclear > 0 { format!(" ({} unclear)", self.unclear) } else { String::new() };
        format!("{} rounds{unclear}", self.done())
    }
}

/// Does rounds with `lbd` and with keepalived in turn, adverts each 100 ms, until there are `count` of each of `N` kinds with both.
pub(super) fn compare<const N: usize>(
    count: u64,
    mut round: impl FnMut(&mut Duo, &mut [Rounds; N]) -> Result<()>,
) -> Result<[[Rounds; N]; 2]> {
    let start = |mover| Duo::start(Setup { mover, ..Setup::default() });
    let mut duos = [start(Mover::Own)?, start(Mover::Keepalived)?];
    let mut rounds: [[Rounds; N]; 2] = array::from_fn(|_| array::from_fn(|_| Rounds::new(count)));
    while !rounds.iter().flatten().all(Rounds::is_done) {
        for (duo, rounds) in duos.iter_mut().zip(&mut rounds) {
            if !rounds.iter().all(Rounds::is_done) {
                round(duo, rounds).with_context(|| format!("with {}", duo.setup.mover.name()))?;
            }
        }
    }
    Ok(rounds)
}

/// A thread of a node's `lbd`.
pub(super) fn thread_of(duo: &Duo, node: usize, name: &str) -> Result<u32> {
    let id = duo.daemons[node].process_id().context("lbd does not run")?;
    for thread in fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
        if fs::read_to_string(thread.path().join("comm"))?.trim() == name {
            return Ok(thread.file_name().to_string_lossy().parse()?);
        }
    }
    bail!("lbd has no thread {name:?}")
}

/// Processor time of a thread of a node's `lbd` so far, in seconds (`/proc/PID/task/TID/schedstat`: nanoseconds first).
pub(super) fn thread_time(duo: &Duo, node: usize, name: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", thread_of(duo, node, name)?))?;
    let time = text.split_whitespace().next().context("/proc has another form")?;
    Ok(number(time.parse()?) / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_with_a_late_prober_are_repeated_and_told() {
        let mut rounds = Rounds::new(3);
        for number in 1..=6 {
            let stall = Duration::from_millis(if number % 2 == 0 { 20 } else { 1 });
            let one = Seen { stall, lost: number, ..Seen::default() };
            rounds.add([one, Seen::default()]).unwrap();
        }
        assert!(rounds.is_done());
        let rows = rounds.losses("case", Required::Exactly(0.0));
        assert_eq!(rows[0].what, "case, 3 rounds (2 unclear): lost of one flow, median");
        assert_eq!((rows[0].figure, rows[1].figure, rows[3].figure), (3.0, 5.0, 0.0));
    }

    #[test]
    fn a_machine_that_is_too_busy_is_no_result() {
        let late = Seen { blur: Duration::from_secs(1), ..Seen::default() };
        let mut rounds = Rounds::new(1);
        let results: Vec<bool> = (0..4).map(|_| rounds.add([Seen::default(), late]).is_ok()).collect();
        assert_eq!(results, [true, true, true, false]);
    }
}
