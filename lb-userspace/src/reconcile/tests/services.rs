//! Whatever fails in between, a packet never finds a service half made: one without a slot table, or a table with a backend that is
//! another's or takes no flows.

use std::collections::BTreeSet;

use lb_common::abi::{BackendState, Service as Entry};

use super::*;
use crate::maps::{LbMaps, MapError, Operation};
use crate::model::{AdminState, Protocol};
use crate::plan::unknown_slots;

/// Maps that look after each operation whether a packet could find something half made.
#[derive(Debug, Default)]
struct Watched {
    maps: FakeMaps,
    /// Slot tables that somebody wrote who is gone: nobody can read them.
    foreign: BTreeSet<u16>,
    /// What was wrong first, and the operations up to there.
    wrong: Option<(String, Vec<String>)>,
}

impl Watched {
    /// The next process finds the same, but knows no slot table.
    fn restart(&mut self) {
        self.foreign = self.maps.image.slots.keys().copied().collect();
    }
}

impl LbMaps for Watched {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        self.maps.apply(operation)?;
        if let Operation::SlotTables(tables) = operation {
            self.foreign.retain(|known| tables.iter().all(|(service, _)| service != known));
        }
        if let (None, Err(wrong)) = (&self.wrong, whole(&self.maps.image)) {
            self.wrong = Some((wrong, self.maps.log.clone()));
        }
        Ok(())
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        self.maps.read(part, image)?;
        if part == Part::Slots {
            image.slots.extend(self.foreign.iter().map(|service| (*service, unknown_slots())));
        }
        Ok(())
    }
}

/// Whether all that a packet could come to is there.
fn whole(image: &MapImage) -> Result<(), String> {
    for (key, service) in image.services.iter().filter(|(_, service)| service.id != 0) {
        let id = service.id;
        let table = image.slots.get(&id).ok_or_else(|| format!("{key} has no slot table"))?;
        for slot in &**table {
            let backend =
                image.backends.get(slot).ok_or_else(|| format!("{key}: slot of unset backend {slot}"))?;
            if backend.service != id {
                return Err(format!("{key}: backend {slot} in a slot is of service {}", backend.service));
            }
            if backend.state != BackendState::Active as u8 {
                return Err(format!("{key}: backend {slot} in a slot has state {}", backend.state));
            }
        }
        let Entry { snat_base, snat_count, .. } = *service;
        for index in snat_base..snat_base + u32::from(snat_count) {
            if !image.snat_addresses.contains_key(&index) {
                return Err(format!("{key}: SNAT address {index} is not set"));
            }
        }
    }
    Ok(())
}

/// What a service is to be, in small numbers.
#[derive(Clone, Debug)]
struct Wish {
    place: u8,
    full_nat: bool,
    six: bool,
    backends: Vec<(u8, u16, AdminState)>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let state =
        prop_oneof![Just(AdminState::Enabled), Just(AdminState::Draining), Just(AdminState::Disabled)];
    let backends = prop::collection::btree_map(1_u8..8, (0_u16..3, state), 0..5);
    (1_u8..6, any::<bool>(), any::<bool>(), backends).prop_map(|(place, full_nat, six, backends)| {
        let backends = backends.into_iter().map(|(host, (weight, state))| (host, weight, state)).collect();
        Wish { place, full_nat, six, backends }
    })
}

fn services(wishes: &[Wish]) -> Vec<Service> {
    let mut places = BTreeSet::new();
    let wishes = wishes.iter().filter(|wish| places.insert((wish.place, wish.six)));
    wishes.map(wanted).collect()
}

fn wanted(wish: &Wish) -> Service {
    let net =
        |v4: &str, v6: &str, host: u8| if wish.six { format!("{v6}{host}") } else { format!("{v4}{host}") };
    let backends = wish.backends.iter().map(|(host, weight, state)| {
        let mut backend = backend(&format!("b{host}"), &net("10.0.0.", "fd00::", *host), *weight);
        backend.state = *state;
        backend
    });
    let name = format!("s{}{}", wish.place, if wish.six { "v6" } else { "" });
    let mut service = service(&name, &net("203.0.113.", "2001:db8::", wish.place), 80, backends.collect());
    service.protocol = if wish.place.is_multiple_of(2) { Protocol::Udp } else { Protocol::Tcp };
    if wish.full_nat {
        service.mode = Mode::FullNat;
        service.snat_addresses = [1, wish.place]
            .iter()
            .map(|host| net("192.0.2.", "2001:db8:1::", *host).parse().unwrap())
            .collect();
        service.snat_addresses.dedup();
    }
    service
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_packet_finds_a_service_half_made_whatever_the_kernel_refuses(
        seed in any::<u64>(),
        percent in 0_u64..40,
        rounds in prop::collection::vec((prop::collection::vec(wish(), 0..5), 1_usize..4, any::<[bool; 2]>()), 1..8),
    ) {
        let mut maps = FaultyMaps::new(Watched::default(), percent, random(seed));
        let (mut planner, mut reconciler) = (Planner::default(), Reconciler::new(Policy::default()));
        let (mut last, mut now) = (MapImage::default(), start());
        for (wishes, tries, [release, restart]) in rounds {
            last = image(&mut planner, &config(services(&wishes)));
            reconciler.desire(last.clone(), true);
            for _ in 0..tries {
                let failed = reconciler.run(&mut maps, now).error.is_some();
                prop_assert!(!failed || reconciler.next_run(now).is_some_and(|next| next > now), "it pauses");
                now = now.max(reconciler.next_run(now).unwrap());
            }
            // A scan of the flows gives ids back that it sees removed in the map.
            let removed = |id: &u32| {
                maps.inner.maps.image.backends.get(id).is_some_and(|backend| backend.state == 0)
            };
            for id in planner.ids().releasing().filter(|_| release).filter(removed).collect::<Vec<_>>() {
                planner.release(id);
            }
            if restart {
                maps.inner.restart();
                planner = Planner::restore(&maps.inner.maps.image);
                reconciler = Reconciler::new(Policy::default());
                last = image(&mut planner, &config(services(&wishes)));
                reconciler.desire(last.clone(), true);
            }
        }
        run_until_converged(&mut reconciler, &mut maps, 10_000);
        prop_assert_eq!(&maps.inner.wrong, &None);
        prop_assert_eq!(planned(&maps.inner.maps), last);
    }
}
