//! What a frame says, for people.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::wire::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, ROUTING, TCP, UDP};

/// EtherTypes, native order.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// The headers of a frame, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Source MAC address.
    pub smac: [u8; 6],
    /// Destination MAC address.
    pub dmac: [u8; 6],
    /// Ids of VLAN tags, the outer one first.
    pub vlans: Vec<u16>,
    /// EtherType behind them, native order.
    pub ether_type: u16,
    /// Source and destination.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// IP protocol number.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Length of the packet from its network header on, in bytes.
    pub length: usize,
    /// Where a fragment's part begins, in bytes; not for whole packets.
    pub fragment: Option<u16>,
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
    /// TCP flags.
    pub flags: Option<u8>,
    /// ICMP's type and code.
    pub icmp: Option<(u8, u8)>,
}

impl Headers {
    /// Reads a frame; what it is too short for is left out.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        let mut headers = Self::default();
        let _ = headers.ethernet(frame);
        headers
    }

    fn ethernet(&mut self, frame: &[u8]) -> Option<()> {
        self.dmac = octets(frame, 0)?;
        self.smac = octets(frame, 6)?;
        self.ether_type = half(frame, 12)?;
        let mut offset = 14;
        while TAGS.contains(&self.ether_type) && self.vlans.len() < 2 {
            self.vlans.push(half(frame, offset)? & 0xfff);
            self.ether_type = half(frame, offset + 2)?;
            offset += 4;
        }
        let packet = frame.get(offset..)?;
        match self.ether_type {
            IPV4 => self.ipv4(packet),
            IPV6 => self.ipv6(packet),
            _ => None,
        }
    }

    fn ipv4(&mut self, packet: &[u8]) -> Option<()> {
        let header = usize::from(*packet.first()? & 15) * 4;
        self.length = half(packet, 2)?.into();
        let piece = half(packet, 6)?;
        let offset = (piece & 0x1fff) * 8;
        self.fragment = (piece & 0x3fff != 0).then_some(offset);
        (self.ttl, self.protocol) = (*packet.get(8)?, *packet.get(9)?);
        let address = |at| octets::<4>(packet, at).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
        self.addresses = Some((address(12)?, address(16)?));
        if offset == 0 { self.transport(packet.get(header..)?) } else { None }
    }

    fn ipv6(&mut self, packet: &[u8]) -> Option<()> {
        self.length = 40 + usize::from(half(packet, 4)?);
        (self.protocol, self.ttl) = (*packet.get(6)?, *packet.get(7)?);
        let address = |at| octets::<16>(packet, at).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
        self.addresses = Some((address(8)?, address(24)?));
        let mut offset = 40;
        while [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT].contains(&self.protocol) {
            let length = if self.protocol == FRAGMENT {
                let piece = half(packet, offset + 2)?;
                self.fragment = (piece & 0xfff9 != 0).then_some(piece & 0xfff8);
                8
            } else {
                8 * (1 + usize::from(*packet.get(offset + 1)?))
            };
            self.protocol = *packet.get(offset)?;
            offset += length;
        }
        if self.fragment.is_none_or(|offset| offset == 0) {
            self.transport(packet.get(offset..)?)
        } else {
            None
        }
    }

    fn transport(&mut self, segment: &[u8]) -> Option<()> {
        match self.protocol {
            TCP => {
                self.ports = Some((half(segment, 0)?, half(segment, 2)?));
                self.flags = Some(*segment.get(13)?);
            }
            UDP => self.ports = Some((half(segment, 0)?, half(segment, 2)?)),
            ICMP | ICMPV6 => self.icmp = Some((*segment.first()?, *segment.get(1)?)),
            _ => {}
        }
        Some(())
    }
}

fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    octets(bytes, at).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use lb_common::{
        host::{Extension, FrameSpec, Piece},
        wire::{ACK, SYN},
    };

    use super::*;

    #[test]
    fn headers_are_read_behind_tags_options_and_extension_headers() {
        let mut v4 =
            FrameSpec::tcp("192.0.2.1:40000".parse().unwrap(), "203.0.113.10:80".parse().unwrap(), SYN | ACK);
        (v4.tags, v4.options, v4.hop_limit) = (vec![(0x88a8, 7), (0x8100, 0x2009)], vec![1; 8], 9);
        let read = Headers::of(&v4.build());
        assert_eq!((read.vlans.as_slice(), read.ether_type, read.ttl), (&[7, 9][..], IPV4, 9));
        assert_eq!((read.ports, read.flags, read.length), (Some((40000, 80)), Some(SYN | ACK), 48));

        let mut v6 = FrameSpec::udp("[2001:db8::1]:5".parse().unwrap(), "[2001:db8::2]:53".parse().unwrap());
        v6.extensions = vec![Extension::options(HOP_BY_HOP, 1), Extension::options(DESTINATION_OPTIONS, 0)];
        let read = Headers::of(&v6.build());
        assert_eq!((read.protocol, read.ports, read.fragment), (UDP, Some((5, 53)), None));
        assert_eq!(read.addresses, Some((v6.src, v6.dst)));
        v6.payload = vec![0; 100];
        v6.fragment = Some(Piece { offset: 16, length: 16 });
        let read = Headers::of(&v6.build());
        assert_eq!((read.protocol, read.ports, read.fragment), (UDP, None, Some(16)));
    }

    #[test]
    fn a_frame_may_end_anywhere() {
        let whole =
            FrameSpec::icmp("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap(), 8, 0, 1).build();
        assert_eq!(Headers::of(&whole).icmp, Some((8, 0)));
        for length in 0..whole.len() {
            let _ = Headers::of(&whole[..length]);
        }
        assert_eq!(Headers::of(&[]), Headers::default());
    }
}
