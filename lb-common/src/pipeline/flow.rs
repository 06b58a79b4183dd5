//! Stage 2, flow: the packet's entry in the two-tier flow table, and what the packet does to it.
//!
//! An established packet costs one look-up here. The slow paths (once in 16 ticks, at the handshake, at the end) also keep the other
//! direction's entry, the twin, in step.

use super::{Work, admission, family::Family, forward, limit, parse::Headers, share};
use crate::{
    Tables,
    abi::{Address, Backend, BackendFlags, BackendState, Flow, FlowFlags, FlowKey, FlowState, NextHop},
    checksum,
    tables::{AddressTables, FlowEntry, Gone, Insert, Tier},
    verdict::{Step, Verdict},
    wire::{ACK, FIN, RST, SYN, TCP, UDP},
};

/// Fills in the established flow of a packet, its next hop valid. `ABSENT`: there is none; `RESET`: its connection is ended.
#[inline(always)]
pub(super) fn find<A, T>(tables: &T, work: &mut Work<A>) -> Result<Step, Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, twin, .. } = work;
    let Some(entry) = tables.flow(Tier::Established, &headers.key) else { return Ok(Step::ABSENT) };
    *flow = entry.load();
    let condition = condition(tables, flow, headers);
    if condition != Condition::Alive {
        return Ok(end(tables, &headers.key, &entry, Tier::Established, (flow, twin), condition));
    }
    if !flow.is_reverse() {
        admission::packet(tables, &headers.key.src, flow.service)?;
    }
    if flow.last_seen != tables.now() {
        if must_touch_twin(tables, flow.last_seen, flow.state) {
            touch(tables, &headers.key, &entry, Tier::Established, twin);
        } else {
            entry.set_last_seen(tables.now());
        }
    }
    if headers.flags & (FIN | RST) != 0 {
        let flags = close(tables, &headers.key, &entry, headers.flags, flow);
        share::ended(tables, &headers.key, flow, Tier::Established, flags);
    }
    forward::refresh(tables, flow, &entry, headers.key.proto)?;
    Ok(Step::DONE)
}

/// [`find`] for flows that were not answered yet. `ABSENT`: the packet may begin one.
#[inline(never)]
pub(super) fn find_embryonic<A, T>(tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, twin, .. } = work;
    let key = &headers.key;
    let Some(entry) = tables.flow(Tier::Embryonic, key) else { return Step::ABSENT };
    *flow = entry.load();
    let condition = condition(tables, flow, headers);
    if condition != Condition::Alive {
        return end(tables, key, &entry, Tier::Embryonic, (flow, twin), condition);
    }
    if !flow.is_reverse()
        && let Err(verdict) = admission::packet(tables, &key.src, flow.service)
    {
        return Step::end(verdict);
    }
    if let Err(verdict) = forward::refresh(tables, flow, &entry, key.proto) {
        return Step::end(verdict);
    }
    match answered(tables, key.proto, flow, headers.flags) {
        Answer::Complete(state) => {
            let promoted = promote(tables, key, &entry, state, twin);
            if promoted == NO_ROOM {
                // It goes on from here, and tries again with the client's next packet.
                AddressTables::<A>::set_full_at(tables, tables.now());
                touch(tables, key, &entry, Tier::Embryonic, twin);
            } else if promoted & u32::from(FlowFlags::SOURCE_COUNTED) != 0 && !has_answer(flow) {
                share::give_back(tables, key, flow, Gone::Answered);
            }
        }
        Answer::Progress(state) => {
            let flags = set_state(tables, key, &entry, Tier::Embryonic, state);
            if state != FlowState::UdpAnswered {
                share::ended(tables, key, flow, Tier::Embryonic, flags);
            } else if flow.flags & FlowFlags::SOURCE_COUNTED != 0 {
                share::give_back(tables, key, flow, Gone::Answered);
            }
            touch(tables, key, &entry, Tier::Embryonic, twin);
        }
        Answer::No => touch(tables, key, &entry, Tier::Embryonic, twin),
    }
    Step::DONE
}

