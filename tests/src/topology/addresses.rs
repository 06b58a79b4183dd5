//! The addresses of the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// First address of the client.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// First address of the client.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10);
/// Number of addresses of the client, counted up from the first.
pub const CLIENT_ADDRESSES: u8 = 4;
/// The balancer, on the clients' side.
pub const BALANCER_CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The balancer, on the clients' side.
pub const BALANCER_CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);
/// The balancer, on the servers' side.
pub const BALANCER_SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// The balancer, on the servers' side.
pub const BALANCER_SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

pub(super) const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 254);
pub(super) const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe);
pub(super) const NARROW_NEAR_V4: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
pub(super) const NARROW_NEAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 1);
pub(super) const NARROW_FAR_V4: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 2);
pub(super) const NARROW_FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 2);
pub(super) const FAR_ROUTER_V4: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
pub(super) const FAR_ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
pub(super) const FAR_SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 11);
pub(super) const FAR_SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x11);

/// The VIP of a family with a number of 0 to 99. No host has it: packets to it only get on through the balancer.
#[must_use]
pub fn vip(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(203, 0, 113, 100 + number).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, u16::from(number) + 0x100).into(),
    }
}

/// The client's addresses in a family.
#[must_use]
pub fn clients(family: Family) -> Vec<IpAddr> {
    let first = (CLIENT_V4, CLIENT_V6);
    let all = std::iter::once(first).chain(more_clients());
    match family {
        Family::V4 => all.map(|(v4, _)| v4.into()).collect(),
        Family::V6 => all.map(|(_, v6)| v6.into()).collect(),
    }
}

/// The addresses that `full-nat` services use as sources; the balancer has them on the servers' side.
#[must_use]
pub fn snat_addresses(family: Family) -> Vec<IpAddr> {
    match family {
        Family::V4 => snat().map(|(v4, _)| v4.into()).collect(),
        Family::V6 => snat().map(|(_, v6)| v6.into()).collect(),
    }
}

/// The client's addresses beyond the first.
pub(crate) fn more_clients() -> impl Iterator<Item = (Ipv4Addr, Ipv6Addr)> {
    (1..CLIENT_ADDRESSES).map(|number| {
        let v4 = CLIENT_V4.octets();
        let v6 = CLIENT_V6.segments();
        (
            Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3] + number),
            Ipv6Addr::new(v6[0], v6[1], v6[2], v6[3], v6[4], v6[5], v6[6], v6[7] + u16::from(number)),
        )
    })
}

pub(crate) fn snat() -> impl Iterator<Item = (Ipv4Addr, Ipv6Addr)> {
    (1..=2).map(|number: u8| {
        (
            Ipv4Addr::new(10, 1, 0, 200 + number),
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 2, u16::from(number)),
        )
    })
}

/// The address of a server by its index.
pub(crate) fn server_v4(index: u16) -> Ipv4Addr {
    let [_, last] = (11 + index).to_be_bytes();
    Ipv4Addr::new(10, 1, 0, last)
}

pub(crate) fn server_v6(index: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x11 + index)
}
