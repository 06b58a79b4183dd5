//! When it is done, and what follows when it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_common::abi::NextHop;

use super::drift::drift;
use super::{Drift, DriftCounts, DriftKind, diff};
use crate::maps::{LbMaps, MapError, Operation, Part};
use crate::plan::MapImage;

/// How patient a [`Reconciler`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Pause after the first failure; it doubles with each further one in a row.
    pub first_retry: Duration,
    /// Longest pause.
    pub longest_retry: Duration,
    /// Between the starts of two rounds that read the maps to see whether somebody else changed them.
    pub full_round: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_millis(50),
            longest_retry: Duration::from_secs(5),
            full_round: Duration::from_secs(30),
        }
    }
}

/// What one [`Reconciler::run`] did.
#[derive(Debug, Default)]
pub struct Round {
    /// Operations done.
    pub applied: usize,
    /// What was found that somebody else did to the maps.
    pub drift: Vec<Drift>,
    /// Why it ended early; it is tried again by itself.
    pub error: Option<MapError>,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Operations done.
    pub applied: u64,
    /// Runs that ended with an error.
    pub failures: u64,
    /// Elements that were put right because somebody else changed the maps.
    pub drift: DriftCounts,
    /// Rounds through all maps that were completed.
    pub rounds: u64,
}

/// Keeps the maps at a desired image.
#[derive(Debug)]
pub struct Reconciler {
    policy: Policy,
    desired: Option<Arc<MapImage>>,
    complete: bool,
    /// What the maps hold as far as is known; `None` before the first dump and after a failure.
    known: Option<MapImage>,
    fib_generation: Option<u32>,
    /// Something was changed, or perhaps changed, that flows go by, and the generation was not raised since.
    stale: bool,
    converged: bool,
    failures_in_a_row: u32,
    not_before: Option<Instant>,
    full_round_at: Option<Instant>,
    /// Parts of the round under way that were not looked at yet, the next one last.
    unchecked: Vec<Part>,
    statistics: Statistics,
}

impl Reconciler {
    /// One that knows nothing yet and does nothing before [`Reconciler::desire`].
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            desired: None,
            complete: false,
            known: None,
            fib_generation: None,
            stale: false,
            converged: false,
            failures_in_a_row: 0,
            not_before: None,
            full_round_at: None,
            unchecked: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// Sets what the maps are to hold. Unless it is `complete`, nothing is taken away, so that a restart never scales a service
    /// down.
    pub fn desire(&mut self, image: impl Into<Arc<MapImage>>, complete: bool) {
        let image = image.into();
        if self.desired.as_ref() != Some(&image) || self.complete != complete {
            self.converged = false;
        }
        self.desired = Some(image);
        self.complete = complete;
        self.not_before = None;
    }

    /// Makes the data path look every route up anew. Done by itself at the start, and with every change of what flows go by.
    pub fn raise_fib_generation(&mut self) {
        if let Some(generation) = &mut self.fib_generation {
            *generation = next_generation(*generation);
            self.converged = false;
        }
    }

