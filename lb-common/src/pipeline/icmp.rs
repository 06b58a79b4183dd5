//! ICMP and ICMPv6: echo to a VIP is answered; errors about a flow are translated, outer header and quote, in both directions.
//!
//! An error quotes a packet as it left us. The key of that packet's *answer* therefore finds the entry of the direction the error
//! travels in, and that entry's translation is what both the outer header and (source and destination exchanged) the quote need.

use super::{
    Verdict, Work, admission, claim, cookie, drop, establish,
    family::{Family, Header},
    flow::{address_delta, is_dead, is_reset, takes_packets},
    forward::{self, Refused},
    parse::{Fragment, Headers},
    pass, reply,
    seen::TableUse,
    service, signals, source,
};
use crate::{
    Packet, Tables,
    abi::{DropReason, Flow, FlowFlags, FlowKey},
    checksum,
    tables::{AddressTables, FlowEntry, Tier, Traffic},
    verdict::Step,
    wire::{ICMPV6, Icmp, Neighbour, Ports, TCP, Tcp, UDP, Udp},
};

/// The verdict about an ICMP message. Its stages are functions of their own because of the stack.
#[inline(never)]
pub(super) fn handle<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let mut step = read(packet, tables, work);
    if step == Step::DONE {
        step = find(tables, work);
    }
    if step == Step::DONE { translate(packet, tables, work) } else { step }
}

/// Answers an echo; `DONE`: the message is an error, and its quote is read.
#[inline(never)]
fn read<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, quote, .. } = work;
    let mut stages = || {
        if headers.fragment != Fragment::Whole {
            return pass();
        }
        // What lies behind the packet's end, as padding does, is none of it.
        if headers.payload() < size_of::<Icmp>() {
            return not_usable(tables, headers, DropReason::Truncated);
        }
        let Some(icmp) = packet.read::<Icmp>(headers.transport) else {
            return not_usable(tables, headers, DropReason::Truncated);
        };
        if icmp.kind == A::ECHO.0 && service::is_vip(tables, headers.key.dst) {
            source::check(tables, headers).result()?;
            admission::is_blocked(tables, &headers.key.src)?;
            return Err(reply::echo(packet, tables, headers, &icmp));
        }
        if A::ICMP == ICMPV6 && matches!(icmp.kind, Neighbour::SOLICITATION | Neighbour::ADVERTISEMENT) {
            return Err(claim::neighbour(packet, tables, headers.offset));
        }
        if !A::is_error(icmp.kind) {
            return pass();
        }
        if parse_quote(packet, tables, headers, quote).is_none() {
            return not_usable(tables, headers, DropReason::BadIcmp);
        }
        if headers.key.src.is_martian() {
            return not_usable(tables, headers, DropReason::MartianSource);
        }
        // The error must go to the one whose packet it quotes.
        if headers.key.dst != quote.key.src {
            return not_usable(tables, headers, DropReason::IcmpWithoutFlow);
        }
        Ok(())
    };
    stages().into()
}

/// Forwards an error to the end that sent the quoted packet.
#[inline(never)]
fn translate<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    Step::end(translated(packet, tables, work).unwrap_or_else(|verdict| verdict))
}

#[inline(always)]
fn translated<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Result<Verdict, Verdict>
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, .. } = &*work;
    if headers.hop_limit <= 1 {
        return drop(DropReason::TtlExceeded);
    }
    let smac = match forward::check_egress(tables, &flow.next_hop, headers.length) {
        Ok(smac) => smac,
        Err(Refused::TooBig { .. }) => return drop(DropReason::PacketTooBig),
        Err(Refused::NotAttached) => return drop(DropReason::EgressNotAttached),
    };
    if flow.flags & FlowFlags::COOKIE != 0 && !cookie::translate_quote(packet, tables, work) {
        return drop(DropReason::WriteFailed);
    }
    let headers = &work.headers;
    let Some(icmp) = packet.read::<Icmp>(headers.transport) else { return drop(DropReason::WriteFailed) };
    if !rewrite_outer(packet, work) || !rewrite_quote(packet, work, &icmp) {
        return drop(DropReason::WriteFailed);
    }
    let Work { headers, flow, quote, .. } = work;
    signals::count_error(tables, headers, quote, flow, (icmp.kind, icmp.code));
    tables.count_traffic(&Traffic {
        service: flow.service,
        backend: flow.backend,
        reverse: flow.is_reverse(),
        bytes: headers.length as u32,
    });
    Ok(forward::send(packet, &flow.next_hop, smac))
}

/// Reads the quoted packet, if it has ports.
#[inline(always)]
fn parse_quote<A, P, T>(packet: &P, tables: &T, headers: &Headers<A>, quote: &mut Headers<A>) -> Option<()>
where
    A: Family,
    P: Packet,
    T: Tables,
{
    A::parse_quote(packet, headers.transport + size_of::<Icmp>(), quote)?;
    quote.transport = tables.opaque(quote.transport);
    if (quote.key.proto != TCP && quote.key.proto != UDP) || quote.fragment == Fragment::Later {
        return None;
    }
    if !is_inside(headers, quote.transport + size_of::<Ports>()) {
        return None;
    }
    let ports = packet.read::<Ports>(quote.transport)?;
    quote.key.sport = ports.sport;
    quote.key.dport = ports.dport;
    Some(())
}