/// Ends the way of a packet whose entry is not alive.
#[inline(always)]
fn end<A, T, E>(
    tables: &T,
    key: &FlowKey<A>,
    entry: &E,
    tier: Tier,
    (flow, twin): (&Flow<A>, &mut Flow<A>),
    condition: Condition,
) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    if condition == Condition::Over {
        let flags = forget(tables, key, entry, tier);
        share::ended(tables, key, flow, tier, flags);
        return Step::ABSENT;
    }
    // Both entries stay for a while, so that every packet under way is answered. They keep their generation, which is not the current
    // one: their packets never take the shortcut. The entry that leads to the sender says that the sender knows.
    touch(tables, key, entry, tier, twin);
    let flags = limit::release(tables, key, entry, twin.flags, tier);
    share::ended(tables, key, flow, tier, flags);
    close_twin(tables, key.proto, entry, tier);
    Step::RESET
}

/// Marks the entry of the other direction: its end knows that the connection is over.
#[inline(never)]
fn close_twin<A, T, E>(tables: &T, proto: u8, entry: &E, tier: Tier)
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    if let Some(twin) = tables.flow(tier, &entry.load().twin_key(proto)) {
        twin.set_state(FlowState::Closed as u8);
    }
}

/// Ticks (a power of 2) in which only a packet's own entry is touched. The twin of a flow whose packets all have one direction is at most
/// this much older.
const TOUCH_TICKS: u32 = 16;

/// Whether the time that passed since `last_seen` asks for more than a new `last_seen`: the flow may be dead, or its twin has to be
/// touched. Timeouts that are not much longer than [`TOUCH_TICKS`] get no such slack.
#[inline(always)]
pub(super) fn must_touch_twin<T: Tables>(tables: &T, last_seen: u32, state: u8) -> bool {
    (tables.now() ^ last_seen) >= TOUCH_TICKS || tables.timeout(state) < 2 * TOUCH_TICKS
}

/// What an entry means to a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// The packet goes by it.
    Alive,
    /// It is dead: idle for too long; a SYN for a connection that is over (port reuse, RFC 9293 §3.6.1); a client's packet for a backend
    /// that takes none.
    Over,
    /// Its connection is to be reset: its backend was taken out, or it was ended itself.
    Reset,
}

#[inline(always)]
fn condition<A: Family, T: Tables>(tables: &T, flow: &Flow<A>, headers: &Headers<A>) -> Condition {
    if is_dead(tables, flow) {
        return Condition::Over;
    }
    // A backend's state and flags change together with the generation.
    let reverse = flow.is_reverse();
    if reverse && flow.next_hop.is_of(tables.fib_generation()) {
        return Condition::Alive;
    }
    let begins = !reverse && headers.flags & (SYN | ACK) == SYN;
    let backend = tables.backend(flow.backend).unwrap_or_default();
    let ended = flow.flags & FlowFlags::RESET != 0;
    if takes_packets(&backend) && !ended {
        return if begins && is_over(flow) { Condition::Over } else { Condition::Alive };
    }
    if (ended || is_reset(&backend)) && headers.key.proto == TCP && !begins {
        Condition::Reset
    } else if reverse {
        Condition::Alive
    } else {
        Condition::Over
    }
}

/// Whether an entry was idle for longer than the timeout of its state.
#[inline(always)]
pub(super) fn is_dead<A, T: Tables>(tables: &T, flow: &Flow<A>) -> bool {
    // A tick that another CPU wrote a moment ago may lie ahead of ours.
    tables.now().saturating_sub(flow.last_seen) > tables.timeout(flow.state)
}

/// Whether a backend takes packets of the flows that it has.
#[inline(always)]
pub(super) fn takes_packets(backend: &Backend) -> bool {
    backend.state == BackendState::Active as u8 || backend.state == BackendState::Draining as u8
}

/// Whether the connections of a backend are to be reset, see [`BackendFlags::RESET`].
#[inline(always)]
pub(super) fn is_reset(backend: &Backend) -> bool {
    backend.flags & BackendFlags::RESET != 0 && !takes_packets(backend)
}

/// Whether both sides are done with the connection.
#[inline(always)]
pub(super) fn is_over<A>(flow: &Flow<A>) -> bool {
    flow.state == FlowState::Closing as u8 || flow.state == FlowState::Closed as u8
}

