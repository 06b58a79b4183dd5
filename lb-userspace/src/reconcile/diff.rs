//! What is to be done.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::abi::{Backend, BackendState, Interface, Settings};

use crate::maps::{MAX_SLOT_TABLES_AT_ONCE, Operation};
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

    let gone = found.services.keys().filter(|key| !wanted.services.contains_key(key));
    operations.extend(gone.copied().map(Operation::RemoveService));
    let gone = found.slots.keys().filter(|id| !wanted.slots.contains_key(id));
    operations.extend(gone.copied().map(Operation::RemoveSlotTable));
    operations.append(&mut late);
    let gone = found.snat_addresses.keys().filter(|index| !wanted.snat_addresses.contains_key(index));
    operations.extend(gone.map(|index| Operation::SnatAddress { index: *index, words: [0; 4] }));
    let gone = found.interfaces.keys().filter(|ifindex| !wanted.interfaces.contains_key(ifindex));
    let unused = Interface::default();
    operations.extend(gone.map(|ifindex| Operation::Interface { ifindex: *ifindex, interface: unused }));
    operations
}

fn set_interfaces(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (ifindex, interface) in &wanted.interfaces {
        if found.interfaces.get(ifindex) != Some(interface) {
            operations.push(Operation::Interface { ifindex: *ifindex, interface: *interface });
        }
    }
}

fn set_snat_addresses(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (index, words) in &wanted.snat_addresses {
        if found.snat_addresses.get(index) != Some(words) {
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
    for (id, backend) in &wanted.backends {
        let before = found.backends.get(id);
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
    let gone = found.backends.keys().filter(|id| !wanted.backends.contains_key(id));
    late.extend(gone.map(|id| Operation::Backend { id: *id, backend: Backend::default() }));
    late
}

/// Whether two elements are of one backend.
fn same(a: &Backend, b: &Backend) -> bool {
    (a.addr, a.port, a.family, a.service) == (b.addr, b.port, b.family, b.service)
}

fn set_slots(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    let differs = |id: &u16, table: &SlotTable| {
        found.slots.get(id).is_none_or(|other| !Arc::ptr_eq(other, table) && other != table)
    };
    let tables: Vec<(u16, SlotTable)> = wanted
        .slots
        .iter()
        .filter(|(id, table)| differs(id, table))
        .map(|(id, table)| (*id, Arc::clone(table)))
        .collect();
    operations
        .extend(tables.chunks(MAX_SLOT_TABLES_AT_ONCE).map(|some| Operation::SlotTables(some.to_vec())));
}

fn set_services(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (key, service) in &wanted.services {
        let before = found.services.get(key);
        if before == Some(service) {
            continue;
        }
        if service.id != 0 && before.map(|before| before.id) != Some(service.id) {
            operations.push(Operation::ResetServiceCounters(service.id));
        }
        operations.push(Operation::Service { key: *key, service: *service });
    }
}
