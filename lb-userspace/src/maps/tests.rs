//! Against maps of the running kernel, none of them pinned.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lb_common::abi::{Backend, BackendSignals, Service, Signal, TrafficCounters};
use lb_common::maps;

use super::shapes::expected;
use super::*;
use crate::model::{HealthView, Mode};
use crate::plan::tests::{backend, config, plan, service};
use crate::plan::{Planner, unknown_slots};
use crate::reconcile::{Policy, Reconciler, diff};
use crate::sys::bpf::{Map, MapShape, possible_cpus};

fn make(name: &'static str, max_entries: u32) -> io::Result<Map> {
    let shape = MapShape { max_entries, ..expected(name).unwrap() };
    if name != maps::SLOTS {
        return Map::create(&shape, name);
    }
    let inner =
        MapShape { map_type: 2, key_size: 4, value_size: 8, max_entries: 2, flags: maps::INNER_MAP_FLAG };
    Map::create_outer(&shape, &Map::create(&inner, "template")?, name)
}

fn entries(name: &str) -> u32 {
    match name {
        maps::SETTINGS => 1,
        maps::PORTS => 8 * maps::PORT_WORDS,
        maps::BACKENDS | maps::BACKEND_FLOWS | maps::BACKEND_COUNTERS => 10_001,
        maps::SERVICE_COUNTERS => 1001,
        maps::OWN_ADDRESSES => maps::OWN_ADDRESS_WORDS,
        _ => 300,
    }
}

fn open(name: &'static str) -> Result<Map, MapError> {
    make(name, entries(name)).map_err(|source| MapError::Open { path: name.into(), source })
}

/// Whether this process may make maps; said aloud if not, and if it need not.
fn privileged() -> bool {
    match make(maps::SETTINGS, 1) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            assert_ne!(std::env::var("LB_REQUIRE_PRIVILEGED").as_deref(), Ok("1"), "{error}");
            eprintln!("SKIPPED: needs CAP_BPF: {error}");
            false
        }
        made => made.map(|_| true).unwrap(),
    }
}

fn everything() -> Vec<crate::model::Service> {
    let mut web =
        service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 2)]);
    web.mode = Mode::FullNat;
    web.snat_addresses = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    web.slots = Some(65_537);
    let six = service("six", "2001:db8::10", 443, vec![backend("a", "fd00::1", 1)]);
    let empty = service("empty", "203.0.113.11", 0, Vec::new());
    let plain = service("plain", "203.0.113.12", 80, vec![backend("c", "10.0.0.3", 1)]);
    vec![web, six, empty, plain]
}

#[expect(clippy::disallowed_methods, reason = "any moment does; durations are measured")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn what_was_written_is_read_again() {
    if !privileged() {
        return;
    }
    let mut maps = PinnedMaps::with(open).unwrap();
    let mut planner = Planner::default();
    let image = plan(&mut planner, &config(everything()), &HealthView::default());
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(image.clone(), true);
    assert!(reconciler.run(&mut maps, now()).error.is_none());
    let dump = maps.dump().unwrap();
    assert_eq!(diff(&image, &dump), []);
    assert_eq!(dump.settings.fib_generation, 1);
    assert_eq!((&dump.origins, dump.origins.len()), (&image.origins, 2));
    assert_eq!(dump.own_addresses, image.own_addresses);

    let none = plan(&mut planner, &config(Vec::new()), &HealthView::default());
    reconciler.desire(none.clone(), true);
    assert!(reconciler.run(&mut maps, now()).error.is_none());
    let dump = maps.dump().unwrap();
    assert_eq!(diff(&none, &dump), []);
    assert!(dump.services.is_empty() && dump.slots.is_empty() && dump.snat_addresses.is_empty());
    assert!(dump.origins.is_empty());
}

#[test]
fn a_slot_table_that_somebody_else_put_there_is_noticed() {
    if !privileged() {
        return;
    }
    let shape =
        MapShape { map_type: 2, key_size: 4, value_size: 8, max_entries: 5, flags: maps::INNER_MAP_FLAG };
    let inner = Map::create(&shape, "other").unwrap();
    let mut slots = slots::Slots::new(make(maps::SLOTS, 10).unwrap());
    slots.replace(&[(1, Arc::from([7, 8, 9])), (2, Arc::from([]))]).unwrap();
    let dump = slots.dump().unwrap();
    assert_eq!((&*dump[&1], &*dump[&2], dump.len()), ([7, 8, 9].as_slice(), [].as_slice(), 2));

    slots.outer().update_inner(1, &inner).unwrap();
    assert_eq!(slots.dump().unwrap()[&1], unknown_slots());
    slots.remove(&[1]).unwrap();
    slots.remove(&[1]).unwrap();
    assert_eq!(slots.dump().unwrap().keys().copied().collect::<Vec<_>>(), [2]);
}

#[test]
fn many_slot_tables_are_taken_out_together() {
    if !privileged() {
        return;
    }
    let mut slots = slots::Slots::new(make(maps::SLOTS, 1000).unwrap());
    let tables: Vec<_> = (1..=400).map(|service| (service, Arc::from([u32::from(service)]))).collect();
    slots.replace(&tables).unwrap();
    let (odd, even): (Vec<u16>, Vec<u16>) = (1..=400).partition(|service| service % 2 == 1);
    let begin = now();
    slots.remove(&odd).unwrap();
    let took = now() - begin;
    assert!(slots.dump().unwrap().into_keys().eq(even));
    // Each waits for an RCU grace period, some 10 ms; one after the other they would take two seconds and more.
    assert!(took.as_millis() < 1000, "{took:?}");
}