/// Whether it is an embryonic flow that was answered.
#[inline(always)]
pub(super) fn has_answer<A>(flow: &Flow<A>) -> bool {
    flow.state == FlowState::UdpAnswered as u8
}

/// What a packet means to an embryonic flow.
enum Answer {
    No,
    Progress(FlowState),
    Complete(FlowState),
}

#[inline(always)]
fn answered<A: Family, T: Tables>(tables: &T, proto: u8, flow: &Flow<A>, flags: u8) -> Answer {
    if proto == UDP {
        return answered_datagram(tables, flow);
    }
    if flags & RST != 0 {
        return Answer::Progress(FlowState::Closed);
    }
    if flow.is_reverse() {
        if flow.state == FlowState::PickedUp as u8 && flags & ACK != 0 {
            return Answer::Complete(FlowState::Established);
        }
        if flow.state == FlowState::SynSent as u8 && flags & (SYN | ACK) == SYN | ACK {
            return Answer::Progress(FlowState::SynReceived);
        }
    } else if flow.state == FlowState::SynReceived as u8 && flags & (SYN | ACK) == ACK {
        return Answer::Complete(if flags & FIN != 0 {
            FlowState::FinClient
        } else {
            FlowState::Established
        });
    }
    Answer::No
}

/// A datagram after the answer shows that the client got it, which nobody knows who forged the question. A backend that goes on in a later tick
/// sends a stream: its client may have nothing to say.
#[inline(always)]
fn answered_datagram<A: Family, T: Tables>(tables: &T, flow: &Flow<A>) -> Answer {
    match (has_answer(flow), flow.is_reverse()) {
        (false, false) => Answer::No,
        (false, true) => Answer::Progress(FlowState::UdpAnswered),
        (true, true) if flow.last_seen == tables.now() => Answer::No,
        (true, _) => Answer::Complete(FlowState::UdpEstablished),
    }
}

/// What [`promote`] returns instead of flags.
const NO_ROOM: u32 = u32::MAX;

/// Moves both directions to `Established`, by way of `twin`: the [`FlowFlags`] that this CPU took from the client's embryonic entry, or
/// [`NO_ROOM`]. The embryonic entries go only once the others are there.
#[inline(never)]
fn promote<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, state: FlowState, twin: &mut Flow<A>) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    *twin = entry.load();
    twin.state = state as u8;
    twin.last_seen = tables.now();
    if !tables.insert_flow(Tier::Established, key, twin, Insert::Any) {
        return NO_ROOM;
    }
    // From here, as the stack of the caller is deeper; the packet that cannot store the other entry is rare.
    if tables.tells_flows() {
        tell(tables, key, twin, twin.state);
    }
    let twin_key = twin.twin_key(key.proto);
    turn(key, twin);
    if let Some(entry) = tables.flow(Tier::Embryonic, &twin_key) {
        twin.next_hop = entry.load().next_hop;
    }
    if !tables.insert_flow(Tier::Established, &twin_key, twin, Insert::Any) {
        tables.remove_flow(Tier::Established, key);
        return NO_ROOM;
    }
    // Without the client's entry the other one counts.
    let mut flags = twin.flags;
    if flags & FlowFlags::SOURCE_COUNTED != 0 {
        if twin.is_reverse() {
            flags = entry.clear_flags(FlowFlags::SOURCE_COUNTED);
        } else if let Some(entry) = tables.flow(Tier::Embryonic, &twin_key) {
            flags = entry.clear_flags(FlowFlags::SOURCE_COUNTED);
        }
    }
    tables.remove_flow(Tier::Embryonic, &twin_key);
    tables.remove_flow(Tier::Embryonic, key);
    flags.into()
}

/// Moves `last_seen` of both directions to now. A twin that the LRU dropped is made again: else a one-way stream would lose
/// its way back.
#[inline(never)]
fn touch<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, tier: Tier, twin: &mut Flow<A>)
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    entry.set_last_seen(tables.now());
    *twin = entry.load();
    let twin_key = twin.twin_key(key.proto);
    if let Some(entry) = tables.flow(tier, &twin_key) {
        entry.set_last_seen(tables.now());
    } else {
        turn(key, twin);
        tables.insert_flow(tier, &twin_key, twin, Insert::IfAbsent);
    }
}

