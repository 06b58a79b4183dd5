//! What operators do and what breaks, each over many seeds: how long the addresses have no owner.

use std::time::Duration;

use super::simulator::{Random, Simulation, interval, settings, with_priority};
use crate::vrrp::{Afterwards, Preemption, Priority, Settings, State};

const SEEDS: u64 = 40;
const UNIT: Duration = Duration::from_millis(100);
/// The longest way of a packet.
const DELAY: Duration = Duration::from_micros(500);

/// Two machines, the first one active with priority 150 for a while.
fn pair(seed: u64) -> Simulation {
    let machines = [with_priority(interval(10), 150), with_priority(interval(10), 100)];
    let mut simulation = Simulation::new(seed, machines);
    simulation.start(0);
    simulation.start(1);
    let time = Random(seed).between((UNIT * 20, UNIT * 30));
    simulation.run_for(time);
    assert_eq!(simulation.owners(), [0]);
    simulation.watch();
    simulation
}

/// What the second machine waits for.
fn down_interval() -> Duration {
    interval(10).active_down(crate::vrrp::Version::V3, Priority::DEFAULT)
}

#[test]
fn a_machine_that_is_off_is_replaced_within_the_down_interval() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        simulation.power_off(0);
        simulation.run_for(UNIT * 10);
        assert_eq!(simulation.owners(), [1]);
        let gap = simulation.longest_unowned;
        assert!(gap <= down_interval() + DELAY && gap >= UNIT * 2, "seed {seed}: {gap:?}");
    }
}

#[test]
fn at_the_shortest_interval_a_machine_that_is_off_is_replaced_within_37_ms() {
    for seed in 0..SEEDS {
        let machines = [with_priority(interval(1), 150), with_priority(interval(1), 100)];
        let mut simulation = Simulation::new(seed, machines);
        simulation.start(0);
        simulation.start(1);
        let time = Random(seed).between((Duration::from_millis(100), Duration::from_millis(200)));
        simulation.run_for(time);
        assert_eq!(simulation.owners(), [0]);
        simulation.watch();
        simulation.power_off(0);
        simulation.run_for(UNIT);
        assert!(simulation.longest_unowned <= Duration::from_millis(37), "{:?}", simulation.longest_unowned);
        assert_eq!(simulation.owners(), [1]);
    }
}

#[test]
fn a_clean_end_a_switchover_and_a_return_leave_no_moment_without_an_owner() {
    for seed in 0..SEEDS {
        for then in [Afterwards::Stop, Afterwards::Stay] {
            let mut simulation = pair(seed);
            simulation.hand_over(0, then);
            simulation.run_for(UNIT * 10);
            assert_eq!(simulation.owners(), [1]);
            simulation.start(0);
            simulation.resume(0);
            simulation.run_for(UNIT * 10);
            assert_eq!(simulation.owners(), [0], "it is back");
            assert_eq!(simulation.longest_unowned, Duration::ZERO, "seed {seed}");
        }
    }
}

#[test]
fn switchovers_there_and_back_without_release_leave_no_moment_without_an_owner() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        for turn in 0..6 {
            simulation.hand_over(turn % 2, Afterwards::Stay);
            let time = simulation.random.between((UNIT * 4, UNIT * 20));
            simulation.run_for(time);
            assert_eq!(simulation.owners(), [(turn + 1) % 2], "seed {seed}");
        }
        assert_eq!(simulation.longest_unowned, Duration::ZERO, "seed {seed}");
    }
}

#[test]
fn a_switchover_that_is_taken_back_in_time_changes_no_owner_for_long() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        simulation.hand_over(0, Afterwards::Stay);
        let time = simulation.random.between((Duration::ZERO, UNIT));
        simulation.run_for(time);
        simulation.resume(0);
        simulation.run_for(UNIT * 10);
        assert_eq!(simulation.owners(), [0], "seed {seed}");
        assert_eq!(simulation.longest_unowned, Duration::ZERO, "seed {seed}");
    }
}

#[test]
fn a_switchover_takes_the_skew_and_one_advert() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        let start = simulation.now;
        simulation.hand_over(0, Afterwards::Stay);
        simulation.run_for(UNIT * 5);
        let (at, ..) = simulation.changes.last().unwrap();
        let skew = interval(10).skew(crate::vrrp::Version::V3, Priority::DEFAULT);
        assert!(*at - start <= skew + DELAY * 2, "seed {seed}: {:?}", *at - start);
    }
}

