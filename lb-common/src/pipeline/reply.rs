//! Packets of our own: echo replies, the ICMP errors a router owes (time exceeded, packet too big), and RSTs.

use super::{
    Verdict,
    family::{DEFAULT_HOP_LIMIT, Family, Header},
    parse::{Fragment, Headers},
};
use crate::{
    Packet, Tables,
    abi::{Answer, DropReason},
    bucket::Rate,
    checksum,
    wire::{ACK, Ethernet, FIN, Icmp, RST, SYN, TCP, Tcp},
};

/// Whether a packet may be answered by one of this kind: not where the answer would go to a group of stations, nor where too many were sent
/// on this CPU (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)). A tenth of what may be sent in a second may be sent at once.
#[inline(never)]
fn may_answer<P: Packet, T: Tables>(packet: &P, tables: &T, kind: Answer) -> bool {
    if is_from_group(packet) {
        return false;
    }
    let per_second = tables.answer_rate(kind);
    if per_second == 0 {
        return true;
    }
    let full_at = tables.answers(kind).unwrap_or_default();
    match Rate::new(per_second, per_second / 10).take(full_at, tables.nanos()) {
        Some(full_at) => {
            tables.set_answers(kind, full_at);
            true
        }
        None => false,
    }
}

/// Whether an answer would go to a group of stations.
#[inline(always)]
pub(super) fn is_from_group<P: Packet>(packet: &P) -> bool {
    packet.read::<Ethernet>(0).is_none_or(|ethernet| ethernet.smac[0] & 1 != 0)
}

/// Answers an echo request to a VIP in place.
#[inline(never)]
pub(super) fn echo<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>, icmp: &Icmp) -> Verdict
where
    A: Family,
    P: Packet,
    T: Tables,
{
    if !may_answer(packet, tables, Answer::EchoReply) {
        return Verdict::drop(DropReason::AnswerLimited);
    }
    echo_in_place(packet, headers, icmp).unwrap_or(Verdict::drop(DropReason::WriteFailed))
}

#[inline(always)]
fn echo_in_place<A: Family, P: Packet>(packet: &mut P, headers: &Headers<A>, icmp: &Icmp) -> Option<Verdict> {
    let ethernet = packet.read::<Ethernet>(0)?;
    packet.write(0, [ethernet.smac, ethernet.dmac])?;
    let header = Header {
        src: headers.key.dst,
        dst: headers.key.src,
        hop_limit: DEFAULT_HOP_LIMIT,
        l3_delta: word_delta([headers.hop_limit, headers.key.proto], [DEFAULT_HOP_LIMIT, headers.key.proto]),
    };
    A::rewrite(packet, headers.offset, &header)?;
    packet.write(headers.transport, [A::ECHO.1, icmp.code])?;
    let delta = word_delta([icmp.kind, icmp.code], [A::ECHO.1, icmp.code]);
    packet.write(headers.transport + Icmp::CHECK, checksum::update_message(icmp.check, delta))?;
    Some(Verdict::TRANSMIT)
}

/// The delta of replacing one 16-bit word, given in wire order.
#[inline(always)]
fn word_delta(old: [u8; 2], new: [u8; 2]) -> u16 {
    checksum::delta(u32::from(u16::from_ne_bytes(old)), u32::from(u16::from_ne_bytes(new)))
}

/// Drops a packet whose TTL or hop limit is used up, and tells its sender (RFC 1812 §5.3.1, RFC 4443 §3.3).
#[inline(always)]
pub(super) fn time_exceeded<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>) -> Verdict
where
    A: Family,
    P: Packet,
    T: Tables,
{
    let (kind, code) = A::TIME_EXCEEDED;
    error(packet, tables, headers, DropReason::TtlExceeded, Icmp { kind, code, check: 0, rest: 0 })
}

/// Drops a packet larger than the egress MTU, and tells its sender (RFC 1191 §4, RFC 4443 §3.2).
#[inline(always)]
pub(super) fn too_big<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>, mtu: u32) -> Verdict
where
    A: Family,
    P: Packet,
    T: Tables,
{
    let (kind, code) = A::TOO_BIG;
    error(packet, tables, headers, DropReason::PacketTooBig, Icmp { kind, code, check: 0, rest: mtu.to_be() })
}

/// Turns the packet into an ICMP error about itself and sends it back. None is sent about later fragments (RFC 1122 §3.2.2), nor
/// where the ingress interface has no address to send it from.
#[inline(never)]
fn error<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>, reason: DropReason, icmp: Icmp) -> Verdict
where
    A: Family,
    P: Packet,
    T: Tables,
{
    let src = match tables.interface(packet.ingress()) {
        Some(interface) => A::of_interface(&interface),
        None => A::default(),
    };
    if src == A::default() || headers.fragment == Fragment::Later {
        return Verdict::drop(reason);
    }
    if !may_answer(packet, tables, Answer::IcmpError) {
        return Verdict::drop(DropReason::AnswerLimited);
    }
    match write_error(packet, headers, src, icmp) {
        Some(()) => {
            tables.count_drop(reason as u32);
            Verdict::TRANSMIT
        }
        None => Verdict::drop(reason),
    }
}

