//! Stage 6, establish: a new flow gets its translation and its two entries.

use super::{
    Verdict, Work, admission, admit,
    family::Family,
    flow::{forget, is_dead, is_over, is_reset, set_deltas, turn},
    forward, limit,
    parse::Headers,
    seen::TableUse,
    select::Selected,
    share, snat,
};
use crate::{
    Packet, Tables,
    abi::{
        Backend, BackendFlags, Cookie, CookieFlags, DropReason, Flow, FlowFlags, FlowKey, FlowState, Mode,
        NextHop, Origin, Service, ServiceKey, Signal,
    },
    tables::{AddressTables, FibResult, FlowEntry, Insert, Tier},
    verdict::Step,
    wire::{ACK, Ethernet, FIN, RST, SYN, TCP},
};

/// Begins the flow of a packet to the backend selected, and fills it in, but for the flags of its source's places. No state is left behind
/// when it can't be.
#[inline(never)]
pub(super) fn flow<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let step = limit::take(tables, work);
    if step != Step::DONE {
        if work.flow.flags != 0 {
            share::untake(tables, &work.headers.key.src, work.service.id);
        }
        return step;
    }
    let Work { headers, flow, service, selected, cookie, .. } = &mut *work;
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
    if cookie.flags & CookieFlags::VALID != 0 {
        flow.state = FlowState::SynSent as u8;
        flow.flags |= FlowFlags::COOKIE;
    }
    if limit::is_limited(backend) {
        flow.flags |= FlowFlags::COUNTED;
    }
    // Where the packet came from, for `claim`; the FIB's answer takes its place.
    flow.next_hop = way_back(packet);
    let (claimed, refusal) = if service.mode == Mode::FullNat as u8 {
        flow.flags |= FlowFlags::PORT_ALLOCATED;
        (snat::claim_allocated(tables, work), DropReason::PortsExhausted)
    } else {
        (snat::claim_kept(tables, work), DropReason::TupleConflict)
    };
    if !claimed {
        limit::unclaim(tables, &work.headers.key, &work.flow);
        return Step::end(Verdict::drop(refusal));
    }
    let Work { headers, flow, cookie, .. } = work;
    let step = complete(tables, &headers.key, flow, cookie);
    if step == Step::DONE {
        work.table = TableUse::Begun;
        tables.count_flow(flow.service, flow.backend);
    } else {
        limit::unclaim(tables, &headers.key, flow);
        tables.remove_flow(Tier::Embryonic, &flow.twin_key(headers.key.proto));
    }
    step
}

/// A SYN to an exclusive backend: forwarded like the packets of its flow will be, but nothing is stored before the backend answers, so
/// that SYNs without a client behind them take no entry from anybody ([`answered`] begins the flow).
#[inline(always)]
pub(super) fn syn<A, T>(
    tables: &T,
    headers: &Headers<A>,
    selected: &Selected,
    service: u16,
    flow: &mut Flow<A>,
) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let key = &headers.key;
    *flow = Flow {
        src: key.src,
        dst: A::from_words(selected.backend.addr),
        sport: key.sport,
        dport: selected.backend.port,
        backend: selected.id,
        last_seen: tables.now(),
        service,
        state: FlowState::SynSent as u8,
        ..Flow::default()
    };
    translate_to_backend(tables, key, flow)
}

/// Whether [`syn`] is for a packet to this backend. Not where the client may be a backend itself: what the other one sends there could
/// as well be for a SNAT address.
#[inline(always)]
pub(super) fn is_stateless<A, T>(
    tables: &T,
    headers: &Headers<A>,
    service: &Service,
    backend: &Backend,
) -> bool
where
    A: Family,
    T: Tables,
{
    let syn = headers.key.proto == TCP && headers.flags & (SYN | ACK | RST | FIN) == SYN;
    syn && service.mode == Mode::Nat as u8
        && is_exclusive(backend)
        && !tables.may_be_own(headers.key.src.words())
}

/// Whether the answer to a SYN will find its way without what the SYN could tell: the routing table knows the client's next hop. It is not
/// asked again for clients behind the same router.
#[inline(always)]
pub(super) fn knows_way_back<A, P, T>(packet: &P, tables: &T, client: A) -> bool
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Some(ethernet) = packet.read::<Ethernet>(0) else { return false };
    let ingress = packet.ingress();
    let kept = tables.client_hop(ingress).unwrap_or_default();
    if kept.generation == tables.fib_generation() && kept.dmac == ethernet.smac {
        return true;
    }
    look_up_way_back(tables, client, ingress) == Step::DONE
}

