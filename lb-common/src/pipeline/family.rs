//! What differs between IPv4 and IPv6: the network header.

use super::{
    Verdict, drop,
    parse::{Fragment, Headers},
    pass,
};
use crate::{
    Packet,
    abi::{Address, DropReason, FlowKey, Interface},
    checksum,
    wire::{
        DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, Icmp, Ipv4, Ipv6, Ipv6Extension,
        Ipv6Fragment, ROUTING,
    },
};

/// IPv6 extension headers that are followed.
const MAX_EXTENSION_HEADERS: usize = 6;

/// TTL or hop limit of packets that begin here.
pub(super) const DEFAULT_HOP_LIMIT: u8 = 64;

/// An address family's network header.
pub(super) trait Family: Address {
    /// Protocol number of its ICMP.
    const ICMP: u8;
    /// ICMP type of an echo request, and of its reply.
    const ECHO: (u8, u8);
    /// ICMP type and code of "time exceeded in transit".
    const TIME_EXCEEDED: (u8, u8);
    /// ICMP type and code of "packet too big" (IPv4: fragmentation needed), whose last word is the MTU.
    const TOO_BIG: (u8, u8);
    /// Length of the network header that [`Family::write_header`] writes.
    const HEADER: usize;
    /// Most bytes an ICMP error quotes: 576 (RFC 1812 §4.3.2.3) or 1280 (RFC 4443 §3) in all. A multiple of 4.
    const MAX_QUOTE: usize;

    /// Whether no host can have it as the source of a packet: a "martian" (RFC 1812 §5.3.7), such as a loopback, link-local, multicast or
    /// reserved address.
    fn is_martian(self) -> bool;

    /// Whether an ICMP type is an error that quotes a packet and is to be translated.
    fn is_error(kind: u8) -> bool;

    /// Whether an ICMP error says that its packet led nowhere, and not that it was too large.
    fn is_unreachable(kind: u8, code: u8) -> bool;

    /// Reads the network header at `offset`, and checks it against the frame.
    fn parse<P: Packet>(packet: &P, offset: usize, headers: &mut Headers<Self>) -> Result<(), Verdict>;

    /// Reads the network header of a packet quoted in an ICMP error, of which the end may be missing.
    fn parse_quote<P: Packet>(packet: &P, offset: usize, headers: &mut Headers<Self>) -> Option<()>;

    /// Writes addresses, TTL or hop limit, and (IPv4) the header checksum, at `offset`.
    fn rewrite<P: Packet>(packet: &mut P, offset: usize, header: &Header<Self>) -> Option<()>;

    /// Writes the network header of a packet of ours (a TCP segment or an ICMP error) at `offset`, before `payload` bytes.
    fn write_header<P: Packet>(
        packet: &mut P,
        offset: usize,
        ends: (Self, Self),
        proto: u8,
        payload: usize,
    ) -> Option<()>;

    /// The address of an interface that ICMP errors come from; all 0: none.
    fn of_interface(interface: &Interface) -> Self;
}

/// What [`Family::rewrite`] writes.
pub(super) struct Header<A> {
    /// Source address.
    pub(super) src: A,
    /// Destination address.
    pub(super) dst: A,
    /// TTL or hop limit.
    pub(super) hop_limit: u8,
    /// Delta of the changes above for the IPv4 header checksum.
    pub(super) l3_delta: u16,
}

impl Family for u32 {
    const ICMP: u8 = ICMP;
    const ECHO: (u8, u8) = (8, 0);
    const TIME_EXCEEDED: (u8, u8) = (11, 0);
    const TOO_BIG: (u8, u8) = (3, 4);
    const HEADER: usize = size_of::<Ipv4>();
    const MAX_QUOTE: usize = 576 - size_of::<Ipv4>() - size_of::<Icmp>();

    /// `0.0.0.0/8`, `127.0.0.0/8`, `169.254.0.0/16`, and from `224.0.0.0` on.
    #[inline(always)]
    fn is_martian(self) -> bool {
        let address = Self::from_be(self);
        let first = address >> 24;
        first == 0 || first == 127 || first >= 224 || address >> 16 == 0xa9fe
    }

    /// Destination unreachable, time exceeded, parameter problem (RFC 792).
    #[inline(always)]
    fn is_error(kind: u8) -> bool {
        matches!(kind, 3 | 11 | 12)
    }

