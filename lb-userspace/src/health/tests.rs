//! Cases of the checker in simulated time, and of the probe against real sockets.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use proptest::prelude::*;

use super::{Checker, Command, Outcome, Policy, ProbeId, Target, close, probe};
use crate::model::{Health, Probe, Shared};

const POLICY: Policy =
    Policy { interval: Duration::from_millis(1000), timeout: Duration::from_millis(500), rise: 2, fall: 3 };

fn target(port: u16) -> Target {
    let address = SocketAddr::from(([10, 0, 0, 1], port));
    Target { address, probe: Shared::default(), policy: POLICY }
}

fn refused() -> Outcome {
    Outcome::Failed("connection refused".into())
}

/// A checker, its clock, and the probes it started.
struct Simulation {
    now: Duration,
    checker: Checker<u32>,
    changes: Vec<(u32, Health)>,
}

impl Simulation {
    fn new(targets: &[(u32, Target)]) -> Self {
        let mut checker = Checker::default();
        checker.set_targets(Duration::ZERO, targets.iter().cloned());
        Self { now: Duration::ZERO, checker, changes: Vec::new() }
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
                Command::Change { key, health, .. } => self.changes.push((key, health)),
                Command::Cancel { .. } => {}
            }
        }
        started
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
fn starts_are_spread_over_the_interval() {
    let targets: Vec<_> = (0..10_000).map(|key| (key, target(80))).collect();
    let mut simulation = Simulation::new(&targets);
    let mut per_slot = BTreeMap::<u128, usize>::new();
    for _ in 0..10_000 {
        if simulation.checker.poll_timeout() >= Some(POLICY.interval) {
            break;
        }
        let started = simulation.step().len();
        *per_slot.entry(simulation.now.as_millis() / 10).or_default() += started;
    }
    assert_eq!(per_slot.values().sum::<usize>(), 10_000);
    assert!(per_slot.values().all(|count| *count < 150), "100 expected in each 10 ms: {per_slot:?}");
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

#[tokio::test]
async fn a_probe_tells_listening_from_refusing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_secs(5);
    let (outcome, stream) = probe(&Probe::Tcp, address, limit).await;
    assert_eq!(outcome, Outcome::Healthy);

    // A greeting that nobody reads would make the kernel answer with a RST.
    let (mut served, _) = listener.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut served, b"hello").await.unwrap();
    let server = tokio::spawn(async move {
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut served, &mut rest).await
    });
    close(stream.unwrap(), limit).await;
    assert_eq!(server.await.unwrap().unwrap(), 0, "the server sees a FIN, not a RST");

    drop(listener);
    assert_eq!(probe(&Probe::Tcp, address, limit).await.0, refused());
}

#[tokio::test]
async fn a_destination_without_a_route_is_unreachable() {
    // 255.255.255.255 is no TCP destination: the kernel says so at once.
    let address = SocketAddr::from(([255, 255, 255, 255], 9));
    assert_eq!(
        probe(&Probe::Tcp, address, Duration::from_secs(5)).await.0,
        Outcome::Failed("unreachable".into())
    );
}
