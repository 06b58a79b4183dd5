//! Probes out of turn: until a verdict, and to confirm a suspicion.

use super::*;

fn fast() -> Target {
    let (fast_interval, confirm_interval) = (200 * MILLISECOND, 200 * MILLISECOND);
    Target { policy: Policy { fast_interval, confirm_interval, ..POLICY }, ..target(80) }
}

#[test]
fn the_verdict_is_sought_fast_and_the_phase_is_kept() {
    let mut simulation = Simulation::new(&[(1, fast())]);
    simulation.round(Outcome::Healthy);
    simulation.round(Outcome::Healthy);
    simulation.round(Outcome::Healthy);
    let up = simulation.now;
    let starts: Vec<Duration> = (0..3)
        .map(|_| {
            simulation.round(refused());
            simulation.now - up
        })
        .collect();
    assert_eq!(starts, [1000, 1200, 1400].map(|millis| millis * MILLISECOND));
    assert_eq!(simulation.checker.health(&1), Some(Health::Down));
    simulation.round(refused());
    assert_eq!(simulation.now - up, 2 * SECOND, "down is certain: as often as before");
    simulation.round(Outcome::Healthy);
    simulation.round(Outcome::Healthy);
    assert_eq!(simulation.now - up, 3200 * MILLISECOND);
    assert_eq!(simulation.checker.health(&1), Some(Health::Up));
    simulation.round(Outcome::Healthy);
    assert_eq!(simulation.now - up, 4 * SECOND);
}

#[test]
fn a_single_failure_is_looked_into_and_then_all_is_as_before() {
    let mut simulation = Simulation::new(&[(1, fast())]);
    for _ in 0..3 {
        simulation.round(Outcome::Healthy);
    }
    let before = simulation.now;
    simulation.round(refused());
    simulation.round(Outcome::Healthy);
    assert_eq!(simulation.now - before, 1200 * MILLISECOND);
    simulation.round(Outcome::Healthy);
    assert_eq!(simulation.now - before, 2 * SECOND);
}

#[test]
fn a_probe_that_takes_longer_than_the_fast_interval_is_followed_at_once() {
    let mut simulation = Simulation::new(&[(1, fast())]);
    let probe = simulation.step()[0];
    simulation.now += 500 * MILLISECOND;
    simulation.checker.handle_result(simulation.now, probe, refused());
    assert_eq!(simulation.take_commands().len(), 1);
}

#[test]
fn a_timeout_as_long_as_the_interval_does_not_cost_a_turn() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    for _ in 0..3 {
        simulation.round(Outcome::Healthy);
    }
    assert_eq!(simulation.checker.health(&1), Some(Health::Up));
    let probe = simulation.step()[0];
    let late = POLICY.interval + 2 * MILLISECOND;
    simulation.now += late;
    simulation.checker.handle_timeout(simulation.now);
    assert!(simulation.take_commands().is_empty(), "one probe at a time");
    simulation.checker.handle_result(simulation.now, probe, refused());
    assert_eq!(simulation.take_commands().len(), 1);
}

#[test]
fn a_killed_backend_is_out_within_interval_times_fall() {
    // Faults 16 and 17: dead at any moment, found by refusals at once or by the timeout.
    for (took, fall, fast_interval, millis) in [
        (Duration::ZERO, 2, 200, 400),
        (100 * MILLISECOND, 2, 200, 500),
        (Duration::ZERO, 3, 50, 300),
        (100 * MILLISECOND, 3, 50, 500),
    ] {
        for died_at in 0..200 {
            let policy = Policy {
                interval: 200 * MILLISECOND,
                timeout: 100 * MILLISECOND,
                fall,
                fast_interval: fast_interval * MILLISECOND,
                ..POLICY
            };
            let mut simulation = Simulation::new(&[(1, Target { policy, ..target(80) })]);
            let died = 2 * SECOND + died_at * MILLISECOND;
            let server = |now| match now >= died {
                true => (took, refused()),
                false => (Duration::ZERO, Outcome::Healthy),
            };
            simulation.run_against(server, |simulation| simulation.checker.health(&1) == Some(Health::Down));
            let out = simulation.now - died;
            assert!(out <= millis * MILLISECOND, "out after {out:?}, with {policy:?}");
        }
    }
}

#[test]
fn a_suspicion_has_a_probe_made_at_once_and_alone_changes_nothing() {
    let mut simulation = Simulation::new(&[(1, fast())]);
    for _ in 0..3 {
        simulation.round(Outcome::Healthy);
    }
    let before = simulation.now;
    simulation.now += 300 * MILLISECOND;
    assert!(simulation.checker.suspect(simulation.now, &1, &unanswered()));
    let probes = simulation.take_commands();
    assert_eq!(probes.len(), 1, "it starts at once");
    assert_eq!(simulation.suspicions, [(1, true)]);
    simulation.answer(probes[0], Outcome::Healthy);
    assert_eq!(simulation.checker.health(&1), Some(Health::Up));
    assert_eq!(simulation.suspicions, [(1, true), (1, false)]);
    simulation.round(Outcome::Healthy);
    assert_eq!(simulation.now - before, SECOND, "the turns are as they were");
}

