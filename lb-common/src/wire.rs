//! Wire headers, read and written by value. Multi-byte fields are in wire order unless a method says otherwise.
//!
//! network-types gives the protocol and EtherType numbers and the header lengths (asserted below). Its header types can't be
//! read without unsafe code, as they have no zerocopy derives, and byte-array fields cost a load per byte in BPF; hence ours.

use network_types::{
    arp::ArpHdr,
    eth::{EthHdr, EtherType},
    icmp::Icmpv4Hdr,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
    vlan::VlanHdr,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const _: () = {
    assert!(size_of::<Ethernet>() == EthHdr::LEN);
    assert!(size_of::<Vlan>() == VlanHdr::LEN);
    assert!(size_of::<Arp>() == ArpHdr::LEN);
    assert!(size_of::<Ipv4>() == Ipv4Hdr::LEN);
    assert!(size_of::<Ipv6>() == Ipv6Hdr::LEN);
    assert!(size_of::<Tcp>() == TcpHdr::LEN);
    assert!(size_of::<Udp>() == UdpHdr::LEN);
    assert!(size_of::<Icmp>() == Icmpv4Hdr::LEN);
};

/// EtherType of IPv4, wire order.
pub const ETHERTYPE_IPV4: u16 = EtherType::Ipv4 as u16;
/// EtherType of ARP, wire order.
pub const ETHERTYPE_ARP: u16 = EtherType::Arp as u16;
/// EtherType of IPv6, wire order.
pub const ETHERTYPE_IPV6: u16 = EtherType::Ipv6 as u16;
/// EtherType of an IEEE 802.1Q tag, wire order.
pub const ETHERTYPE_VLAN: u16 = EtherType::Ieee8021q as u16;
/// EtherType of an IEEE 802.1ad outer tag, wire order.
pub const ETHERTYPE_QINQ: u16 = EtherType::Ieee8021ad as u16;

/// Protocol number of ICMP.
pub const ICMP: u8 = IpProto::Icmp as u8;
/// Protocol number of TCP.
pub const TCP: u8 = IpProto::Tcp as u8;
/// Protocol number of UDP.
pub const UDP: u8 = IpProto::Udp as u8;
/// Protocol number of ICMPv6.
pub const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
/// Extension header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
/// Extension header: routing.
pub const ROUTING: u8 = IpProto::Ipv6Route as u8;
/// Extension header: fragment.
pub const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
/// Extension header: destination options.
pub const DESTINATION_OPTIONS: u8 = IpProto::Ipv6Opts as u8;

/// TCP flag FIN.
pub const FIN: u8 = 0x01;
/// TCP flag SYN.
pub const SYN: u8 = 0x02;
/// TCP flag RST.
pub const RST: u8 = 0x04;
/// TCP flag ACK.
pub const ACK: u8 = 0x10;

/// Ethernet header (IEEE 802.3).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Ethernet {
    /// Destination MAC address.
    pub dmac: [u8; 6],
    /// Source MAC address.
    pub smac: [u8; 6],
    /// EtherType.
    pub ether_type: u16,
}

impl Ethernet {
    /// Offset of the EtherType.
    pub const ETHER_TYPE: usize = 12;
}

/// VLAN tag, behind the EtherType that announces it (IEEE 802.1Q).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Vlan {
    /// Priority, drop eligibility, VLAN id.
    pub tci: u16,
    /// EtherType of what follows.
    pub ether_type: u16,
}

/// IPv4 header without options (RFC 791 §3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Ipv4 {
    /// Version and header length in words.
    pub version_ihl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Length of header and payload.
    pub total_length: u16,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol.
    pub proto: u8,
    /// Header checksum.
    pub check: u16,
    /// Source address.
    pub src: u32,
    /// Destination address.
    pub dst: u32,
}

/// IPv6 header (RFC 8200 §3).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Ipv6 {
    /// Version, traffic class, flow label.
    pub version_class_label: u32,
    /// Length of what follows this header.
    pub payload_length: u16,
    /// Next header.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub src: [u32; 4],
    /// Destination address.
    pub dst: [u32; 4],
}

