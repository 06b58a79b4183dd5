//! Whatever happens on the way, in the end both machines have the same flows.

use std::time::Duration;

use super::simulator::{Weather, World};

const SECOND: Duration = Duration::from_secs(1);
const FAIR: Weather = Weather { loss: 0, copies: 0, delay: Duration::from_micros(200) };

/// What else may happen than packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// The active machine changes.
    Failovers,
    /// Daemons are started again, one at a time.
    Restarts,
    /// The machine that is not active loses all it has, and the network is cut.
    Reboots,
}

/// A minute of traffic in bad weather, and some quiet seconds.
fn live_through(seed: u64, trouble: Trouble) -> World {
    let mut world = World::new(seed, FAIR);
    world.weather = Weather {
        loss: world.below(30),
        copies: world.below(30),
        delay: Duration::from_millis(world.below(80)),
    };
    let mut active = 0;
    for round in 0..400 {
        for _ in 0..world.below(40) {
            world.begin(active);
        }
        for _ in 0..world.below(40) {
            let number = world.below(u64::from(world.next_flow.max(1))) as u32;
            let ends = world.below(3) == 0;
            world.touch(active, number, ends);
        }
        if round % 100 == 99 {
            let which = world.below(2) as usize;
            match trouble {
                Trouble::None => {}
                Trouble::Failovers => {
                    // The VIP moves; what was under way arrives.
                    world.run(SECOND * 2);
                    active = which;
                }
                Trouble::Restarts => {
                    world.restart(which);
                    world.run(SECOND * 8);
                }
                Trouble::Reboots => {
                    world.is_cut = true;
                    world.run(SECOND * 2);
                    world.is_cut = false;
                    world.reboot(1 - active);
                    world.run(SECOND * 8);
                    active = 1 - active;
                }
            }
        }
        world.run(SECOND / 10);
    }
    world.weather = FAIR;
    world.run(SECOND * 12);
    world
}

fn assert_the_same(world: &World, context: &str) {
    let [a, b] = &world.machines;
    assert!(a.link.is_connected(world.now), "{context}");
    let (of_a, of_b) = (a.live(), b.live());
    let only_a: Vec<_> = of_a.difference(&of_b).collect();
    let only_b: Vec<_> = of_b.difference(&of_a).collect();
    assert!(only_a.is_empty() && only_b.is_empty(), "{context}: only one has {only_a:?}, {only_b:?}");
    assert!(of_a.len() > 100, "{context}: {} flows", of_a.len());
}

fn converges(trouble: Trouble) {
    for seed in 1..=6 {
        let world = live_through(seed, trouble);
        assert_the_same(&world, &format!("{trouble:?}, seed {seed}"));
        let rejected = world.machines.iter().map(|machine| machine.link.counters().rejected.clone());
        let only_replays = rejected
            .flatten()
            .all(|(rejection, _)| ["replayed", "session", "addressee", "rate"].contains(&rejection.label()));
        assert!(only_replays, "{trouble:?}, seed {seed}");
    }
}

#[test]
fn both_have_the_same_flows_after_loss_and_disorder() {
    converges(Trouble::None);
}

#[test]
fn both_have_the_same_flows_after_failovers() {
    converges(Trouble::Failovers);
}

#[test]
fn both_have_the_same_flows_after_restarts_of_daemons() {
    converges(Trouble::Restarts);
}

#[test]
fn both_have_the_same_flows_after_machines_that_lost_theirs() {
    converges(Trouble::Reboots);
}

#[test]
fn in_fair_weather_the_other_machine_knows_within_milliseconds() {
    let mut world = World::new(1, FAIR);
    world.run(SECOND * 2);
    for _ in 0..500 {
        world.begin(0);
    }
    world.run(Duration::from_millis(20));
    assert_the_same(&world, "20 ms later");
    assert_eq!(world.machines[0].link.counters().resent, 0);
}

#[test]
fn idle_flows_survive_the_loss_of_either_machine_in_turn() {
    let mut world = World::new(1, FAIR);
    world.run(SECOND * 2);
    for _ in 0..500 {
        world.begin(0);
    }
    for lost in [0, 1, 0, 1] {
        world.run(SECOND * 30);
        world.reboot(lost);
        world.run(SECOND * 3);
        assert_eq!(world.machines[lost].live().len(), 500, "machine {lost} got them back");
        assert!(world.machines[lost].link.is_synced(world.now + SECOND * 86_400 * lost as u32));
    }
    // And nobody keeps what is over.
    for number in 0..500 {
        world.touch(1, number, true);
    }
    world.run(SECOND * 6);
    assert!(world.machines.iter().all(|machine| machine.live().is_empty()));
}
