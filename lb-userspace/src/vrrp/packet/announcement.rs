//! The frame that tells a network where an address is: gratuitous ARP (RFC 5227 section 3) and unsolicited Neighbor Advertisement
//! (RFC 4861 section 4.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::checksum;

/// A MAC address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
/// Of `ff02::1`, all nodes (RFC 2464 section 7).
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Flags of a Neighbor Advertisement: a router, to replace what was known (RFC 9568 section 6.4.2).
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;

/// The Ethernet frame that says that `address` is at `mac`. `is_router` sets the Router flag, of IPv6 only: a host that does not
/// forward must not have it, or its neighbours take it for a default router.
#[must_use]
pub fn announcement(address: IpAddr, mac: Mac, is_router: bool) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => gratuitous_arp(address, mac),
        IpAddr::V6(address) => neighbor_advertisement(address, mac, is_router),
    }
}

/// A request for its own address: what every host takes, those that ignore unasked replies too.
fn gratuitous_arp(address: Ipv4Addr, mac: Mac) -> Vec<u8> {
    // Ethernet, IPv4, 6 and 4 bytes of addresses, request.
    const FIXED: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1];
    [&BROADCAST[..], &mac, &FIXED, &mac, &address.octets(), &BROADCAST, &address.octets()].concat()
}

fn neighbor_advertisement(address: Ipv6Addr, mac: Mac, is_router: bool) -> Vec<u8> {
    const LENGTH: u8 = 32;
    const ICMPV6: u8 = 58;
    let flags = OVERRIDE | if is_router { ROUTER } else { 0 };
    // Type 136, code 0, checksum, flags, reserved; target; option 2 (target link-layer address) of 8 bytes.
    let mut message = [&[136, 0, 0, 0, flags, 0, 0, 0][..], &address.octets(), &[2, 1], &mac].concat();
    let pseudo = [&address.octets()[..], &ALL_NODES.octets(), &[0, 0, 0, LENGTH, 0, 0, 0, ICMPV6]].concat();
    let sum = !checksum::fold(checksum::sum(&pseudo) + checksum::sum(&message));
    message[2..4].copy_from_slice(&sum.to_ne_bytes());
    let header = [0x60, 0, 0, 0, 0, LENGTH, ICMPV6, 255];
    [&ALL_NODES_MAC[..], &mac, &[0x86, 0xdd], &header, &address.octets(), &ALL_NODES.octets(), &message]
        .concat()
}
