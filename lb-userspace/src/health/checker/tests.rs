//! Cases of the checker in simulated time.

mod damping;
mod pace;
mod spread;

use std::{net::SocketAddr, time::Duration};

use proptest::prelude::*;

use super::{Checker, Command, Policy, ProbeId, Target};
use crate::{
    health::Outcome,
    model::{Damping, Health, Reason, Shared},
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const POLICY: Policy = Policy {
    interval: SECOND,
    timeout: Duration::from_millis(500),
    rise: 2,
    fall: 3,
    fast_interval: SECOND,
    confirm_interval: SECOND,
    jitter: Duration::ZERO,
    damping: NO_DAMPING,
};
const NO_DAMPING: Damping = Damping {
    max_flaps: 0,
    window: Duration::from_secs(60),
    hold: Duration::from_secs(10),
    max_hold: Duration::from_secs(60),
};

fn target(port: u16) -> Target {
    let address = SocketAddr::from(([10, 0, 0, 1], port));
    Target { address, probe: Shared::default(), policy: POLICY }
}

fn refused() -> Outcome {
    Outcome::Failed("connection refused".into())
}

fn unanswered() -> Reason {
    "3 of 3 SYNs unanswered within 0.25 s".into()
}

const SEED: u64 = 0x1234_5678_9abc_def0;

/// A checker, its clock, and the probes it started.
struct Simulation {
    now: Duration,
    checker: Checker<u32>,
    changes: Vec<(u32, Health)>,
    /// Who became suspect, and who is so no more.
    suspicions: Vec<(u32, bool)>,
    /// Until when targets are held down, and why they were.
    held: Vec<Duration>,
    reasons: Vec<String>,
}

impl Simulation {
    fn new(targets: &[(u32, Target)]) -> Self {
        let mut checker = Checker::new(SEED);
        checker.set_targets(Duration::ZERO, targets.iter().cloned());
        Self {
            now: Duration::ZERO,
            checker,
            changes: Vec::new(),
            suspicions: Vec::new(),
            held: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// Moves to the next due moment and returns the probes started there.
    fn step(&mut self) -> Vec<ProbeId> {
        self.now = self.checker.poll_timeout().expect("a target is scheduled");
        self.checker.handle_timeout(self.now);
        self.take_commands()
    }

    fn take_commands(&mut self) -> Vec<ProbeId> {
        let mut started = Vec::new();
        while let Some(command) = self.checker.poll_command() {
            match command {
                Command::Start { probe, .. } => started.push(probe),
                Command::Change { key, health, reason, held_until } => {
                    self.changes.push((key, health));
                    self.held.extend(held_until);
                    self.reasons.extend(reason.map(std::borrow::Cow::into_owned));
                }
                Command::Suspect { key, .. } => self.suspicions.push((key, true)),
                Command::Clear { key } => self.suspicions.push((key, false)),
                Command::Cancel { .. } => {}
            }
        }
        started
    }

    /// Runs against a server that says, for the moment a probe starts, how long it takes and what comes of it.
    fn run_against(
        &mut self,
        server: impl Fn(Duration) -> (Duration, Outcome),
        is_over: impl Fn(&Self) -> bool,
    ) {
        let mut under_way: Option<(Duration, ProbeId, Outcome)> = None;
        while !is_over(self) {
            let due = self.checker.poll_timeout().expect("a target is scheduled");
            match under_way.take() {
                Some((at, probe, outcome)) if at <= due => {
                    self.now = at;
                    self.checker.handle_result(at, probe, outcome);
                }
                other => {
                    under_way = other;
                    self.now = due;
                    self.checker.handle_timeout(due);
                }
            }
            for probe in self.take_commands() {
                let (took, outcome) = server(self.now);
                under_way = Some((self.now + took, probe, outcome));
            }
        }
    }

    fn answer(&mut self, probe: ProbeId, outcome: Outcome) {
        self.checker.handle_result(self.now, probe, outcome);
        assert!(self.take_commands().is_empty(), "an answer does not start a probe that is not due");
    }

    /// One round of a single target.
    fn round(&mut self, outcome: Outcome) -> Option<Health> {
        let probes = self.step();
        assert_eq!(probes.len(), 1);
        self.answer(probes[0], outcome);
        self.checker.health(&1)
    }
}

#[test]
fn a_backend_is_unknown_at_first() {
    let simulation = Simulation::new(&[(1, target(80))]);
    assert_eq!(simulation.checker.health(&1), Some(Health::Unknown));
}

#[test]
fn fall_failures_in_a_row_take_it_down_and_rise_successes_bring_it_back() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    assert_eq!(simulation.round(refused()), Some(Health::Unknown));
    assert_eq!(simulation.round(refused()), Some(Health::Unknown));
    assert_eq!(simulation.round(refused()), Some(Health::Down));
    assert_eq!(simulation.round(Outcome::Healthy), Some(Health::Down));
    assert_eq!(simulation.round(Outcome::Healthy), Some(Health::Up));
    assert_eq!(simulation.changes, [(1, Health::Down), (1, Health::Up)]);
}

#[test]
fn a_success_between_failures_starts_the_count_anew() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    for outcome in [refused(), refused(), Outcome::Healthy].into_iter().cycle().take(60) {
        assert_ne!(simulation.round(outcome), Some(Health::Down));
    }
}

#[test]
fn a_probe_that_could_not_be_tried_changes_no_count() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    for _ in 0..10 {
        assert_eq!(simulation.round(Outcome::NotTried("no memory".into())), Some(Health::Unknown));
    }
    simulation.round(refused());
    simulation.round(refused());
    assert_eq!(simulation.round(Outcome::NotTried("no memory".into())), Some(Health::Unknown));
    assert_eq!(simulation.round(refused()), Some(Health::Down));
}