#[inline(never)]
fn look_up_way_back<A, T>(tables: &T, client: A, ingress: u32) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    match forward::lookup(tables, A::default(), client, TCP) {
        FibResult::NextHop(_) => Step::DONE,
        FibResult::Router(next_hop) => {
            tables.set_client_hop(ingress, next_hop);
            Step::DONE
        }
        FibResult::NeighbourMissing { .. } | FibResult::NoRoute => Step::ABSENT,
    }
}

#[inline(always)]
fn is_exclusive(backend: &Backend) -> bool {
    backend.flags & BackendFlags::EXCLUSIVE != 0
}

/// What an exclusive backend sends and no entry is for. A SYN-ACK answers a SYN that left none, and begins the flow. Any other ACK is of a
/// connection that is known no more, and picks it up: also where it answers a SYN (RFC 5961 §4.2), because the client's RST has to find
/// this backend. A RST is only translated. A datagram is of a flow that is known no more, or not yet, as another machine forwarded the
/// question: it is the client's also where its flow can't be stored. `ABSENT`: it is none of these, as what a backend sends to this host.
/// A RST for the backend: its connections are ended, or it has no place for one more.
#[inline(never)]
pub(super) fn answered<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, .. } = &mut *work;
    let step = answer(tables, &headers.key, headers.flags, flow);
    work.table = TableUse::Unused;
    if step != Step::DONE || work.headers.flags & RST != 0 {
        return step;
    }
    // The client of a SYN-ACK was let in a moment ago.
    if work.headers.flags & SYN == 0 {
        let step = admission::client_step(tables, &work.headers.key.dst, work.flow.service);
        if step != Step::DONE {
            return step;
        }
    }
    let step = begin(packet, tables, work);
    if work.headers.key.proto == TCP { step } else { Step::DONE }
}

/// Stores the flow that an answer begins.
#[inline(always)]
fn begin<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let refusal = take_places(tables, work);
    if refusal != limit::FREE {
        if work.headers.key.proto == TCP {
            // The backend did answer. It is told, so that it does not wait for the client, whose next SYN finds another one.
            tables.count_signal(work.flow.backend, Signal::SynAck);
        }
        return Step::reset_for(refusal);
    }
    let next_hop = work.flow.next_hop;
    work.flow.next_hop = way_back(packet);
    let is_claimed = claim(tables, work);
    let Work { headers, flow, .. } = work;
    flow.next_hop = next_hop;
    if !is_claimed {
        limit::unclaim(tables, &headers.key, flow);
        return Step::end(Verdict::drop(DropReason::TupleConflict));
    }
    if tables.insert_flow(Tier::Embryonic, &headers.key, flow, Insert::Any) {
        work.table = TableUse::Begun;
        tables.count_flow(flow.service, flow.backend);
        if flow.state == FlowState::SynReceived as u8 {
            // What the packet met, as with an entry: the first answer.
            flow.state = FlowState::SynSent as u8;
        }
        return Step::DONE;
    }
    limit::unclaim(tables, &headers.key, flow);
    tables.remove_flow(Tier::Embryonic, &flow.twin_key(headers.key.proto));
    Step::end(Verdict::drop(DropReason::FlowTableFull))
}

/// Takes the places of a flow that an answer begins: [`limit::FREE`], or the number of the drop reason.
#[inline(never)]
fn take_places<A, T>(tables: &T, work: &mut Work<A>) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, .. } = work;
    let taken = share::claim(tables, &headers.key.dst, flow.service);
    if taken & share::REFUSED != 0 {
        return taken ^ share::REFUSED;
    }
    if flow.flags & FlowFlags::COUNTED != 0 {
        let refusal = limit::claim(tables, flow.backend, flow.service);
        if refusal != limit::FREE {
            if taken != 0 {
                share::untake(tables, &headers.key.dst, flow.service);
            }
            return refusal;
        }
    }
    flow.flags |= taken as u8;
    limit::FREE
}

/// Fills in the flow of such an answer with these TCP flags. Its two parts are functions of their own because of the stack.
#[inline(always)]
pub(super) fn answer<A, T>(tables: &T, key: &FlowKey<A>, flags: u8, flow: &mut Flow<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let step = recognise(tables, key, flags, flow);
    if step != Step::DONE {
        return step;
    }
    let step = translate(tables, key, flow);
    // Addresses of this host have no route.
    if step == Step::end(Verdict::drop(DropReason::NoRoute)) { Step::ABSENT } else { step }
}