#[test]
fn a_confirmed_suspicion_leads_to_the_verdict_by_probes_alone() {
    let mut simulation = Simulation::new(&[(1, fast())]);
    for _ in 0..3 {
        simulation.round(Outcome::Healthy);
    }
    simulation.now += 100 * MILLISECOND;
    let suspected = simulation.now;
    assert!(simulation.checker.suspect(suspected, &1, &unanswered()));
    let probe = simulation.take_commands()[0];
    simulation.answer(probe, refused());
    assert_eq!(simulation.round(refused()), Some(Health::Up));
    assert_eq!(simulation.round(refused()), Some(Health::Down));
    assert_eq!(simulation.now - suspected, 400 * MILLISECOND, "instead of more than a second");
    assert_eq!(simulation.suspicions, [(1, true)], "being down is more than being suspect");
    simulation.now += 300 * MILLISECOND;
    assert!(!simulation.checker.suspect(simulation.now, &1, &unanswered()), "it is down already");
}

#[test]
fn suspicions_are_rate_limited() {
    let targets: Vec<_> = (0..1000).map(|key| (key, target(80))).collect();
    let mut simulation = Simulation::new(&targets);
    simulation.now = 10 * SECOND;
    simulation.checker.handle_timeout(simulation.now);
    for probe in simulation.take_commands() {
        simulation.checker.handle_result(simulation.now, probe, Outcome::Healthy);
    }
    let begin = simulation.now;
    let mut early = 0;
    for millisecond in 0..100 {
        simulation.now = begin + millisecond * MILLISECOND;
        for key in 0..1000 {
            simulation.checker.suspect(simulation.now, &key, &unanswered());
        }
        simulation.checker.handle_timeout(simulation.now);
        for probe in simulation.take_commands() {
            early += 1;
            simulation.checker.handle_result(simulation.now, probe, Outcome::Healthy);
        }
    }
    // 100 turns, and as many suspicions.
    assert!((190..=202).contains(&early), "{early}");
    assert!(!simulation.checker.suspect(simulation.now, &5000, &unanswered()), "it is not checked");
}

#[test]
fn a_suspicion_during_a_probe_has_another_made_after_it() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    let probe = simulation.step()[0];
    simulation.now += 10 * MILLISECOND;
    assert!(simulation.checker.suspect(simulation.now, &1, &unanswered()));
    assert!(simulation.take_commands().is_empty());
    simulation.checker.handle_result(simulation.now, probe, Outcome::Healthy);
    assert_eq!(simulation.take_commands().len(), 1);
}

#[test]
fn a_suspect_is_probed_at_the_pace_of_suspects_until_the_verdict() {
    // Without a fast interval of its own, as most are configured.
    let policy = Policy {
        interval: 10 * SECOND,
        fast_interval: 10 * SECOND,
        confirm_interval: 250 * MILLISECOND,
        ..POLICY
    };
    let mut simulation = Simulation::new(&[(1, Target { policy, ..target(80) })]);
    for _ in 0..3 {
        simulation.round(Outcome::Healthy);
    }
    let before = simulation.now;
    simulation.round(refused());
    assert_eq!(simulation.now - before, 10 * SECOND);
    simulation.now += SECOND;
    let suspected = simulation.now;
    assert!(simulation.checker.suspect(suspected, &1, &unanswered()));
    let probe = simulation.take_commands()[0];
    simulation.answer(probe, refused());
    assert_eq!(simulation.round(refused()), Some(Health::Down));
    assert_eq!(simulation.now - suspected, 250 * MILLISECOND);
    simulation.round(refused());
    assert!(simulation.now - suspected > SECOND, "a verdict ends the hurry");
}

#[test]
fn a_turn_that_comes_anyway_tells_of_a_suspect() {
    let mut simulation = Simulation::new(&[(1, fast()), (2, fast())]);
    for _ in 0..6 {
        let probe = simulation.step()[0];
        simulation.answer(probe, Outcome::Healthy);
    }
    // The first suspicion takes the moment; the turn of the second target comes before the next one.
    let due = simulation.checker.poll_timeout().unwrap();
    simulation.now = due - Duration::from_micros(500);
    let next = if simulation.checker.targets[&1].due == due { 1 } else { 2 };
    for key in [3 - next, next] {
        assert!(simulation.checker.suspect(simulation.now, &key, &unanswered()));
    }
    let probes = simulation.take_commands();
    assert_eq!((probes.len(), simulation.suspicions.len()), (1, 2));
    simulation.answer(probes[0], Outcome::Healthy);
    let probe = simulation.step()[0];
    assert_eq!(simulation.now, due);
    simulation.answer(probe, Outcome::Healthy);
    assert_eq!(simulation.suspicions[2..], [(3 - next, false), (next, false)]);
}

#[test]
fn only_a_probe_that_began_after_the_suspicion_clears_it() {
    let mut simulation = Simulation::new(&[(1, target(80))]);
    let probe = simulation.step()[0];
    simulation.now += 10 * MILLISECOND;
    simulation.checker.suspect(simulation.now, &1, &unanswered());
    simulation.checker.handle_result(simulation.now, probe, Outcome::Healthy);
    let probe = simulation.take_commands()[0];
    assert_eq!(simulation.suspicions, [(1, true)]);
    simulation.checker.handle_result(simulation.now, probe, Outcome::NotTried("no memory".into()));
    assert!(simulation.take_commands().is_empty());
    assert_eq!(simulation.suspicions, [(1, true)], "what was not tried says nothing");
    simulation.round(Outcome::Healthy);
    assert_eq!(simulation.suspicions, [(1, true), (1, false)]);
}
