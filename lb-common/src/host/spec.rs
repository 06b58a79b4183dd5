//! Frames for tests, built from a description: lengths and checksums are computed from scratch. Broken frames are made by
//! changing the bytes afterwards.

use std::net::{IpAddr, SocketAddr};

use super::verify::{ones_complement, pseudo_header};
use crate::wire::{
    DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, Icmp, Ipv4, Ipv6, ROUTING, TCP, Tcp, UDP, Udp,
};

/// Description of a frame.
#[derive(Clone, Debug)]
pub struct FrameSpec {
    /// Destination MAC address.
    pub dmac: [u8; 6],
    /// Source MAC address.
    pub smac: [u8; 6],
    /// VLAN tags: EtherType that announces it, and its control information.
    pub tags: Vec<(u16, u16)>,
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Identification (IPv4: its lower 16 bits).
    pub id: u32,
    /// IPv4 options; a multiple of 4 bytes.
    pub options: Vec<u8>,
    /// IPv6 extension headers; a fragment header is [`FrameSpec::fragment`]'s business, and comes last.
    pub extensions: Vec<Extension>,
    /// The part of the packet that the frame carries; `None`: all of it, unfragmented.
    pub fragment: Option<Piece>,
    /// Transport header.
    pub transport: Transport,
    /// What follows the transport header.
    pub payload: Vec<u8>,
    /// Bytes behind the packet, as Ethernet pads short frames.
    pub trailer: Vec<u8>,
}

/// A transport header.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// Flags.
        flags: u8,
        /// Options; a multiple of 4 bytes.
        options: Vec<u8>,
        /// Sequence number, acknowledgement number, window.
        numbers: (u32, u32, u16),
    },
    /// UDP.
    Udp {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// Whether it has a checksum.
        checksum: bool,
    },
    /// ICMP or ICMPv6, by the addresses' family.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// The second word.
        rest: u32,
    },
    /// A protocol without a header.
    Raw(u8),
}

/// An IPv6 extension header.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its protocol number.
    pub kind: u8,
    /// What follows its length: 6 bytes, or 8 more and so on.
    pub body: Vec<u8>,
}

impl Extension {
    /// Hop-by-hop or destination options of 8 + 8 * `more` bytes, filled with padding.
    #[must_use]
    pub fn options(kind: u8, more: usize) -> Self {
        assert!(kind == HOP_BY_HOP || kind == DESTINATION_OPTIONS);
        Self { kind, body: vec![0; 6 + 8 * more] }
    }

    /// A routing header without segments but with a number of segments left.
    #[must_use]
    pub fn routing(segments_left: u8) -> Self {
        Self { kind: ROUTING, body: vec![0, segments_left, 0, 0, 0, 0] }
    }
}

/// A part of a packet, counted from the transport header on.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// First byte; a multiple of 8.
    pub offset: usize,
    /// Number of bytes; a multiple of 8 unless it is the last piece. Cut at the packet's end.
    pub length: usize,
}

impl FrameSpec {
    /// A TCP segment.
    #[must_use]
    pub fn tcp(src: SocketAddr, dst: SocketAddr, flags: u8) -> Self {
        let transport = Transport::Tcp {
            sport: src.port(),
            dport: dst.port(),
            flags,
            options: Vec::new(),
            numbers: (0x1122_3344, 0x5566_7788, 0xfaf0),
        };
        Self::new(src.ip(), dst.ip(), transport)
    }

    /// A UDP datagram.
    #[must_use]
    pub fn udp(src: SocketAddr, dst: SocketAddr) -> Self {
        let transport = Transport::Udp { sport: src.port(), dport: dst.port(), checksum: true };
        Self::new(src.ip(), dst.ip(), transport)
    }

    /// An ICMP or ICMPv6 message.
    #[must_use]
    pub fn icmp(src: IpAddr, dst: IpAddr, kind: u8, code: u8, rest: u32) -> Self {
        Self::new(src, dst, Transport::Icmp { kind, code, rest })
    }

    /// A packet without payload and options.
    #[must_use]
    pub fn new(src: IpAddr, dst: IpAddr, transport: Transport) -> Self {
        Self {
            dmac: [0; 6],
            smac: [0; 6],
            tags: Vec::new(),
            src,
            dst,
            hop_limit: 64,
            id: 0x1234,
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: None,
            transport,
            payload: Vec::new(),
            trailer: Vec::new(),
        }
    }

    /// The same with another source.
    #[must_use]
    pub fn with_source(mut self, source: SocketAddr) -> Self {
        self.src = source.ip();
        if let Transport::Tcp { sport, .. } | Transport::Udp { sport, .. } = &mut self.transport {
            *sport = source.port();
        }
        self
    }

    /// The same with another destination.
    #[must_use]
    pub fn with_destination(mut self, destination: SocketAddr) -> Self {
        self.dst = destination.ip();
        if let Transport::Tcp { dport, .. } | Transport::Udp { dport, .. } = &mut self.transport {
            *dport = destination.port();
        }
        self
    }

