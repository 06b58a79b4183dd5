//! The addresses of a virtual router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A list of addresses of one family, in the order of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4.
    V4(Vec<Ipv4Addr>),
    /// IPv6; the first is link-local (RFC 9568 section 5.2.9).
    V6(Vec<Ipv6Addr>),
}

impl Addresses {
    /// The most that a packet can count.
    pub const MOST: usize = 255;

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::V4(addresses) => addresses.len(),
            Self::V6(addresses) => addresses.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let (v4, v6) = match self {
            Self::V4(addresses) => (addresses.as_slice(), [].as_slice()),
            Self::V6(addresses) => ([].as_slice(), addresses.as_slice()),
        };
        v4.iter().copied().map(IpAddr::V4).chain(v6.iter().copied().map(IpAddr::V6))
    }

    /// Whether both have the same addresses, in whatever order.
    #[must_use]
    pub fn same_set(&self, other: &Self) -> bool {
        let sorted = |addresses: &Self| {
            let mut all: Vec<IpAddr> = addresses.iter().collect();
            all.sort_unstable();
            all
        };
        sorted(self) == sorted(other)
    }

    /// Reads as many as there are in the bytes.
    pub(super) fn read(bytes: &[u8], is_v4: bool) -> Self {
        if is_v4 {
            let (all, _) = bytes.as_chunks::<4>();
            Self::V4(all.iter().map(|octets| Ipv4Addr::from(*octets)).collect())
        } else {
            let (all, _) = bytes.as_chunks::<16>();
            Self::V6(all.iter().map(|octets| Ipv6Addr::from(*octets)).collect())
        }
    }

    /// Appends them as they are in a packet.
    pub(super) fn write(&self, message: &mut Vec<u8>) {
        match self {
            Self::V4(addresses) => addresses.iter().for_each(|one| message.extend(one.octets())),
            Self::V6(addresses) => addresses.iter().for_each(|one| message.extend(one.octets())),
        }
    }
}
