//! What is to be done.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::abi::{Backend, BackendState, Interface, Settings};

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
    set_interfaces(wanted, found, &mut operations);
    set_snat_addresses(wanted, found, &mut operations);
    let mut late = set_backends(wanted, found, &mut operations);
    set_slots(wanted, found, &mut operations);
    set_services(wanted, found, &mut operations);

    let gone = gone(&wanted.services, &found.services);
    operations.extend(gone.copied().map(Operation::RemoveService));
    let gone = self::gone(&wanted.slots, &found.slots);
    operations.extend(gone.copied().map(Operation::RemoveSlotTable));
    operations.append(&mut late);
    let gone = self::gone(&wanted.snat_addresses, &found.snat_addresses);
    operations.extend(gone.map(|index| Operation::SnatAddress { index: *index, words: [0; 4] }));
    let gone = self::gone(&wanted.interfaces, &found.interfaces);
    let unused = Interface::default();
    operations.extend(gone.map(|ifindex| Operation::Interface { ifindex: *ifindex, interface: unused }));
    operations
}

/// The elements of `wanted`, each with the one of the same key in `found`. Both are walked side by side.
fn pairs<'a, K: Ord, V>(
    wanted: &'a BTreeMap<K, V>,
    found: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V, Option<&'a V>)> {
    let mut others = found.iter().peekable();
    wanted.iter().map(move |(key, value)| {
        while others.next_if(|(other, _)| *other < key).is_some() {}
        (key, value, others.next_if(|(other, _)| *other == key).map(|(_, other)| other))
    })
}

/// The keys of `found` that are not in `wanted`.
fn gone<'a, K: Ord, V>(wanted: &'a BTreeMap<K, V>, found: &'a BTreeMap<K, V>) -> impl Iterator<Item = &'a K> {
    pairs(found, wanted).filter(|(_, _, wanted)| wanted.is_none()).map(|(key, _, _)| key)
}

fn set_interfaces(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (ifindex, interface, before) in pairs(&wanted.interfaces, &found.interfaces) {
        if before != Some(interface) {
            operations.push(Operation::Interface { ifindex: *ifindex, interface: *interface });
        }
    }
}

fn set_snat_addresses(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (index, words, before) in pairs(&wanted.snat_addresses, &found.snat_addresses) {
        if before != Some(words) {
            operations.push(Operation::SnatAddress { index: *index, words: *words });
        }
    }
}

/// Backends that take flows come first; what is returned comes after slot tables and services: backends that take none, and
/// ids that become free.
fn set_backends(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) -> Vec<Operation> {
    let pools: BTreeMap<u16, u32> =
        wanted.services.values().map(|service| (service.id, u32::from(service.snat_count))).collect();
    let ports = PortRange { min: wanted.settings.port_min, max: wanted.settings.port_max };
    let mut late = Vec::new();
    for (id, backend, before) in pairs(&wanted.backends, &found.backends) {
        if before == Some(backend) {
            continue;
        }
        let place = if backend.state == BackendState::Active as u8 { &mut *operations } else { &mut late };
        if !before.is_some_and(|before| same(before, backend)) {
            place.push(Operation::ResetBackendCounters(*id));
        }
        if backend.pool_base != NO_POOL && before.map(|before| before.pool_base) != Some(backend.pool_base) {
            let count = pools.get(&backend.service).copied().unwrap_or_default();
            place.push(Operation::ResetPools { first: backend.pool_base, count, ports });
        }
        place.push(Operation::Backend { id: *id, backend: *backend });
    }
    late.extend(
        gone(&wanted.backends, &found.backends)
            .map(|id| Operation::Backend { id: *id, backend: Backend::default() }),
    );
    late
}

/// Whether two elements are of one backend.
fn same(a: &Backend, b: &Backend) -> bool {
    (a.addr, a.port, a.family, a.service) == (b.addr, b.port, b.family, b.service)
}

fn set_slots(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    let differs = |table: &SlotTable, before: Option<&SlotTable>| {
        before.is_none_or(|other| !Arc::ptr_eq(other, table) && other != table)
    };
    let tables: Vec<(u16, SlotTable)> = pairs(&wanted.slots, &found.slots)
        .filter(|(_, table, before)| differs(table, *before))
        .map(|(id, table, _)| (*id, Arc::clone(table)))
        .collect();
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
    for (key, service, before) in pairs(&wanted.services, &found.services) {
        if before == Some(service) {
            continue;
        }
        if service.id != 0 && before.map(|before| before.id) != Some(service.id) {
            operations.push(Operation::ResetServiceCounters(service.id));
        }
        operations.push(Operation::Service { key: *key, service: *service });
    }
}
