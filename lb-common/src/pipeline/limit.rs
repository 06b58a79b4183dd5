//! Limits of connections: which backend has a place for one more flow, and when a place is given back.
//!
//! Only flows that begin and end come here, and of them only those of backends with the flag `LIMITED`.

use super::{Work, family::Family, select, share};
use crate::{
    Tables,
    abi::{Backend, BackendFlags, BackendState, DropReason, Flow, FlowFlags, FlowKey, ServiceFlags},
    tables::{AddressTables, FlowEntry, Holder, Tier},
    verdict::{Step, Verdict},
    wire::TCP,
};

/// Slots that are tried when the backend selected is full: they spread its flows over the others by their weights.
const SLOTS_TRIED: u32 = 16;
/// Backends that are tried one after the other when all of those were full.
const BACKENDS_TRIED: u32 = 128;

/// Whether a backend's flows take places.
#[inline(always)]
pub(super) fn is_limited(backend: &Backend) -> bool {
    backend.flags & BackendFlags::LIMITED != 0
}

/// Sees to it that the backend selected has a place, and selects another one of the service if not. Otherwise what becomes of the
/// packet.
#[inline(always)]
pub(super) fn check<A: Family, T: Tables>(tables: &T, work: &mut Work<A>) -> Step {
    if is_limited(&work.selected.backend) { find_room(tables, work) } else { Step::DONE }
}

/// Takes the place that [`check`] found, so that the flow can begin. Otherwise, as another CPU was faster, what becomes of the packet.
#[inline(always)]
pub(super) fn take<A: Family, T: Tables>(tables: &T, work: &mut Work<A>) -> Step {
    if !is_limited(&work.selected.backend) {
        return Step::DONE;
    }
    let outcome = claim(tables, work.selected.id, work.service.id);
    if outcome == FREE { Step::DONE } else { refuse(work, outcome) }
}

/// There is a place. What functions of their own return has to fit into a register.
pub(super) const FREE: u32 = u32::MAX;

#[inline(never)]
fn find_room<A: Family, T: Tables>(tables: &T, work: &mut Work<A>) -> Step {
    let service = work.service.id;
    let full = work.selected.id;
    let limits = tables.limits(full).unwrap_or_default();
    if is_full(tables, Holder::Service(service), limits.service_connections) {
        return refuse(work, DropReason::ServiceFull as u32);
    }
    if !is_full(tables, Holder::Backend(full), limits.connections) {
        return Step::DONE;
    }
    let index = select::hashed(tables, &work.service, &work.headers.key);
    let id = other(tables, service, index, full);
    match tables.backend(id) {
        Some(backend) if id != 0 => {
            work.selected.id = id;
            work.selected.backend = backend;
            Step::DONE
        }
        _ => refuse(work, DropReason::BackendFull as u32),
    }
}

/// The end of a packet that would begin one flow too many.
#[inline(always)]
fn refuse<A>(work: &Work<A>, reason: u32) -> Step {
    if work.headers.key.proto == TCP && work.service.flags & ServiceFlags::RESET_WHEN_FULL != 0 {
        Step::reset_for(reason)
    } else {
        Step::end(Verdict::drop_for(reason))
    }
}

/// Another backend of the service with a place: the same one for the same `index` as long as no place is taken or given back. 0: there
/// is none among those that were tried.
#[inline(never)]
fn other<T: Tables>(tables: &T, service: u16, index: u32, full: u32) -> u32 {
    let slots = match tables.slot_element(service, 0) {
        Some([slots, _]) if slots != 0 => slots,
        _ => return 0,
    };
    for step in 0..SLOTS_TRIED {
        let id = select::slot_id(tables, service, index.wrapping_add(step) % slots);
        if takes_one_more(tables, id, service) {
            return id;
        }
    }
    let mut id = full;
    for _ in 0..BACKENDS_TRIED {
        id = tables.limits(id).unwrap_or_default().next;
        if id == full {
            return 0;
        }
        if takes_one_more(tables, id, service) {
            return id;
        }
    }
    0
}

/// Whether a backend of the service takes flows and has a place.
#[inline(never)]
fn takes_one_more<T: Tables>(tables: &T, id: u32, service: u16) -> bool {
    let backend = tables.backend(id).unwrap_or_default();
    let takes = backend.state == BackendState::Active as u8 && backend.service == service;
    let limit = tables.limits(id).unwrap_or_default().connections;
    id != 0 && takes && !is_full(tables, Holder::Backend(id), limit)
}

#[inline(always)]
fn is_full<T: Tables>(tables: &T, holder: Holder, limit: u32) -> bool {
    tables.places(holder).unwrap_or_default().is_full(limit)
}

/// Takes a place of a backend and of its service, or none of both: [`FREE`], or the number of the drop reason.
#[inline(never)]
pub(super) fn claim<T: Tables>(tables: &T, id: u32, service: u16) -> u32 {
    let limits = tables.limits(id).unwrap_or_default();
    let (of_service, of_backend) = (Holder::Service(service), Holder::Backend(id));
    let before = tables.take_place(of_service).unwrap_or_default();
    if before.is_full(limits.service_connections) {
        tables.untake_place(of_service);
        return DropReason::ServiceFull as u32;
    }
    let before = tables.take_place(of_backend).unwrap_or_default();
    if before.is_full(limits.connections) {
        tables.untake_place(of_backend);
        tables.untake_place(of_service);
        return DropReason::BackendFull as u32;
    }
    FREE
}

/// Takes back that places were taken for the flow of a packet, which did not begin.
#[inline(always)]
pub(super) fn unclaim<A, T>(tables: &T, key: &FlowKey<A>, flow: &Flow<A>)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if flow.flags & FlowFlags::COUNTED != 0 {
        tables.untake_place(Holder::Backend(flow.backend));
        tables.untake_place(Holder::Service(flow.service));
    }
    if flow.flags & FlowFlags::SOURCE_COUNTED != 0 {
        share::untake(tables, if flow.is_reverse() { &key.dst } else { &key.src }, flow.service);
    }
}

/// Gives the places of a flow back if it still has them, but for that of its source: the [`FlowFlags`] that it had, for [`share::ended`]. Of
/// any number of CPUs that come here at once, one does it: the one that clears the flags of the client's entry, or of the only one that is
/// left.
#[inline(always)]
#[must_use]
pub(super) fn release<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, flags: u8, tier: Tier) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    if flags & FlowFlags::PLACES != 0 { release_counted(tables, key, entry, tier) } else { 0 }
}

#[inline(never)]
fn release_counted<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, tier: Tier) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    release_both(tables, &entry.load().twin_key(key.proto), entry, tier)
}

/// [`release`] for a flow that has places, by the key of the other direction.
#[inline(always)]
#[must_use]
pub(super) fn release_both<A, T, E>(tables: &T, twin_key: &FlowKey<A>, entry: &E, tier: Tier) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    let flow = entry.load();
    let (backend, service) = (flow.backend, flow.service);
    let mut flags = entry.clear_flags(FlowFlags::PLACES);
    if let Some(twin) = tables.flow(tier, twin_key) {
        let of_twin = twin.clear_flags(FlowFlags::PLACES);
        if flow.is_reverse() {
            flags = of_twin;
        }
    }
    if flags & FlowFlags::COUNTED != 0 {
        tables.return_place(Holder::Backend(backend));
        tables.return_place(Holder::Service(service));
    }
    flags.into()
}
