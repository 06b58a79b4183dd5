//! The links and addresses as they are, and whether a message changes something that the data path relies on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::BitOr,
};

use lb_common::abi::{Interface, InterfaceFlags};

use super::{Address, Link, NeighbourKey, NeighbourTable, Notice};

/// What follows from a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Links or addresses changed: `INTERFACES` may have to be written, or the program attached anew.
    pub interfaces: bool,
    /// Next hops that were looked up earlier may be wrong.
    pub next_hops: bool,
    /// Everything must be asked for again.
    pub lost: bool,
}

impl BitOr for Effect {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            interfaces: self.interfaces | other.interfaces,
            next_hops: self.next_hops | other.next_hops,
            lost: self.lost | other.lost,
        }
    }
}

const NOTHING: Effect = Effect { interfaces: false, next_hops: false, lost: false };
const INTERFACES: Effect = Effect { interfaces: true, next_hops: true, lost: false };
const NEXT_HOPS: Effect = Effect { interfaces: false, next_hops: true, lost: false };

/// Links, addresses and neighbours.
#[derive(Debug, Default)]
pub struct View {
    links: BTreeMap<u32, Link>,
    addresses: Vec<Address>,
    neighbours: NeighbourTable,
}

impl View {
    /// Takes a message in.
    pub fn handle(&mut self, notice: Notice) -> Effect {
        match notice {
            Notice::Link(link) => self.link(link),
            Notice::LinkGone { ifindex } => {
                self.addresses.retain(|address| address.ifindex != ifindex);
                self.neighbours.remove_link(ifindex);
                if self.links.remove(&ifindex).is_some() { INTERFACES } else { NOTHING }
            }
            Notice::Address(address) => self.address(address),
            Notice::AddressGone(gone) => {
                let before = self.addresses.len();
                self.addresses.retain(|address| !same(address, &gone));
                if self.addresses.len() == before { NOTHING } else { INTERFACES }
            }
            Notice::Neighbour(neighbour) => effect_of(self.neighbours.update(&neighbour)),
            Notice::NeighbourGone(neighbour) => effect_of(self.neighbours.remove(&neighbour)),
            Notice::Routing => NEXT_HOPS,
            Notice::Lost => Effect { lost: true, ..INTERFACES },
        }
    }

    /// Forgets links and addresses before they are asked for again. What is known of neighbours stays: it is compared.
    pub fn restart(&mut self) {
        self.links.clear();
        self.addresses.clear();
    }

    /// The link of a name.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// All links, in the order of their indexes.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The first address of a link that is wanted.
    pub fn address_of(&self, ifindex: u32, is_wanted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let mut own = self.addresses.iter().filter(|address| address.ifindex == ifindex);
        own.find(|address| is_wanted(&address.address)).map(|address| address.address)
    }

    /// The MAC address of a neighbour ([`NeighbourTable::mac_of`]).
    #[must_use]
    pub fn mac_of(&self, key: NeighbourKey) -> Option<[u8; 6]> {
        self.neighbours.mac_of(key)
    }

    /// Neighbours whose MAC addresses the operator set.
    #[must_use]
    pub fn fixed_neighbours(&self) -> BTreeSet<NeighbourKey> {
        self.neighbours.fixed().collect()
    }

    /// The highest interface index.
    #[must_use]
    pub fn highest_ifindex(&self) -> u32 {
        self.links.last_key_value().map_or(0, |(ifindex, _)| *ifindex)
    }

    /// What the data path is told of an attached link.
    #[must_use]
    pub fn interface(&self, link: &Link) -> Interface {
        let global = |is_wanted: fn(&IpAddr) -> bool| {
            let mut own = self.addresses.iter().filter(|address| address.ifindex == link.ifindex);
            own.find(|address| address.global && is_wanted(&address.address)).map(|address| address.address)
        };
        let addr4 = match global(IpAddr::is_ipv4) {
            Some(IpAddr::V4(address)) => u32::from_ne_bytes(address.octets()),
            _ => 0,
        };
        let addr6 = match global(IpAddr::is_ipv6) {
            Some(IpAddr::V6(address)) => wire_words(address.octets()),
            _ => [0; 4],
        };
        Interface {
            flags: InterfaceFlags::ATTACHED,
            mtu: link.mtu,
            addr6,
            addr4,
            mac: link.mac.into(),
            ..Interface::default()
        }
    }