/// Fills in the flow an error follows, its next hop valid: that of an entry, or of a SYN to an exclusive backend, which took none. Errors keep
/// no flow alive and change no state.
#[inline(never)]
fn find<A, T>(tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, quote, twin_key: key, .. } = work;
    quote.key.write_reversed(key);
    let mut step = entry(tables, key, flow);
    if step == Step::ABSENT && key.proto == TCP {
        step = establish::answer(tables, key, 0, flow);
        work.table = TableUse::Unused;
    }
    if step == Step::ABSENT || step == Step::RESET {
        return not_usable(tables, headers, DropReason::IcmpWithoutFlow).into();
    }
    step
}

/// The flow of an entry that is alive.
#[inline(never)]
fn entry<A, T>(tables: &T, key: &FlowKey<A>, flow: &mut Flow<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let entry = match tables.flow(Tier::Established, key) {
        Some(entry) => entry,
        None => match tables.flow(Tier::Embryonic, key) {
            Some(entry) => entry,
            None => return Step::ABSENT,
        },
    };
    *flow = entry.load();
    if is_dead(tables, flow) {
        return Step::ABSENT;
    }
    // Such an entry must not get a new generation: its packets would take the shortcut.
    let backend = tables.backend(flow.backend).unwrap_or_default();
    if flow.flags & FlowFlags::RESET != 0
        || is_reset(&backend)
        || (!flow.is_reverse() && !takes_packets(&backend))
    {
        return Step::RESET;
    }
    forward::refresh(tables, flow, &entry, key.proto).into()
}

/// Writes the outer network header; false if it is out of reach.
#[inline(never)]
fn rewrite_outer<A: Family, P: Packet>(packet: &mut P, work: &Work<A>) -> bool {
    let Work { headers, flow, quote, .. } = work;
    let header = Header {
        src: outer_source(headers, quote, flow),
        dst: flow.dst,
        hop_limit: headers.hop_limit.wrapping_sub(1),
        l3_delta: checksum::combine(outer_delta(headers, quote, flow), checksum::TTL_DECREMENT),
    };
    A::rewrite(packet, headers.offset, &header).is_some()
}

/// An error of the backend itself comes from the VIP; a router on the way keeps its address, so that traceroute shows it.
#[inline(always)]
fn outer_source<A: Family>(headers: &Headers<A>, quote: &Headers<A>, flow: &Flow<A>) -> A {
    if headers.key.src == quote.key.dst { flow.src } else { headers.key.src }
}

#[inline(always)]
fn outer_delta<A: Family>(headers: &Headers<A>, quote: &Headers<A>, flow: &Flow<A>) -> u16 {
    address_delta(headers.key.src, headers.key.dst, outer_source(headers, quote, flow), flow.dst)
}

/// Writes the quoted headers and the ICMP checksum; false if one is out of reach.
#[inline(never)]
fn rewrite_quote<A: Family, P: Packet>(packet: &mut P, work: &Work<A>, icmp: &Icmp) -> bool {
    rewrite_quote_of(packet, work, icmp).is_some()
}

#[inline(always)]
fn rewrite_quote_of<A: Family, P: Packet>(packet: &mut P, work: &Work<A>, icmp: &Icmp) -> Option<()> {
    let Work { headers, flow, quote, .. } = work;
    let inner = address_delta(quote.key.src, quote.key.dst, flow.dst, flow.src);
    let header = Header { src: flow.dst, dst: flow.src, hop_limit: quote.hop_limit, l3_delta: inner };
    A::rewrite(packet, quote.offset, &header)?;
    let ports = checksum::delta(
        u32::from(quote.key.sport) + u32::from(quote.key.dport),
        u32::from(flow.sport) + u32::from(flow.dport),
    );
    packet.write(quote.transport, Ports { sport: flow.dport, dport: flow.sport })?;
    let check = rewrite_quoted_check(packet, headers, quote, checksum::combine(inner, ports));

    // The IPv4 header's checksum takes back what its addresses add; IPv6 has none, but a pseudo-header.
    let addresses = if A::IS_V6 { checksum::combine(inner, outer_delta(headers, quote, flow)) } else { 0 };
    let total = checksum::combine(checksum::combine(addresses, ports), check);
    packet.write(headers.transport + Icmp::CHECK, checksum::update(icmp.check, total))
}

/// Updates the quoted transport checksum if the quote has it; the delta of that change.
#[inline(always)]
fn rewrite_quoted_check<A, P: Packet>(
    packet: &mut P,
    headers: &Headers<A>,
    quoted: &Headers<A>,
    delta: u16,
) -> u16 {
    let offset = quoted.transport + if quoted.key.proto == TCP { Tcp::CHECK } else { Udp::CHECK };
    if !is_inside(headers, offset + size_of::<u16>()) {
        return 0;
    }
    let Some(check) = packet.read::<u16>(offset) else { return 0 };
    let updated = if quoted.key.proto == TCP {
        checksum::update(check, delta)
    } else {
        checksum::update_udp(check, delta)
    };
    match packet.write(offset, updated) {
        Some(()) => checksum::delta(u32::from(check), u32::from(updated)),
        None => 0,
    }
}

/// Whether a packet goes on at least up to this offset: the frame may be longer.
#[inline(always)]
fn is_inside<A>(headers: &Headers<A>, end: usize) -> bool {
    end <= headers.offset + headers.length
}

/// Ends the way of a message that leads nowhere: dropped if it is for a VIP, else not for us.
#[inline(always)]
fn not_usable<A, T>(tables: &T, headers: &Headers<A>, reason: DropReason) -> Result<(), Verdict>
where
    A: Family,
    T: AddressTables<A>,
{
    if service::is_vip(tables, headers.key.dst) { drop(reason) } else { pass() }
}
