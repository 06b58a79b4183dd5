//! Packets of our own: echo replies, and the ICMP errors a router owes (time exceeded, packet too big).

use super::{
    Verdict,
    family::{DEFAULT_HOP_LIMIT, Family, Header},
    parse::{Fragment, Headers},
};
use crate::{
    Packet, Tables,
    abi::DropReason,
    checksum,
    wire::{Ethernet, Icmp},
};

/// Answers an echo request to a VIP in place.
#[inline(never)]
pub(super) fn echo<A: Family, P: Packet>(packet: &mut P, headers: &Headers<A>, icmp: &Icmp) -> Verdict {
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
    packet.write(headers.transport + Icmp::CHECK, checksum::update(icmp.check, delta))?;
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
    packet.grow_front(A::ERROR_HEADER + size_of::<Icmp>())?;

    // The tags are written first: where there are none (or one), the network header overwrites them.
    packet.write(size_of::<Ethernet>(), tags)?;
    packet
        .write(0, Ethernet { dmac: ethernet.smac, smac: ethernet.dmac, ether_type: ethernet.ether_type })?;
    A::write_error_header(packet, offset, src, headers.key.src, size_of::<Icmp>() + quoted)?;
    let message = offset + A::ERROR_HEADER;
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

/// The sum of the IPv6 pseudo-header (RFC 8200 §8.1).
#[inline(always)]
fn pseudo_header<A: Family>(src: A, dst: A, length: usize, proto: u8) -> u32 {
    checksum::sum_words(src.words())
        + checksum::sum_words(dst.words())
        + u32::from((length as u16).to_be())
        + u32::from(u16::from_ne_bytes([0, proto]))
}