#[test]
fn machines_started_at_once_agree_and_their_clients_too() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let count = 2 + random.below(4);
        let priority = |_: u64| Priority::new(random.pick(&[99, 100, 100, 101]));
        let machines: Vec<Settings> = (0..count)
            .map(priority)
            .map(|priority| Settings { priority, ..settings(interval(10)) })
            .collect();
        let mut simulation = Simulation::new(seed, machines);
        simulation.delay = (DELAY, UNIT / 4);
        for index in 0..simulation.machines.len() {
            simulation.start(index);
        }
        // A client that goes astray is put right by the next announcement at the latest.
        simulation.run_for(down_interval() + UNIT * 4);
        let owners = simulation.owners();
        assert_eq!(owners.len(), 1, "seed {seed}");
        for machine in &simulation.machines {
            assert_eq!(machine.announced_by, Some(owners[0]), "seed {seed}");
        }
    }
}

#[test]
fn a_partition_has_two_owners_and_heals_to_the_better_one_within_an_interval() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        simulation.machines[1].side = 1;
        simulation.run_for(UNIT * 30);
        assert_eq!(simulation.owners(), [0, 1]);
        simulation.machines[1].side = 0;
        simulation.run_for(UNIT + DELAY * 4);
        assert_eq!(simulation.owners(), [0], "seed {seed}");
        assert!(simulation.machines.iter().all(|machine| machine.announced_by == Some(0)), "seed {seed}");
        assert_eq!(simulation.longest_unowned, Duration::ZERO);
    }
}

#[test]
fn a_killed_daemon_leaves_two_owners_until_it_is_back_and_never_none() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        simulation.kill(0);
        simulation.run_for(UNIT * 10);
        assert_eq!(simulation.owners(), [0, 1], "the addresses remain where no daemon takes them away");
        simulation.start(0);
        simulation.run_for(UNIT * 2);
        assert_eq!(simulation.owners(), [0], "seed {seed}");
        assert_eq!(simulation.longest_unowned, Duration::ZERO);
    }
}

#[test]
fn a_daemon_that_is_killed_and_back_at_once_changes_nothing() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        simulation.kill(0);
        let time = Random(seed).between((Duration::ZERO, UNIT));
        simulation.run_for(time);
        simulation.start(0);
        simulation.run_for(UNIT * 10);
        assert_eq!(simulation.owners(), [0]);
        assert!(simulation.changes.iter().all(|(_, index, state, _)| (*index, *state) != (1, State::Active)));
        assert_eq!(simulation.longest_unowned, Duration::ZERO);
    }
}

#[test]
fn a_stall_of_the_backup_fails_nothing_over() {
    for seed in 0..SEEDS {
        for process_only in [true, false] {
            let mut simulation = pair(seed);
            for _ in 0..10 {
                let time = simulation.random.between((Duration::ZERO, UNIT * 20));
                simulation.stall(1, time, process_only);
                simulation.run_for(UNIT * 25);
            }
            let by_backup = simulation.changes.iter().filter(|(_, index, ..)| *index == 1).count();
            assert_eq!(by_backup, 1, "seed {seed}: only its start");
        }
    }
}

#[test]
fn a_stall_of_the_active_router_ends_with_one_owner() {
    for seed in 0..SEEDS {
        for (process_only, preemption) in [
            (true, Preemption::After(Duration::ZERO)),
            (false, Preemption::After(Duration::ZERO)),
            (true, Preemption::Never),
        ] {
            let mut simulation = pair(seed);
            simulation.power_off(0);
            simulation.power_off(1);
            simulation.machines.iter_mut().for_each(|machine| machine.settings.preemption = preemption);
            simulation.start(0);
            simulation.run_for(UNIT * 10);
            simulation.start(1);
            simulation.run_for(UNIT * 10);
            simulation.stall(0, UNIT * 20, process_only);
            simulation.run_for(UNIT * 19);
            assert_eq!(simulation.machines[1].state(), Some(State::Active));
            simulation.run_for(UNIT + DELAY * 3);
            let owner = if preemption == Preemption::Never { 1 } else { 0 };
            assert_eq!(
                simulation.owners(),
                [owner],
                "seed {seed}: without preemption, who took over remains"
            );
            simulation.run_for(UNIT * 30);
            assert_eq!(simulation.owners(), [owner], "seed {seed}");
        }
    }
}

#[test]
fn a_lost_advert_or_two_fail_nothing_over() {
    for seed in 0..SEEDS {
        let mut simulation = pair(seed);
        for _ in 0..20 {
            simulation.loss = 1000;
            simulation.run_for(UNIT * 2);
            simulation.loss = 0;
            simulation.run_for(UNIT * 2);
        }
        assert!(simulation.changes.iter().all(|(_, index, state, _)| (*index, *state) != (1, State::Active)));
    }
}