impl Ipv6 {
    /// Offset of `next_header` and `hop_limit`.
    pub const NEXT_HEADER: usize = 6;
    /// Offset of `src`.
    pub const SRC: usize = 8;
    /// Offset of `dst`.
    pub const DST: usize = 24;
}

/// The beginning of every IPv6 extension header that gives its length in 8-byte units (RFC 8200 §4).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Ipv6Extension {
    /// Next header.
    pub next_header: u8,
    /// Length in 8-byte units, less one.
    pub length: u8,
    /// Routing header: routing type.
    pub routing_type: u8,
    /// Routing header: segments left.
    pub segments_left: u8,
}

/// IPv6 fragment header (RFC 8200 §4.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Ipv6Fragment {
    /// Next header.
    pub next_header: u8,
    /// 0.
    pub reserved: u8,
    /// Offset in 8-byte units (upper 13 bits), more-fragments flag (lowest bit).
    pub offset: u16,
    /// Identification.
    pub id: u32,
}

/// The ports, which TCP and UDP begin with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Ports {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

/// TCP header without options (RFC 9293 §3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Tcp {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Data offset in words (upper 4 bits).
    pub offset: u8,
    /// Flags.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Checksum.
    pub check: u16,
    /// Urgent pointer.
    pub urgent: u16,
}

impl Tcp {
    /// Offset of `check`.
    pub const CHECK: usize = 16;
}

/// UDP header (RFC 768).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Udp {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Length of header and payload.
    pub length: u16,
    /// Checksum; 0 with IPv4: none.
    pub check: u16,
}

impl Udp {
    /// Offset of `check`.
    pub const CHECK: usize = 6;
}

/// ICMP and ICMPv6 header (RFC 792, RFC 4443 §2.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum.
    pub check: u16,
    /// Depends on the type: identifier and sequence number, MTU, unused.
    pub rest: u32,
}

impl Icmp {
    /// Offset of `check`.
    pub const CHECK: usize = 2;
}

/// ARP for IPv4 over Ethernet (RFC 826). Addresses in halves, as they have no alignment.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Arp {
    /// Hardware type.
    pub hardware: u16,
    /// Protocol type.
    pub protocol: u16,
    /// Lengths of both kinds of addresses.
    pub lengths: u16,
    /// Operation.
    pub operation: u16,
    /// Sender's MAC address.
    pub sender_mac: [u16; 3],
    /// Sender's address.
    pub sender: [u16; 2],
    /// Target's MAC address.
    pub target_mac: [u16; 3],
    /// Target's address.
    pub target: [u16; 2],
}

impl Arp {
    /// Ethernet and IPv4 with addresses of 6 and 4 bytes: `hardware`, `protocol` and `lengths`, wire order.
    pub const ETHERNET_IPV4: [u16; 3] = [1_u16.to_be(), 0x0800_u16.to_be(), 0x0604_u16.to_be()];

    /// `operation` of a question, wire order.
    pub const REQUEST: u16 = 1_u16.to_be();

    /// An address as a word in wire order.
    #[inline(always)]
    #[must_use]
    pub fn word([start, end]: [u16; 2]) -> u32 {
        // What is first in memory is the lower half where the lower byte is first.
        if cfg!(target_endian = "little") {
            u32::from(start) | u32::from(end) << 16
        } else {
            u32::from(end) | u32::from(start) << 16
        }
    }
}

/// Neighbor Solicitation and Advertisement (RFC 4861 §4.3, §4.4), without options.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Neighbour {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum.
    pub check: u16,
    /// Flags of an advertisement.
    pub flags: u32,
    /// Whose link-layer address it is about.
    pub target: [u32; 4],
}

impl Neighbour {
    /// `kind` of a solicitation.
    pub const SOLICITATION: u8 = 135;
    /// `kind` of an advertisement.
    pub const ADVERTISEMENT: u8 = 136;
}
