//! Control dies at any operation on the maps, and another one adopts what is there.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::BackendState;
use proptest::prelude::*;

use super::*;
use crate::{
    model::HealthView,
    plan::{EntryKey, Inputs, Planner, Sources, address_of},
};

/// What an image says, in words that do not depend on ids; removed backends that wait for their release left out.
fn meaning(image: &MapImage) -> BTreeSet<String> {
    let keys: BTreeMap<u16, EntryKey> = image
        .services
        .iter()
        .filter(|(_, service)| service.id != 0)
        .map(|(key, service)| (service.id, *key))
        .collect();
    let of = |service: &u16| keys.get(service).map_or_else(|| format!("lost {service}"), ToString::to_string);
    let at = |id: u32| match image.backends.get(&id) {
        Some(backend) => format!("{:?}:{}", address_of(backend.addr, backend.family), backend.port),
        None => format!("nobody {id}"),
    };
    let mut lines: BTreeSet<String> = image.services.keys().map(|key| format!("service {key}")).collect();
    let live = image.backends.iter().filter(|(_, backend)| backend.state != BackendState::Unused as u8);
    lines.extend(live.map(|(id, backend)| {
        let (state, flags, weight) = (backend.state, backend.flags, backend.weight);
        format!("backend {} of {} state {state} flags {flags} weight {weight}", at(*id), of(&backend.service))
    }));
    lines.extend(image.slots.iter().map(|(service, slots)| {
        let slots: Vec<String> =
            slots.iter().map(|id| if *id == 0 { "-".to_owned() } else { at(*id) }).collect();
        format!("slots of {}: {}", of(service), slots.join(" "))
    }));
    lines.extend(
        image
            .origins
            .iter()
            .map(|(key, origin)| format!("origin {key}: {} {}", of(&origin.service), at(origin.backend))),
    );
    lines.extend(image.own_addresses.iter().map(|(word, bits)| format!("own {word} {bits:x}")));
    lines
}

/// What a configuration means where there was nothing before.
fn meaning_of(config: &Config) -> BTreeSet<String> {
    let (health, interfaces, resets) = (HealthView::default(), BTreeMap::new(), BTreeSet::new());
    let sources = Sources::default();
    let inputs = Inputs {
        config,
        health: &health,
        pools: &[],
        resets: &resets,
        sources: &sources,
        interfaces: &interfaces,
        seed: 7,
    };
    meaning(&Planner::default().plan(&inputs).unwrap())
}

/// Backends by service that a configuration has.
fn backends(config: &Config) -> BTreeSet<(String, String)> {
    let all = config.services.iter().flat_map(|service| {
        let key = EntryKey::service(service.at()).to_string();
        service.backends.iter().map(move |backend| (key.clone(), format!("{:?}", Some(backend.address))))
    });
    all.collect()
}

/// Panics if a slot that packets can come to names another backend than those.
fn no_stranger(image: &MapImage, allowed: &BTreeSet<(String, String)>) {
    for (key, service) in image.services.iter().filter(|(_, service)| service.id != 0) {
        let Some(slots) = image.slots.get(&service.id) else { continue };
        for id in slots.iter().filter(|id| **id != 0 && **id != u32::MAX) {
            let Some(backend) =
                image.backends.get(id).filter(|backend| backend.state == BackendState::Active as u8)
            else {
                continue;
            };
            let at = (key.to_string(), format!("{:?}", address_of(backend.addr, backend.family)));
            assert!(allowed.contains(&at), "{at:?} is in the slots of {key}");
            assert_eq!(backend.service, service.id, "{at:?} is another service's");
        }
    }
}

/// Frees the ids of removed backends, as scans do once their flows are gone.
fn release(control: &mut Control) {
    for id in control.snapshot().releasing.clone() {
        control.handle(Event::BackendReleased { id }, moment()).unwrap();
    }
    control.settle(moment());
}

/// Some configurations that have little in common.
fn configs() -> Vec<Config> {
    let mut swapped = example().draft();
    // The other service takes over an address and port.
    swapped.services[0].backends = vec![backend("x", "10.0.0.53", 53), backend("b3", "10.0.0.13", 8080)];
    swapped.services[1].backends = vec![backend("y", "10.0.0.11", 8080)];
    let mut fewer = example().draft();
    fewer.services.pop();
    fewer.services[0].backends.remove(0);
    let mut other = example().draft();
    other.services[0].algorithm = Algorithm::RoundRobin;
    other.services[0].backends[1].state = AdminState::Draining;
    other.services[1].port = 54;
    let none = Vec::new();
    let mut empty = example().draft();
    empty.services = none;
    [example().draft(), swapped, fewer, other, empty].map(|draft| draft.check().unwrap()).into()
}