    fn link(&mut self, link: Link) -> Effect {
        // Attaching the program is announced too, and is no news.
        let same = |before: &Link| Link { xdp: link.xdp, ..before.clone() } == link;
        let effect = if self.links.get(&link.ifindex).is_some_and(same) { NOTHING } else { INTERFACES };
        self.links.insert(link.ifindex, link);
        effect
    }

    fn address(&mut self, address: Address) -> Effect {
        match self.addresses.iter_mut().find(|known| same(known, &address)) {
            // Router advertisements renew lifetimes again and again.
            Some(known) if *known == address => NOTHING,
            Some(known) => {
                *known = address;
                INTERFACES
            }
            None => {
                self.addresses.push(address);
                INTERFACES
            }
        }
    }
}

fn same(one: &Address, other: &Address) -> bool {
    (one.ifindex, one.address, one.prefix) == (other.ifindex, other.address, other.prefix)
}

const fn effect_of(changed: bool) -> Effect {
    if changed { NEXT_HOPS } else { NOTHING }
}

/// An IPv6 address in wire order.
fn wire_words(octets: [u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.chunks_exact(4)) {
        *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::AttachMode;

    fn link() -> Link {
        let (name, mac) = ("eth0".into(), [2, 0, 0, 0, 0, 1]);
        Link { ifindex: 2, name, mac, mtu: 1500, running: true, xdp: None, below: None }
    }

    fn address(text: &str, global: bool) -> Address {
        Address { ifindex: 2, address: text.parse().unwrap(), prefix: 24, global }
    }

    #[test]
    fn a_link_that_changes_matters_and_one_that_is_announced_again_does_not() {
        let mut view = View::default();
        assert_eq!(view.handle(Notice::Link(link())), INTERFACES);
        assert_eq!(view.handle(Notice::Link(link())), NOTHING);
        let attached = Link { xdp: Some(AttachMode::Native), ..link() };
        assert_eq!(view.handle(Notice::Link(attached.clone())), NOTHING);
        assert_eq!(view.link_named("eth0"), Some(&attached));
        assert_eq!(view.handle(Notice::Link(Link { mtu: 9000, ..link() })), INTERFACES);
        assert_eq!(view.handle(Notice::LinkGone { ifindex: 2 }), INTERFACES);
        assert_eq!(view.handle(Notice::LinkGone { ifindex: 2 }), NOTHING);
    }

    #[test]
    fn the_data_path_is_told_the_first_global_address_of_each_family() {
        let mut view = View::default();
        view.handle(Notice::Link(link()));
        for notice in [
            address("fe80::1", false),
            address("192.0.2.1", true),
            address("203.0.113.10", true),
            address("2001:db8::1", true),
        ] {
            assert_eq!(view.handle(Notice::Address(notice)), INTERFACES);
            assert_eq!(view.handle(Notice::Address(notice)), NOTHING);
        }
        let interface = view.interface(&link());
        assert_eq!(interface.addr4.to_ne_bytes(), [192, 0, 2, 1]);
        assert_eq!(interface.addr6[0].to_ne_bytes(), [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(interface.addr6[3].to_ne_bytes(), [0, 0, 0, 1]);
        assert_eq!((interface.flags, interface.mtu), (InterfaceFlags::ATTACHED, 1500));

        view.handle(Notice::AddressGone(address("192.0.2.1", true)));
        assert_eq!(view.interface(&link()).addr4.to_ne_bytes(), [203, 0, 113, 10]);
    }

    #[test]
    fn lost_messages_make_everything_suspect() {
        assert!(View::default().handle(Notice::Lost).lost);
        assert_eq!(View::default().handle(Notice::Routing), NEXT_HOPS);
    }
}