#[test]
fn a_map_of_another_shape_is_refused_by_name() {
    let right = MapShape { max_entries: 5, ..expected(maps::BACKENDS).unwrap() };
    let path = Path::new("/sys/fs/bpf/lb/v1/BACKENDS");
    check_shape(maps::BACKENDS, path, right).unwrap();
    for wrong in [
        MapShape { value_size: 8, ..right },
        MapShape { key_size: 8, ..right },
        MapShape { map_type: 1, ..right },
        MapShape { flags: 1, ..right },
    ] {
        let message = check_shape(maps::BACKENDS, path, wrong).unwrap_err().to_string();
        assert!(message.contains("/v1/BACKENDS") && message.contains("lbd --detach"), "{message}");
    }
}

#[test]
fn a_map_that_is_full_is_told_with_map_key_and_remedy() {
    if !privileged() {
        return;
    }
    let small = |name| match name {
        maps::SERVICES_V4 => make(name, 1).map_err(|source| MapError::Open { path: name.into(), source }),
        _ => open(name),
    };
    let mut maps = PinnedMaps::with(small).unwrap();
    let image = plan(&mut Planner::default(), &config(everything()), &HealthView::default());
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(image, true);
    let text = reconciler.run(&mut maps, now()).error.unwrap().to_string();
    for part in ["map SERVICES_V4: cannot write snat address 192.0.2.2", "os error 7", "make [limits] larger"]
    {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[test]
fn a_missing_pin_is_told_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let message = PinnedMaps::open(directory.path()).unwrap_err().to_string();
    assert!(message.contains("SERVICES_V4") && message.contains("pin_directory"), "{message}");
}

#[test]
fn counters_are_summed_over_the_cpus_and_read_fast() {
    if !privileged() {
        return;
    }
    let counters = Counters::with(|name| {
        let map = open(name)?;
        match name {
            maps::SERVICE_COUNTERS | maps::BACKEND_COUNTERS => {
                let traffic = TrafficCounters { packets_in: 3, flows: 1, ..TrafficCounters::default() };
                map.update(&1000_u32, &traffic).unwrap();
            }
            maps::DROPS => map.update(&2_u32, &5_u64).unwrap(),
            maps::BACKEND_FLOWS => map.update(&9_u32, &4_u64).unwrap(),
            _ => {}
        }
        Ok(map)
    })
    .unwrap();
    let cpus = possible_cpus().unwrap() as u64;
    let begin = now();
    let totals = counters.read().unwrap();
    let took = now() - begin;
    assert_eq!(totals.service(1000).packets_in, 3 * cpus);
    assert_eq!(totals.backend(1000).flows, cpus);
    assert_eq!(totals.backend(999), TrafficCounters::default());
    assert_eq!(totals.drops(lb_common::abi::DropReason::ALL[2]), 5 * cpus);
    assert_eq!((totals.flows(9), totals.flows(1_000_000)), (4, 0));
    // 1000 services with 10 backends each. The real figure is some milliseconds; this build is not optimised.
    assert!(took.as_millis() < 500, "{took:?}");
}

#[test]
fn signals_are_read_as_they_are_counted_without_a_system_call() {
    if !privileged() {
        return;
    }
    let map = make(maps::BACKEND_SIGNALS, 100_001).unwrap();
    let signals = Signals::of_map(&map).unwrap();
    map.update(&100_000_u32, &BackendSignals { counts: [5, 4, 3, 2, 1, 0, 0, 0] }).unwrap();
    let begin = now();
    let sum: u64 = (0..=100_000).map(|id| signals.of(id).of(Signal::Syn)).sum();
    let took = now() - begin;
    assert_eq!((sum, signals.of(100_000).of(Signal::RouterUnreachable)), (5, 1));
    assert_eq!(signals.of(100_001), BackendSignals::default());
    // The real figure is below a millisecond; this build is not optimised.
    assert!(took.as_millis() < 500, "{took:?}");
    println!("100 000 backends in {took:?}");
}

#[test]
fn a_restart_finds_all_but_the_content_of_slot_tables() {
    let image = plan(&mut Planner::default(), &config(everything()), &HealthView::default());
    let mut fake = FakeMaps::default();
    for operation in diff(&image, &fake.image) {
        fake.apply(&operation).unwrap();
    }
    let dump = fake.restarted().dump().unwrap();
    assert_eq!((&dump.services, &dump.backends), (&image.services, &image.backends));
    assert_eq!(diff(&image, &dump).len(), 1);
}

#[test]
fn elements_that_become_zero_are_gone() {
    let mut fake = FakeMaps::default();
    let used = Backend { state: 1, family: 4, ..Backend::default() };
    fake.apply(&Operation::Backend { id: 3, backend: used }).unwrap();
    fake.apply(&Operation::Backend { id: 3, backend: Backend::default() }).unwrap();
    fake.apply(&Operation::SnatAddress { index: 1, words: [0; 4] }).unwrap();
    assert!(fake.image.backends.is_empty() && fake.image.snat_addresses.is_empty());
    let key = crate::plan::EntryKey::vip("203.0.113.10".parse().unwrap());
    fake.apply(&Operation::Service { key, service: Service::default() }).unwrap();
    assert_eq!(fake.image.services.len(), 1, "an entry that is all 0 says that the address is a VIP");
}