#[test]
fn a_kill_at_any_operation_leaves_maps_that_the_next_start_brings_to_the_file() {
    let configs = configs();
    let mut kills = 0;
    for (from, to) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))).filter(|(from, to)| from != to)
    {
        let (from, to) = (&configs[from], &configs[to]);
        let allowed: BTreeSet<_> = backends(from).union(&backends(to)).cloned().collect();
        for operations in 0.. {
            let (store, maps) = (MemoryStore::new(from.clone()), SharedMaps::default());
            let mut first = control(&store, &maps);
            // The file is what counts, whether it was read already or not.
            store.write(Ok(to.clone()));
            maps.set_budget(Some(operations));
            let dead = first.handle(Event::Reload, moment()).is_err();
            drop(first);
            no_stranger(&maps.image(), &allowed);
            let maps = maps.restarted();
            let mut second = control(&store, &maps);
            no_stranger(&maps.image(), &backends(to));
            // Until the flows of removed backends are gone, their addresses are known to the data path.
            release(&mut second);
            assert_eq!(meaning(&maps.image()), meaning_of(to), "killed after {operations} operations");
            let left = maps.image().backends.values().filter(|backend| backend.state == 0).count();
            assert_eq!(left, 0);
            kills += usize::from(dead);
            if !dead {
                break;
            }
        }
    }
    assert!(kills > 150, "{kills}");
}

#[test]
fn a_start_that_is_killed_at_any_operation_is_finished_by_the_next() {
    for to in configs() {
        for operations in 0.. {
            let (store, maps) = (MemoryStore::new(to.clone()), SharedMaps::default());
            maps.set_budget(Some(operations));
            let begun =
                Control::start(Box::new(store.clone()), Box::new(maps.clone()), [].into(), 7, moment());
            let dead = begun.is_err();
            drop(begun);
            no_stranger(&maps.image(), &backends(&to));
            let maps = maps.restarted();
            drop(control(&store, &maps));
            assert_eq!(meaning(&maps.image()), meaning_of(&to), "killed after {operations} operations");
            if !dead {
                break;
            }
        }
    }
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    /// The file is another one, and is read.
    Load(usize),
    /// It is read while the maps fail from an operation on.
    Fail(usize, usize),
    /// `kill -9` while it is read, after some operations, and another start.
    Kill(usize, usize),
    /// Somebody else changes the maps.
    Tamper(u32),
    /// Flows of removed backends are gone.
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..5_usize).prop_map(Step::Load),
        (0..5_usize, 0..30_usize).prop_map(|(config, operations)| Step::Fail(config, operations)),
        (0..5_usize, 0..30_usize).prop_map(|(config, operations)| Step::Kill(config, operations)),
        any::<u32>().prop_map(Step::Tamper),
        Just(Step::Release),
    ];
    prop::collection::vec(step, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_maps_come_to_what_the_file_says(steps in steps()) {
        let configs = configs();
        let (store, mut maps) = (MemoryStore::new(configs[0].clone()), SharedMaps::default());
        let mut alive = control(&store, &maps);
        for step in steps {
            match step {
                Step::Load(config) => {
                    store.write(Ok(configs[config].clone()));
                    alive.handle(Event::Reload, moment()).unwrap();
                }
                Step::Fail(config, operations) => {
                    store.write(Ok(configs[config].clone()));
                    maps.set_budget(Some(operations));
                    let _ = alive.handle(Event::Reload, moment());
                    maps.set_budget(None);
                }
                Step::Kill(config, operations) => {
                    store.write(Ok(configs[config].clone()));
                    maps.set_budget(Some(operations));
                    let _ = alive.handle(Event::Reload, moment());
                    maps = maps.restarted();
                    alive = control(&store, &maps);
                }
                Step::Tamper(what) => maps.tamper(|image| {
                    image.backends.retain(|id, _| (id + what) % 3 != 0);
                    image.slots.retain(|id, _| (u32::from(*id) + what) % 2 != 0);
                    image.own_addresses.insert(what % 64, 1);
                    if what % 5 == 0 {
                        image.services.clear();
                    }
                }),
                Step::Release => release(&mut alive),
            }
        }
        // Minutes pass: failures are tried again, drift is looked for, the file is read.
        let _ = alive.handle(Event::Reload, moment());
        for second in 0..120 {
            alive.settle(moment() + Duration::from_secs(second));
        }
        release(&mut alive);
        prop_assert_eq!(alive.snapshot().problem.clone(), None);
        prop_assert_eq!(meaning(&maps.image()), meaning_of(&store.config()));
    }
}
