//! Stage 6, establish: a new flow gets its translation and its two entries.

use super::{
    Verdict, Work, admit,
    family::Family,
    flow::{forget, is_over, set_deltas, turn},
    forward, snat,
};
use crate::{
    Packet, Tables,
    abi::{DropReason, Flow, FlowFlags, FlowKey, Mode, NextHop},
    tables::{AddressTables, FlowEntry, Insert, Tier},
    verdict::Step,
    wire::Ethernet,
};

/// Begins the flow of a packet to the backend selected, and fills it in. No state is left behind when it can't be.
#[inline(never)]
pub(super) fn flow<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, service, selected, .. } = &mut *work;
    let key = &headers.key;
    let backend = &selected.backend;
    flow.src = key.src;
    flow.dst = A::from_words(backend.addr);
    flow.sport = key.sport;
    flow.dport = if backend.port == 0 { key.dport } else { backend.port };
    flow.backend = selected.id;
    flow.last_seen = tables.now();
    flow.service = service.id;
    flow.state = admit::initial_state(headers) as u8;
    // Where the packet came from, for `claim`; the FIB's answer takes its place.
    flow.next_hop = way_back(packet);
    let (claimed, refusal) = if service.mode == Mode::FullNat as u8 {
        flow.flags = FlowFlags::PORT_ALLOCATED;
        (snat::claim_allocated(tables, work), DropReason::PortsExhausted)
    } else {
        flow.flags = 0;
        (snat::claim_kept(tables, work), DropReason::TupleConflict)
    };
    if !claimed {
        return Step::end(Verdict::drop(refusal));
    }
    let Work { headers, flow, .. } = work;
    let step = complete(tables, &headers.key, flow);
    if step == Step::DONE {
        tables.count_flow(flow.service, flow.backend);
    } else {
        tables.remove_flow(Tier::Embryonic, &flow.twin_key(headers.key.proto));
    }
    step
}

/// Finds the next hop of a flow whose answers have their entry already, and stores its own.
#[inline(never)]
fn complete<A, T>(tables: &T, key: &FlowKey<A>, flow: &mut Flow<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    flow.next_hop = match forward::resolve(tables, flow.src, flow.dst, key.proto) {
        Ok(next_hop) => next_hop,
        Err(verdict) => return Step::end(verdict),
    };
    set_deltas(key, flow);
    if tables.insert_flow(Tier::Embryonic, key, flow, Insert::Any) {
        Step::DONE
    } else {
        Step::end(Verdict::drop(DropReason::FlowTableFull))
    }
}

/// Where the packet came from: the next hop of its answers until (and unless) the routing table knows better.
#[inline(always)]
fn way_back<P: Packet>(packet: &P) -> NextHop {
    match packet.read::<Ethernet>(0) {
        Some(ethernet) => NextHop { dmac: ethernet.smac, ifindex: packet.ingress() as u16, generation: 0 },
        None => NextHop::default(),
    }
}

/// Stores the entry of the answers, with the flow's next hop, if no live flow has the same addresses and ports on the backend's
/// side.
#[inline(never)]
pub(super) fn claim<A, T>(tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, twin, .. } = work;
    let key = &headers.key;
    let twin_key = flow.twin_key(key.proto);
    if is_taken(tables, Tier::Established, &twin_key, key)
        || is_taken(tables, Tier::Embryonic, &twin_key, key)
    {
        return false;
    }
    *twin = *flow;
    turn(key, twin);
    twin.next_hop = flow.next_hop;
    tables.insert_flow(Tier::Embryonic, &twin_key, twin, Insert::IfAbsent)
}

/// Whether a live flow other than `key`'s own has the entry `twin_key`. A dead one in the way is removed.
#[inline(always)]
fn is_taken<A, T>(tables: &T, tier: Tier, twin_key: &FlowKey<A>, key: &FlowKey<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some(entry) = tables.flow(tier, twin_key) else { return false };
    let other = entry.load();
    let idle = tables.now().saturating_sub(other.last_seen);
    if idle <= tables.timeout(other.state) && !is_over(&other) && other.twin_key(key.proto) != *key {
        return true;
    }
    forget(tables, twin_key, &entry, tier);
    false
}
