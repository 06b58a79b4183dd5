//! Backends that go up and down.

use super::*;

fn damped() -> Target {
    let damping = Damping { max_flaps: 3, ..NO_DAMPING };
    Target { policy: Policy { rise: 1, fall: 1, damping, ..POLICY }, ..target(80) }
}

#[test]
fn a_backend_that_flaps_is_held_down_for_growing_times_and_is_trusted_again() {
    let mut simulation = Simulation::new(&[(1, damped())]);
    let flap = |simulation: &mut Simulation| {
        while simulation.round(Outcome::Healthy) != Some(Health::Up) {}
        simulation.round(refused());
        simulation.held.pop().map(|until| until - simulation.now)
    };
    let holds: Vec<_> = (0..8).map(|_| flap(&mut simulation).map(|hold| hold.as_secs())).collect();
    assert_eq!(holds, [None, None, Some(10), Some(20), Some(40), Some(60), Some(60), Some(60)]);
    // Up for four windows: trusted again.
    while simulation.round(Outcome::Healthy) != Some(Health::Up) {}
    for _ in 0..4 * 60 {
        simulation.round(Outcome::Healthy);
    }
    assert_eq!(flap(&mut simulation), None);
}

#[test]
fn a_held_backend_comes_up_when_the_hold_ends_without_another_rise() {
    let mut simulation = Simulation::new(&[(1, damped())]);
    for _ in 0..3 {
        simulation.round(Outcome::Healthy);
        simulation.round(refused());
    }
    let until = simulation.held.pop().unwrap();
    while simulation.now < until {
        assert!(simulation.changes.last() == Some(&(1, Health::Down)));
        simulation.round(Outcome::Healthy);
    }
    assert_eq!(simulation.checker.health(&1), Some(Health::Up));
    assert!(simulation.now - until < POLICY.interval);
}

#[test]
fn flapping_every_300_ms_for_a_minute_is_few_changes() {
    // Fault 19, with and without damping.
    for (damping, most) in [(NO_DAMPING, 150), (Damping { max_flaps: 3, ..NO_DAMPING }, 12)] {
        let policy = Policy { rise: 2, fall: 2, interval: 200 * MILLISECOND, damping, ..POLICY };
        let mut simulation = Simulation::new(&[(1, Target { policy, ..target(80) })]);
        let server = |now: Duration| match now.as_millis() / 300 % 2 {
            0 => (Duration::ZERO, Outcome::Healthy),
            _ => (Duration::ZERO, refused()),
        };
        simulation.run_against(server, |simulation| simulation.now > 60 * SECOND);
        assert!(simulation.changes.len() <= most, "{} changes", simulation.changes.len());
    }
}

proptest! {
    #[test]
    fn damping_never_holds_longer_than_configured_and_lets_go(
        outcomes in prop::collection::vec((any::<bool>(), 1..30_u32), 1..60),
        max_flaps in 1..5_u32,
    ) {
        let damping = Damping { max_flaps, ..NO_DAMPING };
        let policy = Policy { damping, ..POLICY };
        let mut simulation = Simulation::new(&[(1, Target { policy, ..target(80) })]);
        let mut succeeding_since = None;
        for (good, rounds) in outcomes {
            for _ in 0..rounds {
                let health = simulation.round(if good { Outcome::Healthy } else { refused() });
                if let Some(until) = simulation.held.pop() {
                    prop_assert!(until <= simulation.now + damping.max_hold);
                }
                succeeding_since = good.then(|| succeeding_since.unwrap_or(simulation.now));
                let longest = damping.max_hold + POLICY.interval * POLICY.rise;
                if succeeding_since.is_some_and(|since| simulation.now - since > longest) {
                    prop_assert_eq!(health, Some(Health::Up));
                }
            }
        }
    }
}