    /// The whole frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(self.dmac);
        frame.extend(self.smac);
        for (announced, control) in &self.tags {
            frame.extend(announced.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        frame.extend(if self.dst.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(self.packet());
        frame.extend(&self.trailer);
        frame
    }

    /// Offset of the network header.
    #[must_use]
    pub fn network_offset(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// Offset of the transport header (or of a later fragment's data).
    #[must_use]
    pub fn transport_offset(&self) -> usize {
        let headers = match (self.dst, self.fragment) {
            (IpAddr::V4(_), _) => size_of::<Ipv4>() + self.options.len(),
            (IpAddr::V6(_), None) => size_of::<Ipv6>() + self.extension_bytes(),
            (IpAddr::V6(_), Some(_)) => size_of::<Ipv6>() + self.extension_bytes() + 8,
        };
        self.network_offset() + headers
    }

    fn extension_bytes(&self) -> usize {
        self.extensions.iter().map(|extension| 2 + extension.body.len()).sum()
    }

    /// The packet from its network header on.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let whole = self.transport_bytes();
        let (part, more) = match self.fragment {
            None => (&whole[..], false),
            Some(Piece { offset, length }) => {
                let end = (offset + length).min(whole.len());
                (&whole[offset..end], end < whole.len())
            }
        };
        let offset = self.fragment.map_or(0, |piece| piece.offset);
        assert_eq!(offset % 8, 0, "fragments begin at multiples of 8");
        let mut packet = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = size_of::<Ipv4>() + self.options.len();
                let mut bytes = vec![0x40 | (header / 4) as u8, 0];
                bytes.extend(((header + part.len()) as u16).to_be_bytes());
                bytes.extend((self.id as u16).to_be_bytes());
                bytes.extend(((offset / 8) as u16 | u16::from(more) << 13).to_be_bytes());
                bytes.extend([self.hop_limit, self.protocol(), 0, 0]);
                bytes.extend(src.octets());
                bytes.extend(dst.octets());
                bytes.extend(&self.options);
                let check = !ones_complement(0, &bytes);
                bytes[10..12].copy_from_slice(&check.to_be_bytes());
                bytes
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let extensions = self.extension_headers(offset, more);
                let mut bytes = vec![0x60, 0, 0, 0];
                bytes.extend(((extensions.1.len() + part.len()) as u16).to_be_bytes());
                bytes.extend([extensions.0, self.hop_limit]);
                bytes.extend(src.octets());
                bytes.extend(dst.octets());
                bytes.extend(extensions.1);
                bytes
            }
            _ => panic!("addresses of different families"),
        };
        packet.extend(part);
        packet
    }

    /// The first next-header number, and all extension headers.
    fn extension_headers(&self, offset: usize, more: bool) -> (u8, Vec<u8>) {
        let mut next = self.protocol();
        let mut bytes = Vec::new();
        if self.fragment.is_some() {
            bytes = vec![next, 0];
            bytes.extend((offset as u16 | u16::from(more)).to_be_bytes());
            bytes.extend(self.id.to_be_bytes());
            next = FRAGMENT;
        }
        for extension in self.extensions.iter().rev() {
            assert_eq!((2 + extension.body.len()) % 8, 0, "extension headers are multiples of 8 bytes");
            let mut header = vec![next, ((2 + extension.body.len()) / 8 - 1) as u8];
            header.extend(&extension.body);
            header.extend(bytes);
            bytes = header;
            next = extension.kind;
        }
        (next, bytes)
    }

    /// IP protocol number of the transport header.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp { .. } => TCP,
            Transport::Udp { .. } => UDP,
            Transport::Icmp { .. } if self.dst.is_ipv4() => ICMP,
            Transport::Icmp { .. } => ICMPV6,
            Transport::Raw(protocol) => protocol,
        }
    }

    /// Transport header and payload of the whole packet.
    fn transport_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let check = match &self.transport {
            Transport::Tcp { sport, dport, flags, options, numbers: (seq, ack, window) } => {
                bytes.extend(sport.to_be_bytes());
                bytes.extend(dport.to_be_bytes());
                bytes.extend(seq.to_be_bytes());
                bytes.extend(ack.to_be_bytes());
                bytes.extend([((size_of::<Tcp>() + options.len()) * 4) as u8, *flags]);
                bytes.extend(window.to_be_bytes());
                bytes.extend([0; 4]);
                bytes.extend(options);
                Some(Tcp::CHECK)
            }
            Transport::Udp { sport, dport, checksum } => {
                bytes.extend(sport.to_be_bytes());
                bytes.extend(dport.to_be_bytes());
                bytes.extend(((size_of::<Udp>() + self.payload.len()) as u16).to_be_bytes());
                bytes.extend([0, 0]);
                checksum.then_some(Udp::CHECK)
            }
            Transport::Icmp { kind, code, rest } => {
                bytes.extend([*kind, *code, 0, 0]);
                bytes.extend(rest.to_be_bytes());
                Some(Icmp::CHECK)
            }
            Transport::Raw(_) => None,
        };
        bytes.extend(&self.payload);
        if let Some(at) = check {
            let pseudo = match self.protocol() {
                ICMP => 0,
                protocol => pseudo_header(self.src, self.dst, protocol, bytes.len()),
            };
            let sum = !ones_complement(pseudo, &bytes);
            let sum = if sum == 0 && self.protocol() == UDP { 0xffff } else { sum };
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }
}
