//! With maps in memory, healthy and faulty.

mod generation;
mod origins;
mod services;

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::maps::{FakeMaps, FaultyMaps, LbMaps as _, Part};
use crate::model::{Config, HealthView, Mode, Service};
use crate::plan::tests::{backend, config, plan, service};
use crate::plan::{MapImage, Planner};

fn web(backends: &[(&str, &str, u16)]) -> Service {
    let backends = backends.iter().map(|(name, at, weight)| backend(name, at, *weight)).collect();
    service("web", "203.0.113.10", 80, backends)
}

fn image(planner: &mut Planner, config: &Config) -> MapImage {
    plan(planner, config, &HealthView::default())
}

#[expect(clippy::disallowed_methods, reason = "any moment does; it does not pass")]
fn start() -> Instant {
    Instant::now()
}

/// Runs until it has converged or `rounds` are over; the time it took.
fn run_until_converged(
    reconciler: &mut Reconciler,
    maps: &mut dyn crate::maps::LbMaps,
    rounds: usize,
) -> Duration {
    let begin = start();
    let mut now = begin;
    for _ in 0..rounds {
        reconciler.run(maps, now);
        if reconciler.is_converged() {
            return now - begin;
        }
        now = now.max(reconciler.next_run(now).unwrap());
    }
    panic!("not converged after {rounds} rounds: {:?}", reconciler.statistics());
}

/// All but the generation of routes, which is not planned.
fn planned(maps: &FakeMaps) -> MapImage {
    let mut image = maps.image.clone();
    image.settings.fib_generation = 0;
    image
}

/// Evenly spread numbers.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// What was done, but for the bits of addresses, of which nobody knows the places by heart.
fn done(log: &[String]) -> Vec<&str> {
    log.iter().map(String::as_str).filter(|text| !text.contains("own addresses")).collect()
}

#[test]
fn operations_come_in_an_order_that_never_leaves_a_hole() {
    let mut planner = Planner::default();
    let first = image(&mut planner, &config(vec![web(&[("a", "10.0.0.1", 1), ("b", "10.0.0.2", 1)])]));
    let mut maps = FakeMaps::default();
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(first, true);
    reconciler.run(&mut maps, start());
    assert_eq!(
        done(&maps.log),
        [
            "settings",
            "interface 2 flags 1",
            "origin tcp 10.0.0.1:8080 backend 1",
            "origin tcp 10.0.0.2:8080 backend 2",
            "reset counters of backend 1",
            "backend 1 state 1 exclusive",
            "reset counters of backend 2",
            "backend 2 state 1 exclusive",
            "slots 1:13",
            "service vip 203.0.113.10 id 0",
            "reset counters of service 1",
            "service tcp 203.0.113.10:80 id 1",
            "fib generation 1",
        ]
    );

    maps.log.clear();
    reconciler
        .desire(image(&mut planner, &config(vec![web(&[("b", "10.0.0.2", 1), ("c", "10.0.0.3", 1)])])), true);
    reconciler.run(&mut maps, start());
    assert_eq!(
        done(&maps.log),
        [
            "origin tcp 10.0.0.3:8080 backend 3",
            "reset counters of backend 3",
            "backend 3 state 1 exclusive",
            "slots 1:13",
            "backend 1 state 0",
            "remove origin tcp 10.0.0.1:8080",
            "fib generation 2",
        ]
    );

    maps.log.clear();
    reconciler.desire(image(&mut planner, &config(Vec::new())), true);
    reconciler.run(&mut maps, start());
    assert_eq!(
        done(&maps.log),
        [
            "remove service vip 203.0.113.10",
            "remove service tcp 203.0.113.10:80",
            "remove slots 1",
            "backend 2 state 0",
            "backend 3 state 0",
            "remove origin tcp 10.0.0.2:8080",
            "remove origin tcp 10.0.0.3:8080",
            "fib generation 3",
        ]
    );
}