    /// Destination unreachable, "fragmentation needed" excepted.
    #[inline(always)]
    fn is_unreachable(kind: u8, code: u8) -> bool {
        kind == 3 && code != Self::TOO_BIG.1
    }

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, offset: usize, headers: &mut Headers<Self>) -> Result<(), Verdict> {
        let Some(ip) = packet.read::<Ipv4>(offset) else { return drop(DropReason::Truncated) };
        let Some(parsed) = ipv4(&ip, offset) else { return drop(DropReason::BadIpHeader) };
        *headers = parsed;
        if packet.length() < offset + headers.length || headers.transport > offset + headers.length {
            return drop(DropReason::BadIpHeader);
        }
        Ok(())
    }

    #[inline(always)]
    fn parse_quote<P: Packet>(packet: &P, offset: usize, headers: &mut Headers<Self>) -> Option<()> {
        *headers = ipv4(&packet.read::<Ipv4>(offset)?, offset)?;
        Some(())
    }

    #[inline(always)]
    fn rewrite<P: Packet>(packet: &mut P, offset: usize, header: &Header<Self>) -> Option<()> {
        let mut ip = packet.read::<Ipv4>(offset)?;
        ip.ttl = header.hop_limit;
        ip.check = checksum::update(ip.check, header.l3_delta);
        ip.src = header.src;
        ip.dst = header.dst;
        packet.write(offset, ip)
    }

    #[inline(always)]
    fn write_header<P: Packet>(
        packet: &mut P,
        offset: usize,
        (src, dst): (Self, Self),
        proto: u8,
        payload: usize,
    ) -> Option<()> {
        let total_length = ((Self::HEADER + payload) as u16).to_be();
        // Errors have the precedence "internetwork control" (RFC 1812 §4.3.2.5).
        let tos = if proto == ICMP { 0xc0 } else { 0 };
        let mut ip = Ipv4 {
            version_ihl: 0x45,
            tos,
            total_length,
            id: 0,
            fragment: 0,
            ttl: DEFAULT_HOP_LIMIT,
            proto,
            check: 0,
            src,
            dst,
        };
        let fixed =
            u32::from(u16::from_ne_bytes([0x45, tos])) + u32::from(u16::from_ne_bytes([ip.ttl, proto]));
        let sum = fixed + u32::from(total_length) + checksum::halves(src) + checksum::halves(dst);
        ip.check = !checksum::fold(sum);
        packet.write(offset, ip)
    }

    #[inline(always)]
    fn of_interface(interface: &Interface) -> Self {
        interface.addr4
    }
}

/// Headers of an unfragmented packet of which the transport part is not known yet; `header` is the network header's length.
#[inline(always)]
fn headers<A: Family>(
    offset: usize,
    header: usize,
    length: usize,
    key: FlowKey<A>,
    hop_limit: u8,
) -> Headers<A> {
    Headers {
        offset,
        transport: offset + header,
        length,
        key,
        fragment: Fragment::Whole,
        fragment_id: 0,
        check: 0,
        hop_limit,
        flags: 0,
        has_transport: false,
    }
}

/// Everything about an IPv4 header that does not depend on the frame.
#[inline(always)]
fn ipv4(ip: &Ipv4, offset: usize) -> Option<Headers<u32>> {
    let header = usize::from(ip.version_ihl & 0x0f) * 4;
    let length = usize::from(u16::from_be(ip.total_length));
    if ip.version_ihl >> 4 != 4 || header < size_of::<Ipv4>() {
        return None;
    }
    let fragment = u16::from_be(ip.fragment);
    let fragment = match (fragment & 0x1fff, fragment & 0x2000) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    };
    let key = FlowKey { src: ip.src, dst: ip.dst, proto: ip.proto, ..FlowKey::default() };
    Some(Headers { fragment, fragment_id: u32::from(ip.id), ..headers(offset, header, length, key, ip.ttl) })
}

impl Family for [u32; 4] {
    const ICMP: u8 = ICMPV6;
    const ECHO: (u8, u8) = (128, 129);
    const TIME_EXCEEDED: (u8, u8) = (3, 0);
    const TOO_BIG: (u8, u8) = (2, 0);
    const HEADER: usize = size_of::<Ipv6>();
    const MAX_QUOTE: usize = 1280 - size_of::<Ipv6>() - size_of::<Icmp>();

    /// `::/96` with `::` and `::1`, `::ffff:0:0/96`, `fe80::/10`, and `ff00::/8`.
    #[inline(always)]
    fn is_martian(self) -> bool {
        let [first, second, third, _] = self;
        let start = u32::from_be(first) >> 22;
        let holds_v4 = first | second == 0 && (third == 0 || third == 0xffff_u32.to_be());
        holds_v4 || start == 0xfe80_0000 >> 22 || start >> 2 == 0xff
    }

    /// Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
    #[inline(always)]
    fn is_error(kind: u8) -> bool {
        matches!(kind, 1..=4)
    }

