//! Whatever happens: when it is over, each part of the network has one owner, and nothing moves any more.

use std::{net::Ipv4Addr, time::Duration};

use super::simulator::{Random, Simulation, interval, settings};
use crate::vrrp::{
    Afterwards, ChecksumForm, Ends, Envelope, GROUP_V4, HOP_LIMIT, Preemption, Priority, Settings, State,
    Version, Vrid,
};

const SEEDS: u64 = 250;

/// Settings of 2 to 5 machines.
fn machines(random: &mut Random) -> Vec<Settings> {
    let unit = random.pick(&[1, 10, 100]);
    let count = 2 + random.below(4);
    let machine = |_| {
        let delay = interval(unit).duration() * random.below(5) as u32;
        Settings {
            priority: Priority::new(random.pick(&[1, 50, 100, 100, 200, 254])),
            preemption: random.pick(&[
                Preemption::After(Duration::ZERO),
                Preemption::After(Duration::ZERO),
                Preemption::After(delay),
                Preemption::Never,
            ]),
            ..settings(interval(unit))
        }
    };
    (0..count).map(machine).collect()
}

/// One thing goes wrong, or right again.
fn disturb(simulation: &mut Simulation) {
    let count = simulation.machines.len() as u64;
    let unit = simulation.machines[0].settings.interval.duration();
    let index = simulation.random.below(count) as usize;
    let time = unit * simulation.random.below(12) as u32;
    match simulation.random.below(13) {
        0 => simulation.loss = simulation.random.below(300),
        1 => {
            for index in 0..simulation.machines.len() {
                simulation.machines[index].side = simulation.random.below(2) as usize;
            }
        }
        2 | 3 => simulation.machines.iter_mut().for_each(|machine| machine.side = 0),
        4 => simulation.power_off(index),
        5 => simulation.kill(index),
        6 | 7 => simulation.start(index),
        8 => simulation.stall(index, time, true),
        9 => simulation.stall(index, time, false),
        10 => simulation.hand_over(index, Afterwards::Stop),
        11 => simulation.resume(index),
        _ => simulation.hand_over(index, Afterwards::Stay),
    }
}

/// The end of all trouble: nothing is lost any more, all machines run, and those that were off stay so.
fn calm(simulation: &mut Simulation, is_healed: bool) {
    simulation.loss = 0;
    for index in 0..simulation.machines.len() {
        if simulation.machines[index].holds {
            simulation.start(index);
        }
        if is_healed {
            simulation.machines[index].side = 0;
        }
    }
}

fn settle_time(simulation: &Simulation) -> Duration {
    // Stalls of 12, the preempt delay of 5, two down intervals of 4, the longest gap of announcements of 10.
    simulation.machines[0].settings.interval.duration() * 50
}

/// One owner on each side that has a running machine, whom everybody there knows.
fn check(simulation: &Simulation, seed: u64) {
    for side in 0..2 {
        let here: Vec<usize> = (0..simulation.machines.len())
            .filter(|index| simulation.machines[*index].side == side)
            .filter(|index| simulation.machines[*index].state().is_some())
            .collect();
        let active = |index: &usize| simulation.machines[*index].state() == Some(State::Active);
        let owners: Vec<usize> = here.iter().copied().filter(active).collect();
        assert_eq!(owners.len(), usize::from(!here.is_empty()), "seed {seed}, side {side}: {simulation:#?}");
        for index in here {
            let machine = &simulation.machines[index];
            assert_eq!(
                machine.holds,
                active(&index),
                "seed {seed}: machine {index} holds what it should not"
            );
            assert_eq!(machine.announced_by, Some(owners[0]), "seed {seed}: clients at {index} go astray");
        }
    }
}

fn disturbed(seed: u64) -> Simulation {
    let mut random = Random(seed);
    let machines = machines(&mut random);
    let mut simulation = Simulation::new(random.next(), machines);
    for index in 0..simulation.machines.len() {
        simulation.start(index);
    }
    simulation
}