#[test]
fn port_pools_are_set_up_before_their_backend_and_not_when_it_changes() {
    let mut full_nat = web(&[("a", "10.0.0.1", 1)]);
    full_nat.mode = Mode::FullNat;
    full_nat.snat_addresses = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let mut planner = Planner::default();
    let first = image(&mut planner, &config(vec![full_nat.clone()]));
    let texts = |operations: Vec<crate::maps::Operation>| -> Vec<String> {
        operations.iter().map(ToString::to_string).filter(|text| !text.starts_with(['s', 'o'])).collect()
    };
    assert_eq!(
        texts(diff(&first, &MapImage::default())),
        [
            "interface 2 flags 1",
            "reset counters of backend 1",
            "reset pools 0+2",
            "backend 1 state 1",
            "reset counters of service 1"
        ]
    );
    full_nat.backends[0].weight = 7;
    let second = image(&mut planner, &config(vec![full_nat]));
    assert_eq!(texts(diff(&second, &first)), ["backend 1 state 1"]);
}

#[test]
fn an_image_that_is_there_already_needs_nothing() {
    let first = image(&mut Planner::default(), &config(vec![web(&[("a", "10.0.0.1", 1)])]));
    assert_eq!(diff(&first, &first), []);
    let mut maps = FakeMaps::default();
    for operation in diff(&first, &maps.image).iter().chain(&diff(&first, &maps.image)) {
        maps.apply(operation).unwrap();
    }
    assert_eq!(maps.image, first);
}

#[test]
fn a_restart_rewrites_slot_tables_only_and_raises_the_generation() {
    let config = config(vec![web(&[("a", "10.0.0.1", 1)])]);
    let mut maps = FakeMaps::default();
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(image(&mut Planner::default(), &config), true);
    reconciler.run(&mut maps, start());

    let mut maps = maps.restarted();
    let mut planner = Planner::restore(&maps.dump().unwrap());
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(image(&mut planner, &config), true);
    assert!(reconciler.run(&mut maps, start()).error.is_none());
    assert_eq!(maps.log, ["slots 1:13", "fib generation 2"]);
}

#[test]
fn nothing_is_taken_away_before_the_desired_state_is_complete() {
    let mut maps = FakeMaps::default();
    let mut reconciler = Reconciler::new(Policy::default());
    let both = config(vec![web(&[("a", "10.0.0.1", 1), ("b", "10.0.0.2", 1)])]);
    reconciler.desire(image(&mut Planner::default(), &both), true);
    reconciler.run(&mut maps, start());

    let mut maps = maps.restarted();
    let before = maps.image.clone();
    let mut planner = Planner::restore(&maps.dump().unwrap());
    let none = image(&mut planner, &config(Vec::new()));
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(none.clone(), false);
    reconciler.run(&mut maps, start());
    assert_eq!((&maps.image.services, &maps.image.backends), (&before.services, &before.backends));
    assert_eq!(maps.image.slots, before.slots);

    reconciler.desire(none, true);
    reconciler.run(&mut maps, start());
    assert!(maps.image.services.is_empty() && maps.image.slots.is_empty());
    assert!(maps.image.backends.values().all(|backend| backend.state == 0));
}

#[test]
fn what_somebody_else_changed_is_found_counted_and_repaired() {
    let mut maps = FakeMaps::default();
    let policy = Policy::default();
    let mut reconciler = Reconciler::new(policy);
    reconciler.desire(image(&mut Planner::default(), &config(vec![web(&[("a", "10.0.0.1", 1)])])), true);
    let now = start();
    reconciler.run(&mut maps, now);
    let good = planned(&maps);
    maps.image.backends.clear();
    maps.image.slots.clear();
    maps.image.snat_addresses.insert(9, [1, 2, 3, 4]);

    assert_eq!(reconciler.run(&mut maps, now + policy.full_round / 2).applied, 0);
    let found: Vec<_> = (0..Part::ALL.len())
        .flat_map(|_| reconciler.run(&mut maps, now + policy.full_round).drift)
        .map(|drift| (drift.part.as_str(), drift.kind.as_str(), drift.count))
        .collect();
    assert_eq!(found, [("slots", "missing", 1), ("backends", "missing", 1), ("snat_addresses", "extra", 1)]);
    assert_eq!(planned(&maps), good);
    let statistics = reconciler.statistics();
    assert_eq!((statistics.drift.total(), statistics.rounds), (3, 1));
    for _ in 0..2 * Part::ALL.len() {
        assert_eq!(reconciler.run(&mut maps, now + 2 * policy.full_round).applied, 0);
    }
    assert_eq!(reconciler.statistics().rounds, 2, "nothing more before the next round is due");
}