/// Whose answer it is: its flow, but for the next hop and the checksums.
#[inline(never)]
fn recognise<A, T>(tables: &T, key: &FlowKey<A>, flags: u8, flow: &mut Flow<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some((origin, backend)) = origin(tables, key) else { return Step::ABSENT };
    let is_tcp = key.proto == TCP;
    let state = match flags & (SYN | RST) {
        0 if is_tcp => FlowState::PickedUp,
        0 => FlowState::UdpNew,
        SYN => FlowState::SynReceived,
        _ => FlowState::SynSent,
    };
    if is_tcp && flags & RST == 0 && is_reset(&backend) {
        return Step::RESET;
    }
    *flow = Flow {
        src: origin.vip,
        dst: key.dst,
        sport: origin.port,
        dport: key.dport,
        backend: origin.backend,
        last_seen: tables.now(),
        service: origin.service,
        state: state as u8,
        flags: FlowFlags::REVERSE | if limit::is_limited(&backend) { FlowFlags::COUNTED } else { 0 },
        ..Flow::default()
    };
    Step::DONE
}

/// Where the client connected to, and the backend, if an exclusive backend sent the packet. Not if it is for an address of ours: see [`is_stateless`].
#[inline(always)]
fn origin<A, T>(tables: &T, key: &FlowKey<A>) -> Option<(Origin<A>, Backend)>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let origin = tables.origin(&ServiceKey { addr: key.src, port: key.sport, proto: key.proto, pad: 0 })?;
    let backend = tables.backend(origin.backend)?;
    (is_exclusive(&backend) && !tables.may_be_own(key.dst.words())).then_some((origin, backend))
}

/// Finds the next hop of a flow, and its checksum deltas. A function of its own, as questions to the routing table take much stack.
#[inline(never)]
fn translate<A, T>(tables: &T, key: &FlowKey<A>, flow: &mut Flow<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    match forward::resolve(tables, flow.src, flow.dst, key.proto) {
        Ok(next_hop) => {
            flow.next_hop = next_hop;
            set_deltas(key, flow);
            Step::DONE
        }
        Err(verdict) => Step::end(verdict),
    }
}

/// As [`translate`], for a flow to its backend: the next hop is that of the backend's last new flow, if nothing changed since then.
#[inline(always)]
fn translate_to_backend<A, T>(tables: &T, key: &FlowKey<A>, flow: &mut Flow<A>) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let kept = tables.backend_hop(flow.backend).unwrap_or_default();
    if kept.generation == tables.fib_generation() {
        flow.next_hop = kept;
        set_deltas(key, flow);
        return Ok(());
    }
    translate(tables, key, flow).result()?;
    tables.set_backend_hop(flow.backend, flow.next_hop);
    Ok(())
}

/// Finds the next hop of a flow whose answers have their entry already, and stores its own.
#[inline(never)]
fn complete<A, T>(tables: &T, key: &FlowKey<A>, flow: &mut Flow<A>, cookie: &Cookie) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if let Err(verdict) = translate_to_backend(tables, key, flow) {
        return Step::end(verdict);
    }
    if flow.flags & FlowFlags::COOKIE != 0 {
        flow.next_hop.generation |= NextHop::METERED;
        if !tables.set_cookie(key, cookie) {
            return Step::end(Verdict::drop(DropReason::FlowTableFull));
        }
    } else if admission::is_metered(tables, flow.service) {
        flow.next_hop.generation |= NextHop::METERED;
    }
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
    let Work { headers, flow, twin, twin_key, .. } = work;
    let key = &headers.key;
    flow.write_twin_key(key.proto, twin_key);
    if is_taken(tables, Tier::Established, twin_key, key, twin)
        || is_taken(tables, Tier::Embryonic, twin_key, key, twin)
    {
        return false;
    }
    *twin = *flow;
    turn(key, twin);
    twin.next_hop = flow.next_hop;
    tables.insert_flow(Tier::Embryonic, twin_key, twin, Insert::IfAbsent)
}

/// Whether a live flow other than `key`'s own has the entry `twin_key`. A dead one in the way is removed, by way of `dead`.
#[inline(always)]
fn is_taken<A, T>(tables: &T, tier: Tier, twin_key: &FlowKey<A>, key: &FlowKey<A>, dead: &mut Flow<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some(entry) = tables.flow(tier, twin_key) else { return false };
    let is_alive = !is_dead(tables, &entry.load()) && !is_over(&entry.load());
    if is_alive && !entry.load().leads_to(key) {
        return true;
    }
    if entry.load().flags & FlowFlags::SOURCE_COUNTED != 0 {
        *dead = entry.load();
        let flags = forget(tables, twin_key, &entry, tier);
        share::ended(tables, twin_key, dead, tier, flags);
    } else {
        forget(tables, twin_key, &entry, tier);
    }
    false
}