#[test]
fn after_any_trouble_there_is_one_owner_and_no_change_without_a_cause() {
    for seed in 0..SEEDS {
        let mut simulation = disturbed(seed);
        for _ in 0..12 {
            disturb(&mut simulation);
            let unit = simulation.machines[0].settings.interval.duration();
            let time = simulation.random.between((Duration::ZERO, unit * 10));
            simulation.run_for(time);
        }
        calm(&mut simulation, seed % 2 == 0);
        simulation.run_for(settle_time(&simulation));
        check(&simulation, seed);
        let before = simulation.changes.len();
        simulation.run_for(settle_time(&simulation));
        assert_eq!(simulation.changes.len(), before, "seed {seed}: {:?}", &simulation.changes[before..]);
        check(&simulation, seed);
    }
}

#[test]
fn the_highest_priority_is_active_in_the_end_where_all_preempt() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut machines = machines(&mut random);
        machines.iter_mut().for_each(|settings| settings.preemption = Preemption::After(Duration::ZERO));
        let highest = machines.iter().map(|settings| settings.priority).max();
        let mut simulation = Simulation::new(seed, machines);
        let unit = simulation.machines[0].settings.interval.duration();
        for index in 0..simulation.machines.len() {
            simulation.start(index);
            let time = simulation.random.between((Duration::ZERO, unit * 5));
            simulation.run_for(time);
        }
        simulation.run_for(settle_time(&simulation));
        check(&simulation, seed);
        let owner = simulation.owners()[0];
        assert_eq!(Some(simulation.machines[owner].settings.priority), highest, "seed {seed}");
    }
}

/// Adverts that nobody may take, each with the priority of an owner: more than a dozen kinds.
fn invalid(random: &mut Random, settings: &Settings, own: Ipv4Addr) -> (Envelope, Vec<u8>) {
    let peer = Ipv4Addr::new(10, 0, 0, 250);
    let mut ends = Ends::V4(peer, GROUP_V4);
    let mut hop_limit = HOP_LIMIT;
    let mut advert = settings.advert(Version::V3, Priority::OWNER);
    let kind = random.below(13);
    match kind {
        0 => hop_limit = random.below(255) as u8,
        1 => ends = Ends::V4(own, GROUP_V4),
        2 => ends = Ends::V4(peer, own),
        3 => advert.vrid = Vrid::new(52).unwrap(),
        4 => advert.version = Version::V2,
        _ => {}
    }
    let mut message = advert.build(&ends, ChecksumForm::MessageOnly).unwrap();
    let fifth = message[5];
    match kind {
        5 => message[6] ^= 0x55,
        6 => message[0] = 0x11,
        7 => message[0] = 0x41,
        8 => message[0] = 0x32,
        9 => message.truncate(random.below(12) as usize),
        10 => message.extend([0; 4]),
        11 => {
            // The checksum stays right: what one word loses another one gains.
            message[4..6].fill(0);
            message[11] = message[11].wrapping_add(fifth);
        }
        12 => message[1] = 0,
        _ => {}
    }
    (Envelope { ends, hop_limit }, message)
}

#[test]
fn a_run_with_a_flood_of_invalid_adverts_is_the_same_run() {
    for seed in 0..20 {
        let [quiet, flooded] = [0, 300].map(|flood| {
            let mut simulation = disturbed(seed);
            let mut attacker = Random(!seed);
            for _ in 0..10 {
                disturb(&mut simulation);
                let unit = simulation.machines[0].settings.interval.duration();
                for _ in 0..20 {
                    simulation.run_for(unit / 2);
                    for _ in 0..flood / 20 {
                        let to = attacker.below(simulation.machines.len() as u64) as usize;
                        // What a stalled machine has no room for is lost, be it valid or not.
                        if !simulation.is_stalled(to) {
                            let own = Ipv4Addr::new(10, 0, 0, to as u8 + 1);
                            let (envelope, message) =
                                invalid(&mut attacker, &simulation.machines[to].settings, own);
                            simulation.inject(to, envelope, message);
                        }
                    }
                }
            }
            (simulation.changes.clone(), simulation.sent(), simulation.owners())
        });
        assert_eq!(quiet, flooded, "seed {seed}");
    }
}