#[test]
fn a_round_that_is_asked_for_looks_at_everything_at_once() {
    let mut maps = FakeMaps::default();
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(image(&mut Planner::default(), &config(vec![web(&[("a", "10.0.0.1", 1)])])), true);
    reconciler.run(&mut maps, start());
    let good = planned(&maps);
    maps.image = MapImage::default();
    let round = reconciler.check(&mut maps, start());
    assert!(round.error.is_none());
    assert_eq!(planned(&maps), good);
    let parts: std::collections::BTreeSet<_> = round.drift.iter().map(|drift| drift.part).collect();
    assert_eq!(
        parts.len(),
        Part::ALL.len() - 4,
        "all but SNAT addresses, limits and lists of sources, of which there are none"
    );
    assert_eq!(reconciler.check(&mut maps, start()).drift, []);
}

#[test]
fn a_change_in_the_middle_of_a_round_is_not_taken_for_drift() {
    let mut maps = FakeMaps::default();
    let policy = Policy::default();
    let (mut planner, mut reconciler) = (Planner::default(), Reconciler::new(policy));
    let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let now = start();
    reconciler.desire(image(&mut planner, &config(vec![web(&[("a", hosts[0], 1)])])), true);
    reconciler.run(&mut maps, now);
    for (number, weight) in (0..3 * Part::ALL.len()).zip(1..) {
        let wanted = image(&mut planner, &config(vec![web(&[("a", hosts[number % 3], weight)])]));
        reconciler.desire(wanted, true);
        // The change, then a part of the round.
        for _ in 0..2 {
            let round = reconciler.run(&mut maps, now + policy.full_round * number as u32);
            assert!(round.error.is_none() && round.drift.is_empty(), "{number}: {round:?}");
        }
    }
    assert!(reconciler.statistics().rounds >= 2);
}

#[test]
fn pauses_between_failures_grow_to_the_longest_and_begin_anew_with_a_new_desire() {
    let first = image(&mut Planner::default(), &config(vec![web(&[("a", "10.0.0.1", 1)])]));
    let mut maps = FaultyMaps::new(FakeMaps::default(), 100, || 0);
    let policy = Policy::default();
    let mut reconciler = Reconciler::new(policy);
    reconciler.desire(first.clone(), true);
    let mut now = start();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert!(reconciler.run(&mut maps, now).error.is_some());
        let next = reconciler.next_run(now).unwrap();
        pauses.push((next - now).as_millis());
        assert!(reconciler.run(&mut maps, next - Duration::from_millis(1)).error.is_none(), "too early");
        now = next;
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    maps.heal();
    assert!(reconciler.run(&mut maps, now).error.is_none());
    assert!(reconciler.is_converged());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_fails_and_whatever_is_wanted_the_maps_come_to_it(
        seed in any::<u64>(),
        percent in 0_u64..60,
        wishes in prop::collection::vec(prop::collection::btree_set(1_u8..20, 0..8), 1..6),
    ) {
        let mut maps = FaultyMaps::new(FakeMaps::default(), percent, random(seed));
        let mut planner = Planner::default();
        let mut reconciler = Reconciler::new(Policy::default());
        let mut last = MapImage::default();
        for hosts in wishes {
            let backends = hosts.iter().map(|host| backend(&format!("b{host}"), &format!("10.0.0.{host}"), 1)).collect();
            last = image(&mut planner, &config(vec![service("web", "203.0.113.10", 80, backends)]));
            reconciler.desire(last.clone(), true);
            reconciler.run(&mut maps, start());
            for id in planner.ids().releasing().collect::<Vec<_>>() {
                planner.release(id);
            }
        }
        run_until_converged(&mut reconciler, &mut maps, 10_000);
        prop_assert_eq!(planned(&maps.inner), last);
    }
}