#[inline(always)]
fn write_error<A: Family, P: Packet>(packet: &mut P, headers: &Headers<A>, src: A, icmp: Icmp) -> Option<()> {
    let ethernet = packet.read::<Ethernet>(0)?;
    let tags = packet.read::<[u32; 2]>(size_of::<Ethernet>())?;
    let quoted = headers.length.min(A::MAX_QUOTE) & !3;
    let offset = headers.offset;
    packet.truncate(offset + quoted)?;
    packet.grow_front(A::HEADER + size_of::<Icmp>())?;

    // The tags are written first: where there are none (or one), the network header overwrites them.
    packet.write(size_of::<Ethernet>(), tags)?;
    packet
        .write(0, Ethernet { dmac: ethernet.smac, smac: ethernet.dmac, ether_type: ethernet.ether_type })?;
    A::write_header(packet, offset, (src, headers.key.src), A::ICMP, size_of::<Icmp>() + quoted)?;
    let message = offset + A::HEADER;
    packet.write(message, icmp)?;

    let mut sum =
        if A::IS_V6 { pseudo_header(src, headers.key.src, size_of::<Icmp>() + quoted, A::ICMP) } else { 0 };
    for word in 0..(size_of::<Icmp>() + A::MAX_QUOTE) / 4 {
        if word * 4 >= size_of::<Icmp>() + quoted {
            break;
        }
        sum += checksum::halves(packet.read::<u32>(message + word * 4)?);
    }
    packet.write(message + Icmp::CHECK, !checksum::fold(sum))
}

/// Shortest frame without its checksum (IEEE 802.3 §4A.4.2): what arrived with at least that leaves so.
pub(super) const SHORTEST_FRAME: usize = 60;

/// Drops a TCP packet for a reason, given by its number, and sends a RST back; never for a RST, nor for a later fragment, which has
/// no numbers.
#[inline(never)]
pub(super) fn reset<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>, reason: u32) -> Verdict
where
    A: Family,
    P: Packet,
    T: Tables,
{
    let dropped = Verdict::drop_for(reason);
    if headers.flags & RST != 0 || !headers.has_transport {
        return dropped;
    }
    if !may_answer(packet, tables, Answer::Reset) {
        return Verdict::drop(DropReason::AnswerLimited);
    }
    match write_reset(packet, headers) {
        Some(()) => {
            tables.count_drop(reason);
            Verdict::TRANSMIT
        }
        None => dropped,
    }
}

/// The answer of RFC 9293 §3.10.7.1 to a segment without a connection. Its sequence number is the one that the segment acknowledges: the
/// only one that its sender takes without asking back (RFC 5961 §3.2).
#[inline(always)]
fn write_reset<A: Family, P: Packet>(packet: &mut P, headers: &Headers<A>) -> Option<()> {
    let ethernet = packet.read::<Ethernet>(0)?;
    let segment = packet.read::<Tcp>(headers.transport)?;
    let (seq, ack, flags) = if segment.flags & ACK != 0 {
        (segment.ack, 0, RST)
    } else {
        let data = headers.payload().saturating_sub(usize::from(segment.offset >> 4) * 4) as u32;
        let length = data + u32::from(segment.flags & SYN != 0) + u32::from(segment.flags & FIN != 0);
        (0, u32::from_be(segment.seq).wrapping_add(length).to_be(), RST | ACK)
    };
    let (src, dst, offset) = (headers.key.dst, headers.key.src, headers.offset);
    let mut reset = Tcp {
        sport: headers.key.dport,
        dport: headers.key.sport,
        seq,
        ack,
        offset: (size_of::<Tcp>() as u8 / 4) << 4,
        flags,
        window: 0,
        check: 0,
        urgent: 0,
    };
    let sum = pseudo_header(src, dst, size_of::<Tcp>(), TCP)
        + u32::from(reset.sport)
        + u32::from(reset.dport)
        + checksum::halves(seq)
        + checksum::halves(ack)
        + u32::from(u16::from_ne_bytes([reset.offset, flags]));
    reset.check = !checksum::fold(sum);

    let end = offset + A::HEADER + size_of::<Tcp>();
    packet.truncate(if packet.length() < SHORTEST_FRAME { end } else { end.max(SHORTEST_FRAME) })?;
    packet.write(0, [ethernet.smac, ethernet.dmac])?;
    A::write_header(packet, offset, (src, dst), TCP, size_of::<Tcp>())?;
    packet.write(offset + A::HEADER, reset)?;
    for half in 0..3 {
        // Behind the end of most frames.
        let _ = packet.write(end + 2 * half, 0_u16);
    }
    Some(())
}

/// The sum of the pseudo-header (RFC 8200 §8.1; RFC 9293 §3.1 has the same for IPv4).
#[inline(always)]
pub(super) fn pseudo_header<A: Family>(src: A, dst: A, length: usize, proto: u8) -> u32 {
    checksum::sum_words(src.words())
        + checksum::sum_words(dst.words())
        + u32::from((length as u16).to_be())
        + u32::from(u16::from_ne_bytes([0, proto]))
}
