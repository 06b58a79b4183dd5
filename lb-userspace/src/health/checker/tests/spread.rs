//! How evenly probes are spread.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;

/// Most starts in any 10 ms of some seconds; the mean is 100 for each interval of a second.
fn largest_bunch(simulation: &mut Simulation, until: Duration) -> usize {
    let mut recent = VecDeque::new();
    let mut largest = 0;
    while simulation.checker.poll_timeout().is_some_and(|due| due < until) {
        for probe in simulation.step() {
            recent.push_back(simulation.now);
            simulation.checker.handle_result(simulation.now, probe, Outcome::Healthy);
        }
        while recent.front().is_some_and(|first| *first + 10 * MILLISECOND <= simulation.now) {
            recent.pop_front();
        }
        largest = largest.max(recent.len());
    }
    largest
}

#[test]
fn ten_thousand_targets_are_spread_evenly_over_the_interval() {
    let targets: Vec<_> = (0..10_000).map(|key| (key, target(80))).collect();
    let mut simulation = Simulation::new(&targets);
    let largest = largest_bunch(&mut simulation, 3 * SECOND);
    assert!((100..=103).contains(&largest), "100 expected in any 10 ms, and {largest} found");
}

#[test]
fn targets_added_one_by_one_are_spread_as_evenly() {
    let mut simulation = Simulation::new(&[]);
    let mut targets = Vec::new();
    for key in 0..1000 {
        simulation.now += 13 * MILLISECOND;
        targets.push((key, target(80)));
        simulation.checker.set_targets(simulation.now, targets.clone());
        simulation.take_commands();
    }
    let until = simulation.now + 3 * SECOND;
    let largest = largest_bunch(&mut simulation, until);
    assert!(largest <= 13, "10 expected in any 10 ms, and {largest} found");
}

#[test]
fn with_jitter_starts_are_late_by_at_most_that_and_never_early() {
    let policy = Policy { jitter: 300 * MILLISECOND, ..POLICY };
    let mut plain = Simulation::new(&[(1, target(80))]);
    let mut jittered = Simulation::new(&[(1, Target { policy, ..target(80) })]);
    let mut late = Vec::new();
    for _ in 0..100 {
        plain.round(Outcome::Healthy);
        jittered.round(Outcome::Healthy);
        late.push(jittered.now - plain.now);
    }
    assert!(late.iter().all(|late| *late <= policy.jitter), "{late:?}");
    late.sort();
    assert!(late[10] < 80 * MILLISECOND && late[90] > 220 * MILLISECOND, "it uses all of it: {late:?}");
}

proptest! {
    #[test]
    fn any_number_of_targets_is_spread_evenly(seed in any::<u64>(), count in 1..3000_u32) {
        let mut simulation = Simulation::new(&[]);
        simulation.checker = Checker::new(seed);
        simulation.checker.set_targets(Duration::ZERO, (0..count).map(|key| (key, target(80))));
        let largest = largest_bunch(&mut simulation, SECOND);
        prop_assert!(largest <= count as usize / 100 + 4, "{} of {}", largest, count);
    }
}
