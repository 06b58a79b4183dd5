//! No step leaves a backend that relies on an origin or on limits without them, nor an address in use that is not ours.

use lb_common::abi::BackendFlags;
use lb_common::maps::address_bit;

use super::*;
use crate::maps::{LbMaps, MapError, Operation};
use crate::plan::{EntryKey, address_of, address_words};

/// Maps that look after each operation whether anything relies on what is not there.
#[derive(Debug, Default)]
struct Checked {
    maps: FakeMaps,
    /// The operations up to the first one that was wrong.
    wrong: Option<Vec<String>>,
}

impl LbMaps for Checked {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        self.maps.apply(operation)?;
        if self.wrong.is_none()
            && !(origins_are_there(&self.maps.image)
                && addresses_are_own(&self.maps.image)
                && limits_are_there(&self.maps.image))
        {
            self.wrong = Some(self.maps.log.clone());
        }
        Ok(())
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        self.maps.read(part, image)
    }
}

fn origins_are_there(image: &MapImage) -> bool {
    let exclusive = image.backends.iter().filter(|(_, backend)| backend.flags & BackendFlags::EXCLUSIVE != 0);
    exclusive.map(|(id, backend)| (id, backend, address_of(backend.addr, backend.family))).all(
        |(id, backend, address)| {
            let key = EntryKey { address: address.unwrap(), proto: 6, port: u16::from_be(backend.port) };
            let origin = image.origins.get(&key);
            origin.is_some_and(|origin| (origin.backend, origin.service) == (*id, backend.service))
        },
    )
}

fn addresses_are_own(image: &MapImage) -> bool {
    let vips = image.services.keys().map(|key| address_words(key.address));
    let backends = image.backends.values().map(|backend| backend.addr);
    vips.chain(backends).chain(image.snat_addresses.values().copied()).all(|words| {
        let (word, bit) = address_bit(words);
        image.own_addresses.get(&word).is_some_and(|bits| bits >> bit & 1 == 1)
    })
}

fn limits_are_there(image: &MapImage) -> bool {
    let limited = image.backends.iter().filter(|(_, backend)| backend.flags & BackendFlags::LIMITED != 0);
    limited.map(|(id, _)| id).all(|id| image.limits.contains_key(id))
}

/// The operations from one configuration to another that concern backends, origins and services.
fn steps(from: Vec<Service>, to: Vec<Service>) -> Vec<String> {
    let mut planner = Planner::default();
    let before = image(&mut planner, &config(from));
    let operations = diff(&image(&mut planner, &config(to)), &before);
    let texts = operations.iter().map(ToString::to_string);
    texts.filter(|text| ["backend", "origin", "remove"].iter().any(|start| text.starts_with(start))).collect()
}

fn alias(backends: &[(&str, &str, u16)]) -> Service {
    Service { name: "alias".parse().unwrap(), port: 81, ..web(backends) }
}

#[test]
fn a_second_service_takes_exclusive_away_but_not_the_origin() {
    let (one, two) = (web(&[("a", "10.0.0.1", 1)]), alias(&[("a", "10.0.0.1", 1)]));
    assert_eq!(
        steps(vec![one.clone()], vec![one.clone(), two.clone()]),
        ["backend 1 state 1", "backend 2 state 1"]
    );
    assert_eq!(
        steps(vec![one.clone(), two], vec![one]),
        [
            "backend 1 state 1 exclusive",
            "remove service tcp 203.0.113.10:81",
            "remove slots 2",
            "backend 2 state 0"
        ]
    );
}

#[test]
fn an_origin_that_passes_on_is_given_up_first_and_taken_up_last() {
    let (one, two) = (web(&[("a", "10.0.0.1", 1)]), alias(&[("a", "10.0.0.1", 1)]));
    assert_eq!(
        steps(vec![one.clone()], vec![two.clone()]),
        [
            "backend 1 state 1",
            "origin tcp 10.0.0.1:8080 backend 2",
            "backend 2 state 1 exclusive",
            "remove service tcp 203.0.113.10:80",
            "remove slots 1",
            "backend 1 state 0",
        ]
    );
    assert_eq!(
        steps(vec![one.clone(), two.clone()], vec![two]),
        [
            "origin tcp 10.0.0.1:8080 backend 2",
            "backend 2 state 1 exclusive",
            "remove service tcp 203.0.113.10:80",
            "remove slots 1",
            "backend 1 state 0",
        ]
    );
}

