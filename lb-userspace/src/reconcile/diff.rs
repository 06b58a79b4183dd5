//! What is to be done.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::abi::{Backend, BackendLimits, BackendState, Interface, Settings};

use super::admission;
use super::changes::{Change, changes};
use super::origins::{self, Origins};
use crate::maps::{MAX_SLOT_TABLES_AT_ONCE, MAX_SLOTS_AT_ONCE, Operation};
use crate::plan::{MapImage, NO_POOL, PortRange, SlotTable};

/// The operations that lead from `found` to `wanted`; none if they are alike. `fib_generation` is not looked at.
///
/// What is referred to comes before what refers to it, and goes after it.
#[must_use]
pub fn diff(wanted: &MapImage, found: &MapImage) -> Vec<Operation> {
    let mut operations = Vec::new();
    if (Settings { fib_generation: 0, ..found.settings })
        != (Settings { fib_generation: 0, ..wanted.settings })
    {
        operations.push(Operation::Settings(wanted.settings));
    }
    origins::add_addresses(wanted, found, &mut operations);
    admission::set(wanted, found, &mut operations);
    set_interfaces(wanted, found, &mut operations);
    set_snat_addresses(wanted, found, &mut operations);
    operations.extend(
        set(&wanted.limits, &found.limits)
            .map(|(id, limits, _)| Operation::Limits { id: *id, limits: *limits }),
    );
    let backends = changes(&wanted.backends, &found.backends);
    let mut origins = Origins::new(wanted, found, &backends);
    let mut late = set_backends(wanted, &backends, &mut origins, &mut operations);
    set_slots(wanted, found, &mut operations);
    set_services(wanted, found, &mut operations);

    let gone = gone(&wanted.services, &found.services);
    operations.extend(gone.copied().map(Operation::RemoveService));
    let gone: Vec<u16> = self::gone(&wanted.slots, &found.slots).copied().collect();
    let portions = gone.chunks(MAX_SLOT_TABLES_AT_ONCE);
    operations.extend(portions.map(|portion| Operation::RemoveSlotTables(portion.to_vec())));
    operations.append(&mut late);
    operations.append(&mut origins.late);
    admission::remove(wanted, found, &mut operations);
    let gone = self::gone(&wanted.limits, &found.limits);
    let none = BackendLimits::default();
    operations.extend(gone.map(|id| Operation::Limits { id: *id, limits: none }));
    let gone = self::gone(&wanted.snat_addresses, &found.snat_addresses);
    operations.extend(gone.map(|index| Operation::SnatAddress { index: *index, words: [0; 4] }));
    let gone = self::gone(&wanted.interfaces, &found.interfaces);
    let unused = Interface::default();
    operations.extend(gone.map(|ifindex| Operation::Interface { ifindex: *ifindex, interface: unused }));
    origins::remove_addresses(wanted, found, &mut operations);
    operations
}

/// The elements that are new or other, each with what it was.
fn set<'a, K: Ord, V: PartialEq>(
    wanted: &'a BTreeMap<K, V>,
    found: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V, Option<&'a V>)> {
    changes(wanted, found).into_iter().filter_map(|change| Some((change.key, change.wanted?, change.found)))
}

/// The keys of the elements that are to go.
fn gone<'a, K: Ord, V: PartialEq>(
    wanted: &'a BTreeMap<K, V>,
    found: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    let gone = changes(wanted, found).into_iter().filter(|change| change.wanted.is_none());
    gone.map(|change| change.key)
}

fn set_interfaces(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    operations
        .extend(set(&wanted.interfaces, &found.interfaces).map(|(ifindex, interface, _)| {
            Operation::Interface { ifindex: *ifindex, interface: *interface }
        }));
}

fn set_snat_addresses(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    operations.extend(
        set(&wanted.snat_addresses, &found.snat_addresses)
            .map(|(index, words, _)| Operation::SnatAddress { index: *index, words: *words }),
    );
}

/// Backends that take flows come first, with their origins; what is returned comes after slot tables and services: backends that
/// take none, and ids that become free.
fn set_backends(
    wanted: &MapImage,
    backends: &[Change<'_, u32, Backend>],
    origins: &mut Origins,
    operations: &mut Vec<Operation>,
) -> Vec<Operation> {
    let withdrawn = &origins.withdrawn;
    operations
        .extend(withdrawn.iter().map(|(id, backend)| Operation::Backend { id: *id, backend: *backend }));
    operations.append(&mut origins.early);
    let pools: BTreeMap<u16, u32> =
        wanted.services.values().map(|service| (service.id, u32::from(service.snat_count))).collect();
    let ports = PortRange { min: wanted.settings.port_min, max: wanted.settings.port_max };
    let (mut late, mut gone) = (Vec::new(), Vec::new());
    for Change { key: id, wanted: backend, found: before } in backends {
        let Some(backend) = backend else {
            gone.push(Operation::Backend { id: **id, backend: Backend::default() });
            continue;
        };
        let before = withdrawn.get(id).or(*before);
        if before == Some(backend) {
            continue;
        }
        let place = if backend.state == BackendState::Active as u8 { &mut *operations } else { &mut late };
        if !before.is_some_and(|before| same(before, backend)) {
            place.push(Operation::ResetBackendCounters(**id));
        }
        if backend.pool_base != NO_POOL && before.map(|before| before.pool_base) != Some(backend.pool_base) {
            let count = pools.get(&backend.service).copied().unwrap_or_default();
            place.push(Operation::ResetPools { first: backend.pool_base, count, ports });
        }
        place.push(Operation::Backend { id: **id, backend: **backend });
    }
    late.append(&mut gone);
    late
}

/// Whether two elements are of one backend.
pub(super) fn same(a: &Backend, b: &Backend) -> bool {
    (a.addr, a.port, a.family, a.service) == (b.addr, b.port, b.family, b.service)
}

fn set_slots(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    let tables = set(&wanted.slots, &found.slots).map(|(id, table, _)| (*id, Arc::clone(table))).collect();
    operations.extend(portions(tables).into_iter().map(Operation::SlotTables));
}

/// The tables in portions that the kernel's memory is lent for at once.
fn portions(tables: Vec<(u16, SlotTable)>) -> Vec<Vec<(u16, SlotTable)>> {
    let (mut portions, mut slots) = (Vec::<Vec<_>>::new(), 0);
    for (id, table) in tables {
        slots += table.len();
        match portions.last_mut() {
            Some(portion) if portion.len() < MAX_SLOT_TABLES_AT_ONCE && slots <= MAX_SLOTS_AT_ONCE => {
                portion.push((id, table));
            }
            _ => {
                slots = table.len();
                portions.push(vec![(id, table)]);
            }
        }
    }
    portions
}

fn set_services(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (key, service, before) in set(&wanted.services, &found.services) {
        if service.id != 0 && before.map(|before| before.id) != Some(service.id) {
            operations.push(Operation::ResetServiceCounters(service.id));
        }
        operations.push(Operation::Service { key: *key, service: *service });
    }
}