    #[inline(always)]
    fn is_unreachable(kind: u8, _code: u8) -> bool {
        kind == 1
    }

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, offset: usize, headers: &mut Headers<Self>) -> Result<(), Verdict> {
        let Some(ip) = packet.read::<Ipv6>(offset) else { return drop(DropReason::Truncated) };
        *headers = ipv6(&ip, offset);
        if ip.version_class_label.to_ne_bytes()[0] >> 4 != 6 || packet.length() < offset + headers.length {
            return drop(DropReason::BadIpHeader);
        }
        match extension_headers(packet, headers) {
            Extensions::Done if headers.transport <= offset + headers.length => Ok(()),
            Extensions::Done => drop(DropReason::BadIpHeader),
            Extensions::Truncated => drop(DropReason::Truncated),
            Extensions::TooMany => drop(DropReason::TooManyExtensionHeaders),
            Extensions::SourceRouted => pass(),
        }
    }

    #[inline(always)]
    fn parse_quote<P: Packet>(packet: &P, offset: usize, headers: &mut Headers<Self>) -> Option<()> {
        let ip = packet.read::<Ipv6>(offset)?;
        *headers = ipv6(&ip, offset);
        if ip.version_class_label.to_ne_bytes()[0] >> 4 != 6 {
            return None;
        }
        matches!(extension_headers(packet, headers), Extensions::Done).then_some(())
    }

    #[inline(always)]
    fn rewrite<P: Packet>(packet: &mut P, offset: usize, header: &Header<Self>) -> Option<()> {
        let [next_header, _] = packet.read::<[u8; 2]>(offset + Ipv6::NEXT_HEADER)?;
        packet.write(offset + Ipv6::NEXT_HEADER, [next_header, header.hop_limit])?;
        packet.write(offset + Ipv6::SRC, header.src)?;
        packet.write(offset + Ipv6::DST, header.dst)
    }

    #[inline(always)]
    fn write_header<P: Packet>(
        packet: &mut P,
        offset: usize,
        (src, dst): (Self, Self),
        proto: u8,
        payload: usize,
    ) -> Option<()> {
        let ip = Ipv6 {
            version_class_label: u32::from_ne_bytes([0x60, 0, 0, 0]),
            payload_length: (payload as u16).to_be(),
            next_header: proto,
            hop_limit: DEFAULT_HOP_LIMIT,
            src,
            dst,
        };
        packet.write(offset, ip)
    }

    #[inline(always)]
    fn of_interface(interface: &Interface) -> Self {
        interface.addr6
    }
}

#[inline(always)]
fn ipv6(ip: &Ipv6, offset: usize) -> Headers<[u32; 4]> {
    let length = size_of::<Ipv6>() + usize::from(u16::from_be(ip.payload_length));
    let key = FlowKey { src: ip.src, dst: ip.dst, proto: ip.next_header, ..FlowKey::default() };
    headers(offset, size_of::<Ipv6>(), length, key, ip.hop_limit)
}

/// Where a walk over extension headers ended.
enum Extensions {
    Done,
    Truncated,
    TooMany,
    /// A routing header with segments left: the destination address is not the final one.
    SourceRouted,
}

/// Moves `transport`, `proto` and `fragment` over the extension headers (RFC 8200 §4).
#[inline(always)]
fn extension_headers<P: Packet>(packet: &P, headers: &mut Headers<[u32; 4]>) -> Extensions {
    for _ in 0..MAX_EXTENSION_HEADERS {
        match headers.key.proto {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let Some(header) = packet.read::<Ipv6Extension>(headers.transport) else {
                    return Extensions::Truncated;
                };
                if headers.key.proto == ROUTING && header.segments_left != 0 {
                    return Extensions::SourceRouted;
                }
                headers.key.proto = header.next_header;
                headers.transport += (usize::from(header.length) + 1) * 8;
            }
            FRAGMENT => {
                let Some(header) = packet.read::<Ipv6Fragment>(headers.transport) else {
                    return Extensions::Truncated;
                };
                let offset = u16::from_be(header.offset);
                headers.fragment = match (offset >> 3, offset & 1) {
                    // An atomic fragment (RFC 6946) is a whole packet.
                    (0, 0) => Fragment::Whole,
                    (0, _) => Fragment::First,
                    _ => Fragment::Later,
                };
                headers.fragment_id = header.id;
                headers.key.proto = header.next_header;
                headers.transport += size_of::<Ipv6Fragment>();
                if headers.fragment == Fragment::Later {
                    return Extensions::Done;
                }
            }
            _ => return Extensions::Done,
        }
    }
    match headers.key.proto {
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT => Extensions::TooMany,
        _ => Extensions::Done,
    }
}
