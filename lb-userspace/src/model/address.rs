//! What an address can be used for.

use std::net::IpAddr;

use super::keyword::keyword;

/// Kinds of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Names one host: can be a VIP, a SNAT address or a backend's address.
    Unicast,
    /// `0.0.0.0/8` or `::`.
    Unspecified,
    /// `127.0.0.0/8` or `::1`.
    Loopback,
    /// `169.254.0.0/16` or `fe80::/10`.
    LinkLocal,
    /// `224.0.0.0/4` or `ff00::/8`.
    Multicast,
    /// `255.255.255.255` and the rest of `240.0.0.0/4`.
    Reserved,
    /// `::ffff:0:0/96`: an IPv4 address written as IPv6; never seen on a wire.
    Mapped,
}

keyword!(AddressKind {
    Unicast = "unicast",
    Unspecified = "unspecified",
    Loopback = "loopback",
    LinkLocal = "link-local",
    Multicast = "multicast",
    Reserved = "reserved",
    Mapped = "IPv4-mapped",
});

/// The kind of an address.
#[must_use]
pub fn address_kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(v4) => match v4.octets()[0] {
            0 => AddressKind::Unspecified,
            127 => AddressKind::Loopback,
            224..=239 => AddressKind::Multicast,
            240.. => AddressKind::Reserved,
            _ if v4.is_link_local() => AddressKind::LinkLocal,
            _ => AddressKind::Unicast,
        },
        IpAddr::V6(v6) if v6.is_unspecified() => AddressKind::Unspecified,
        IpAddr::V6(v6) if v6.is_loopback() => AddressKind::Loopback,
        IpAddr::V6(v6) if v6.is_multicast() => AddressKind::Multicast,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => AddressKind::LinkLocal,
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => AddressKind::Mapped,
        IpAddr::V6(_) => AddressKind::Unicast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_apart() {
        for (address, kind) in [
            ("10.0.0.1", AddressKind::Unicast),
            ("0.1.2.3", AddressKind::Unspecified),
            ("127.1.2.3", AddressKind::Loopback),
            ("169.254.1.1", AddressKind::LinkLocal),
            ("224.0.0.18", AddressKind::Multicast),
            ("255.255.255.255", AddressKind::Reserved),
            ("2001:db8::1", AddressKind::Unicast),
            ("fd00::1", AddressKind::Unicast),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("fe80::1", AddressKind::LinkLocal),
            ("ff02::12", AddressKind::Multicast),
            ("::ffff:10.0.0.1", AddressKind::Mapped),
        ] {
            assert_eq!(address_kind(address.parse().unwrap()), kind, "{address}");
        }
    }
}
