//! Addresses between the model (`std::net`) and the ABI (wire order).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::abi::ServiceKey;

use crate::model::{Protocol, ServiceAddress};

/// IP protocol number of ICMP.
const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
const ICMPV6: u8 = 58;

/// The words of an address in wire order; IPv4 in the first.
#[must_use]
pub fn address_words(address: IpAddr) -> [u32; 4] {
    let word = |bytes: &[u8]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    match address {
        IpAddr::V4(v4) => [word(&v4.octets()), 0, 0, 0],
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            [word(&octets[..4]), word(&octets[4..8]), word(&octets[8..12]), word(&octets[12..])]
        }
    }
}

/// The address of words in wire order; `family` is 4 or 6, anything else gives `None`.
#[must_use]
pub fn address_of(words: [u32; 4], family: u8) -> Option<IpAddr> {
    match family {
        4 => Some(Ipv4Addr::from(words[0].to_ne_bytes()).into()),
        6 => {
            let mut octets = [0; 16];
            for (to, word) in octets.chunks_exact_mut(4).zip(words) {
                to.copy_from_slice(&word.to_ne_bytes());
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// 4 or 6.
#[must_use]
pub fn family_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 4 } else { 6 }
}

/// Key of a service table of either family, or of a table of origins, in host order and sortable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// The VIP; for an origin the backend's address.
    pub address: IpAddr,
    /// IP protocol number.
    pub proto: u8,
    /// Port, host order; 0: every port without an entry of its own.
    pub port: u16,
}

impl EntryKey {
    /// The key of a service.
    #[must_use]
    pub fn service(at: ServiceAddress) -> Self {
        Self { address: at.address, proto: at.protocol.number(), port: at.port }
    }

    /// The key that says that an address is a VIP.
    #[must_use]
    pub fn vip(address: IpAddr) -> Self {
        Self { address, proto: if address.is_ipv4() { ICMP } else { ICMPV6 }, port: 0 }
    }

    /// The key that says that an address is a SNAT address.
    #[must_use]
    pub fn snat(address: IpAddr) -> Self {
        Self { address, proto: ServiceKey::<u32>::SNAT, port: 0 }
    }

    /// What clients connect to; `None` if the key only says what the address is.
    #[must_use]
    pub fn service_address(self) -> Option<ServiceAddress> {
        let protocol = Protocol::from_number(self.proto)?;
        Some(ServiceAddress { address: self.address, protocol, port: self.port })
    }

    /// The key in `SERVICES_V4` or `ORIGINS_V4` of an IPv4 address.
    #[must_use]
    pub fn v4(self) -> Option<ServiceKey<u32>> {
        self.address.is_ipv4().then(|| ServiceKey {
            addr: address_words(self.address)[0],
            port: self.port.to_be(),
            proto: self.proto,
            pad: 0,
        })
    }

    /// The key in `SERVICES_V6` or `ORIGINS_V6` of an IPv6 address.
    #[must_use]
    pub fn v6(self) -> Option<ServiceKey<[u32; 4]>> {
        self.address.is_ipv6().then(|| ServiceKey {
            addr: address_words(self.address),
            port: self.port.to_be(),
            proto: self.proto,
            pad: 0,
        })
    }
}

impl From<ServiceKey<u32>> for EntryKey {
    fn from(key: ServiceKey<u32>) -> Self {
        let address = Ipv4Addr::from(key.addr.to_ne_bytes()).into();
        Self { address, proto: key.proto, port: u16::from_be(key.port) }
    }
}

impl From<ServiceKey<[u32; 4]>> for EntryKey {
    fn from(key: ServiceKey<[u32; 4]>) -> Self {
        let address = address_of(key.addr, 6).unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        Self { address, proto: key.proto, port: u16::from_be(key.port) }
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service_address() {
            Some(at) => write!(f, "{at}"),
            None if *self == Self::vip(self.address) => write!(f, "vip {}", self.address),
            None if *self == Self::snat(self.address) => write!(f, "snat address {}", self.address),
            None => write!(f, "proto {} {}", self.proto, SocketAddr::new(self.address, self.port)),
        }
    }
}
