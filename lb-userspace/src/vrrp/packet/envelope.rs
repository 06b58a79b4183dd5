//! What the IP header of a message says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::checksum;

use super::Rejection;

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// Where IPv4 adverts go (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where IPv6 adverts go (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// TTL and hop limit of what is sent: a router on the way would have made it less (RFC 5082).
pub const HOP_LIMIT: u8 = 255;

/// Sender and receiver, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ends {
    /// Source and destination of IPv4.
    V4(Ipv4Addr, Ipv4Addr),
    /// Source and destination of IPv6.
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// `None` if the families differ.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6(source, destination)),
            _ => None,
        }
    }

    /// Who sent it.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        match *self {
            Self::V4(source, _) => source.into(),
            Self::V6(source, _) => source.into(),
        }
    }

    /// Whom it was sent to.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        match *self {
            Self::V4(_, destination) => destination.into(),
            Self::V6(_, destination) => destination.into(),
        }
    }

    /// Whether it was sent to the group of all VRRP routers.
    #[must_use]
    pub fn is_to_group(&self) -> bool {
        match *self {
            Self::V4(_, destination) => destination == GROUP_V4,
            Self::V6(_, destination) => destination == GROUP_V6,
        }
    }

    /// The sum of the pseudo-header of a message of `length` bytes (RFC 8200 section 8.1; for IPv4 as TCP has it).
    pub(super) fn pseudo_sum(&self, length: usize) -> u32 {
        let addresses = match *self {
            Self::V4(source, destination) => {
                checksum::sum(&source.octets()) + checksum::sum(&destination.octets())
            }
            Self::V6(source, destination) => {
                checksum::sum(&source.octets()) + checksum::sum(&destination.octets())
            }
        };
        // Messages are shorter than 64 KiB: the upper half of IPv6's length is 0.
        addresses + u32::from((length as u16).to_be()) + u32::from(u16::from_ne_bytes([0, PROTOCOL]))
    }
}

/// What is known of a message from its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Who sent it to whom.
    pub ends: Ends,
    /// TTL or hop limit, as it arrived.
    pub hop_limit: u8,
}

/// Takes an IPv4 packet apart, as a raw socket delivers it: header and message.
///
/// # Errors
/// [`Rejection::Length`] if it is not all there.
pub fn open_v4(packet: &[u8]) -> Result<(Envelope, &[u8]), Rejection> {
    const HEADER: usize = 20;
    let found = packet.len();
    let too_short = |expected| Rejection::Length { found, expected };
    let (header, _) = packet.split_first_chunk::<HEADER>().ok_or(too_short(HEADER))?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let message = packet.get(header_length.max(HEADER)..total).ok_or(too_short(total.max(HEADER)))?;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let ends = Ends::V4(Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
    Ok((Envelope { ends, hop_limit: header[8] }, message))
}