    /// Whether the maps hold what was desired last, as far as is known.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.converged
    }

    /// What happened since the start.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// When [`Reconciler::run`] has something to do; `None`: not before something else is desired.
    #[must_use]
    pub fn next_run(&self, now: Instant) -> Option<Instant> {
        self.desired.as_ref()?;
        match self.converged {
            true if self.unchecked.is_empty() => self.full_round_at,
            true => Some(now),
            false => Some(self.not_before.unwrap_or(now)),
        }
    }

    /// Begins a round now that looks whether somebody else changed the maps, and does all of it. Nothing is done while a change
    /// waits to be tried again: that ends with a look at everything as well.
    pub fn check(&mut self, maps: &mut dyn LbMaps, now: Instant) -> Round {
        let mut all = self.run(maps, now);
        if !self.converged {
            return all;
        }
        self.begin_round(now);
        while self.converged && !self.unchecked.is_empty() {
            let round = self.run(maps, now);
            all.applied += round.applied;
            all.drift.extend(round.drift);
            all.error = round.error;
        }
        all
    }

    /// Does what is due, if anything. A look whether somebody else changed the maps is at one part of them, so that it takes
    /// little time; the next calls look at the others.
    pub fn run(&mut self, maps: &mut dyn LbMaps, now: Instant) -> Round {
        let mut round = Round::default();
        if self.next_run(now).is_some_and(|due| due <= now) {
            match self.step(maps, now, &mut round) {
                Ok(()) => self.succeeded(),
                Err(error) => self.failed(error, now, &mut round),
            }
        }
        self.statistics.applied += round.applied as u64;
        round.drift.iter().for_each(|drift| self.statistics.drift.add(drift));
        round
    }

    fn step(&mut self, maps: &mut dyn LbMaps, now: Instant, round: &mut Round) -> Result<(), MapError> {
        if self.known.is_none() {
            let dump = maps.dump()?;
            self.fib_generation.get_or_insert(next_generation(dump.settings.fib_generation));
            self.known = Some(dump);
            self.full_round_at = Some(now + self.policy.full_round);
            self.unchecked.clear();
        } else if self.converged && !self.look(maps, now, round)? {
            return Ok(());
        }
        let operations = self.operations();
        let done = operations.iter().try_for_each(|operation| self.apply(maps, operation, round));
        // After a failure, too: what was changed before it counts now, not when the rest has succeeded.
        let raised = self.write_generation(maps, round);
        done.and(raised)
    }

    fn begin_round(&mut self, now: Instant) {
        self.unchecked = Part::ALL.into_iter().rev().collect();
        self.full_round_at = Some(now + self.policy.full_round);
    }

    /// Reads the next part of the maps; whether something in it is not as it should be.
    fn look(&mut self, maps: &mut dyn LbMaps, now: Instant, round: &mut Round) -> Result<bool, MapError> {
        if self.unchecked.is_empty() {
            self.begin_round(now);
        }
        let (Some(desired), Some(known), Some(part)) = (&self.desired, &mut self.known, self.unchecked.pop())
        else {
            return Ok(false);
        };
        maps.read(part, known)?;
        round.drift = drift(part, desired, known);
        if !self.complete {
            round.drift.retain(|drift| drift.kind != DriftKind::Extra);
        }
        self.statistics.rounds += u64::from(self.unchecked.is_empty());
        if part == Part::Settings && self.is_generation_due() {
            let examples = vec!["fib_generation".to_owned()];
            round.drift.push(Drift { part, kind: DriftKind::Changed, count: 1, examples });
        }
        Ok(!round.drift.is_empty())
    }

    fn apply(
        &mut self,
        maps: &mut dyn LbMaps,
        operation: &Operation,
        round: &mut Round,
    ) -> Result<(), MapError> {
        // Before it is tried: what fails may be done nevertheless.
        self.stale |= self.known.as_ref().is_some_and(|known| operation.concerns_flows(known));
        maps.apply(operation)?;
        round.applied += 1;
        if let Some(known) = &mut self.known {
            operation.apply_to(known);
        }
        Ok(())
    }

    /// Writes the generation after all that flows go by, so that none goes on with what was before.
    fn write_generation(&mut self, maps: &mut dyn LbMaps, round: &mut Round) -> Result<(), MapError> {
        if self.stale && !self.is_generation_due() {
            self.fib_generation = self.fib_generation.map(next_generation);
        }
        match self.fib_generation.filter(|_| self.is_generation_due()) {
            Some(generation) => self.apply(maps, &Operation::FibGeneration(generation), round),
            None => Ok(()),
        }
    }

    /// Whether the maps hold another generation than they are to.
    fn is_generation_due(&self) -> bool {
        self.known.as_ref().is_some_and(|known| Some(known.settings.fib_generation) != self.fib_generation)
    }

    /// What leads from the known to the desired state.
    fn operations(&self) -> Vec<Operation> {
        let (Some(desired), Some(known)) = (&self.desired, &self.known) else { return Vec::new() };
        let mut operations = diff(desired, known);
        operations.retain(|operation| self.complete || !operation.is_removal());
        operations
    }

    fn succeeded(&mut self) {
        self.converged = true;
        self.stale = false;
        self.failures_in_a_row = 0;
        self.not_before = None;
    }

    fn failed(&mut self, error: MapError, now: Instant, round: &mut Round) {
        self.converged = false;
        self.known = None;
        self.statistics.failures += 1;
        let factor = 1 << self.failures_in_a_row.min(16);
        let pause = self.policy.first_retry.saturating_mul(factor).min(self.policy.longest_retry);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.not_before = Some(now + pause);
        round.error = Some(error);
    }
}

/// The generation after one; never 0, and without the bit of [`NextHop::METERED`].
fn next_generation(generation: u32) -> u32 {
    (generation.wrapping_add(1) & !NextHop::METERED).max(1)
}