/// Moves both directions to the state that a FIN or RST leads to. `flow` is what the entry holds. Returns what [`limit::release`] does.
#[inline(never)]
fn close<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, flags: u8, flow: &Flow<A>) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    let (own, other) = if flow.is_reverse() {
        (FlowState::FinBackend, FlowState::FinClient)
    } else {
        (FlowState::FinClient, FlowState::FinBackend)
    };
    let state = if flags & RST != 0 {
        FlowState::Closed
    } else if flow.state == other as u8 {
        FlowState::Closing
    } else if flow.state == FlowState::Established as u8 {
        own
    } else {
        return 0;
    };
    let flags = set_state(tables, key, entry, Tier::Established, state);
    if tables.tells_flows() && matches!(state, FlowState::Closing | FlowState::Closed) {
        tell(tables, key, flow, state as u8);
    }
    flags
}

/// Tells `lbd` what became of a flow, by one of its entries.
#[inline(never)]
fn tell<A, T>(tables: &T, key: &FlowKey<A>, flow: &Flow<A>, state: u8)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    tables.tell_flow(key, flow, state);
}

/// Sets the state of both directions; what [`limit::release`] returns.
#[inline(always)]
fn set_state<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, tier: Tier, state: FlowState) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    entry.set_state(state as u8);
    if let Some(twin) = tables.flow(tier, &entry.load().twin_key(key.proto)) {
        twin.set_state(state as u8);
    }
    if matches!(state, FlowState::Closing | FlowState::Closed) {
        limit::release(tables, key, entry, entry.load().flags, tier)
    } else {
        0
    }
}

/// Removes both directions of a dead flow; what [`limit::release`] returns.
#[inline(never)]
pub(super) fn forget<A, T, E>(tables: &T, key: &FlowKey<A>, entry: &E, tier: Tier) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    // The key is made before the element can be given away.
    let twin_key = entry.load().twin_key(key.proto);
    let mut flags = 0;
    if entry.load().flags & FlowFlags::PLACES != 0 {
        flags = limit::release_both(tables, &twin_key, entry, tier);
    }
    tables.remove_flow(tier, &twin_key);
    tables.remove_flow(tier, key);
    flags
}

/// Turns an entry into that of the other direction, its next hop unknown.
#[inline(always)]
pub fn turn<A: Address>(key: &FlowKey<A>, flow: &mut Flow<A>) {
    // What the other direction changes, this one changes back.
    let addresses = address_delta(flow.src, flow.dst, key.src, key.dst);
    let ports = port_delta((flow.sport, flow.dport), (key.sport, key.dport));
    (flow.l3_delta, flow.l4_delta) = deltas(addresses, ports);
    flow.src = key.dst;
    flow.dst = key.src;
    flow.sport = key.dport;
    flow.dport = key.sport;
    flow.next_hop = NextHop::default();
    flow.flags ^= FlowFlags::REVERSE;
}

/// Computes the checksum deltas of a flow from its key and its translated addresses and ports.
#[inline(always)]
pub fn set_deltas<A: Address>(key: &FlowKey<A>, flow: &mut Flow<A>) {
    let addresses = address_delta(key.src, key.dst, flow.src, flow.dst);
    let ports = port_delta((key.sport, key.dport), (flow.sport, flow.dport));
    (flow.l3_delta, flow.l4_delta) = deltas(addresses, ports);
}

/// The deltas of the network header and of the transport header.
#[inline(always)]
fn deltas(addresses: u16, ports: u16) -> (u16, u16) {
    (checksum::combine(addresses, checksum::TTL_DECREMENT), checksum::combine(addresses, ports))
}

/// The delta of replacing a pair of ports by another.
#[inline(always)]
fn port_delta(old: (u16, u16), new: (u16, u16)) -> u16 {
    checksum::delta(u32::from(old.0) + u32::from(old.1), u32::from(new.0) + u32::from(new.1))
}

/// The delta of replacing a pair of addresses by another.
#[inline(always)]
pub(super) fn address_delta<A: Address>(old_src: A, old_dst: A, src: A, dst: A) -> u16 {
    checksum::delta(
        checksum::sum_words(old_src.words()) + checksum::sum_words(old_dst.words()),
        checksum::sum_words(src.words()) + checksum::sum_words(dst.words()),
    )
}