#[test]
fn an_origin_goes_after_its_backend_and_its_address_last() {
    let mut planner = Planner::default();
    let both = image(&mut planner, &config(vec![web(&[("a", "10.0.0.1", 1), ("b", "10.0.0.2", 1)])]));
    image(&mut planner, &config(vec![web(&[("a", "10.0.0.1", 1)])]));
    planner.release(2);
    let one = image(&mut planner, &config(vec![web(&[("a", "10.0.0.1", 1)])]));
    let texts: Vec<String> = diff(&one, &both).iter().map(ToString::to_string).collect();
    let (word, _) = address_bit(address_words("10.0.0.2".parse().unwrap()));
    let last = format!("remove own addresses {word} 0");
    assert_eq!(texts, ["slots 1:13", "backend 2 state 0", "remove origin tcp 10.0.0.2:8080", &last]);
}

#[test]
fn what_is_left_over_of_an_id_that_was_given_away_makes_room_first() {
    let mut planner = Planner::default();
    let before = image(&mut planner, &config(vec![web(&[("a", "10.0.0.1", 1)])]));
    image(&mut planner, &config(vec![web(&[])]));
    planner.release(1);
    let after = image(&mut planner, &config(vec![web(&[("b", "10.0.0.2", 1)])]));
    let texts: Vec<String> = diff(&after, &before).iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[1..6],
        [
            "backend 1 state 1",
            "remove origin tcp 10.0.0.1:8080",
            "origin tcp 10.0.0.2:8080 backend 1",
            "reset counters of backend 1",
            "backend 1 state 1 exclusive",
        ]
    );
}

#[test]
fn origins_and_addresses_that_somebody_else_changed_are_repaired() {
    let mut maps = FakeMaps::default();
    let policy = Policy::default();
    let mut reconciler = Reconciler::new(policy);
    let both = config(vec![web(&[("a", "10.0.0.1", 1), ("b", "10.0.0.2", 1)])]);
    let wanted = image(&mut Planner::default(), &both);
    reconciler.desire(wanted.clone(), true);
    let now = start();
    reconciler.run(&mut maps, now);
    maps.image.own_addresses = [(7, 1)].into();
    let (key, mut origin) = maps.image.origins.pop_first().unwrap();
    maps.image.origins.insert(EntryKey { port: 1, ..key }, origin);
    (origin.service, origin.backend) = (9, 1);
    maps.image.origins.last_entry().unwrap().insert(origin);
    let round = reconciler.check(&mut maps, now);
    assert!(round.error.is_none() && !round.drift.is_empty());
    assert_eq!(planned(&maps), wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_step_takes_away_what_something_relies_on(
        seed in any::<u64>(),
        percent in 0_u64..40,
        wishes in prop::collection::vec(
            (prop::collection::vec((any::<bool>(), prop::collection::btree_set(1_u8..8, 0..5)), 0..4), any::<[bool; 3]>()),
            1..8,
        ),
    ) {
        let mut maps = FaultyMaps::new(Checked::default(), percent, random(seed));
        let (mut planner, mut reconciler) = (Planner::default(), Reconciler::new(Policy::default()));
        let mut last = MapImage::default();
        for (services, [complete, release, restart]) in wishes {
            last = image(&mut planner, &config(sharing(services)));
            reconciler.desire(last.clone(), complete);
            reconciler.run(&mut maps, start());
            for id in planner.ids().releasing().collect::<Vec<_>>() {
                if release {
                    planner.release(id);
                }
            }
            if restart {
                maps.inner.maps = maps.inner.maps.restarted();
                planner = Planner::restore(&maps.inner.maps.image);
                reconciler = Reconciler::new(Policy::default());
                last = image(&mut planner, &config(Vec::new()));
            }
        }
        reconciler.desire(last.clone(), true);
        run_until_converged(&mut reconciler, &mut maps, 10_000);
        prop_assert_eq!(maps.inner.wrong, None);
        prop_assert_eq!(planned(&maps.inner.maps), last);
    }
}

/// Services that have backends in common; `full-nat` or not.
fn sharing(services: Vec<(bool, std::collections::BTreeSet<u8>)>) -> Vec<Service> {
    let service = |(number, (full_nat, hosts)): (u16, (bool, std::collections::BTreeSet<u8>))| {
        let backends =
            hosts.iter().map(|host| backend(&format!("b{host}"), &format!("10.0.0.{host}"), 1)).collect();
        let mut service = service(&format!("s{number}"), &format!("203.0.113.{number}"), 80, backends);
        if full_nat {
            service.mode = Mode::FullNat;
            service.snat_addresses = vec!["192.0.2.1".parse().unwrap()];
        }
        service.max_connections = if hosts.contains(&3) { 1 } else { 0 };
        service
    };
    (1..).zip(services).map(service).collect()
}