#[test]
fn that_a_probe_could_not_be_tried_is_told_once_and_taken_back() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    let blind = || Outcome::NotTried("no memory".into());
    for outcome in [blind(), blind(), blind(), Outcome::Healthy, Outcome::Healthy, blind(), Outcome::Healthy]
    {
        simulation.round(outcome);
    }
    for outcome in [refused(), refused(), refused(), blind(), blind(), refused()] {
        simulation.round(outcome);
    }
    let [unknown, up, down] = [Health::Unknown, Health::Up, Health::Down].map(|health| (1, health));
    assert_eq!(simulation.changes, [unknown, unknown, up, up, up, down, down, down]);
    let cannot = "cannot be checked: no memory";
    assert_eq!(simulation.reasons, [cannot, cannot, "connection refused", cannot, "connection refused"]);
}

#[test]
fn probes_of_a_target_start_one_interval_apart() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    simulation.round(Outcome::Healthy);
    let first = simulation.now;
    assert!(first < POLICY.interval);
    for round in 1..20 {
        simulation.round(Outcome::Healthy);
        assert_eq!(simulation.now, first + POLICY.interval * round);
    }
}

#[test]
fn after_a_pause_missed_probes_are_skipped_not_caught_up() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    simulation.round(Outcome::Healthy);
    simulation.now += POLICY.interval * 60;
    simulation.checker.handle_timeout(simulation.now);
    assert_eq!(simulation.take_commands().len(), 1);
    assert!(simulation.checker.poll_timeout() > Some(simulation.now));
}

#[test]
fn a_target_has_one_probe_in_flight_at_most() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    let late = simulation.step();
    assert!(simulation.step().is_empty());
    simulation.answer(late[0], Outcome::Healthy);
    assert_eq!(simulation.step().len(), 1);
}

#[test]
fn removal_cancels_the_probe_and_ignores_its_outcome() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    let probe = simulation.step()[0];
    simulation.checker.set_targets(simulation.now, []);
    assert_eq!(simulation.checker.poll_command(), Some(Command::Cancel { probe }));
    simulation.checker.handle_result(simulation.now, probe, refused());
    assert_eq!(simulation.checker.poll_command(), None);
    assert_eq!(simulation.checker.poll_timeout(), None);
}

#[test]
fn an_unchanged_target_keeps_its_health_and_a_new_address_starts_over() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    for _ in 0..3 {
        simulation.round(refused());
    }
    let faster = Policy { interval: Duration::from_millis(100), ..POLICY };
    let now = simulation.now;
    simulation.checker.set_targets(now, [(1, Target { policy: faster, ..target(80) })]);
    assert_eq!(simulation.checker.health(&1), Some(Health::Down));
    assert!(simulation.checker.poll_timeout() < Some(now + faster.interval));
    simulation.checker.set_targets(now, [(1, target(81))]);
    assert_eq!(simulation.checker.health(&1), Some(Health::Unknown));
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Healthy), Just(refused()), Just(Outcome::NotTried("no memory".into())),]
}

#[test]
fn another_reason_is_told_but_not_at_every_turn() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    let failed = |reason: &'static str| Outcome::Failed(reason.into());
    for round in 0..20 {
        simulation.round(failed(if round % 2 == 0 { "even" } else { "odd" }));
    }
    assert_eq!(simulation.reasons, ["even", "odd"]);
}

#[test]
fn another_probe_of_the_same_target_keeps_its_health_and_counts_anew() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    simulation.round(refused());
    simulation.round(refused());
    let probe = simulation.step()[0];
    // Equal, but not the same: no other probe.
    simulation.checker.set_targets(simulation.now, [(1, target(80))]);
    assert_eq!(simulation.checker.poll_command(), None);
    simulation.answer(probe, refused());
    assert_eq!(simulation.checker.health(&1), Some(Health::Down));
}

proptest! {
    #[test]
    fn never_down_without_fall_misses_in_a_row(
        sequence in prop::collection::vec(outcomes(), 1..200),
        rise in 1u32..5,
        fall in 1u32..5,
    ) {
        let policy = Policy { rise, fall, ..POLICY };
        let mut simulation = Simulation::new(&[(1, Target { policy, ..target(80) })]);
        let (mut misses, mut hits, mut down) = (0, 0, false);
        for outcome in sequence {
            match outcome {
                Outcome::NotTried(_) => {}
                Outcome::Healthy => (misses, hits) = (0, hits + 1),
                _ => (misses, hits) = (misses + 1, 0),
            }
            down = (down || misses >= fall) && hits < rise;
            let health = simulation.round(outcome);
            prop_assert_eq!(health == Some(Health::Down), down);
        }
    }
}
