//! The world of an input: one or two services with up to four backends, in the network of the packet cases.
//!
//! | byte | bits |
//! |---|---|
//! | 0 | IPv6, UDP, `full-nat`, selector (3), exclusive backends, a second SNAT address |
//! | 1 | backends (2), backends have port 0, a second service with them (`nat`, another VIP), that one for all ports, -, second backend behind a small MTU, third one silent |
//! | 2 | connections of backends that are out are reset, interfaces without addresses, service for all ports, few SNAT ports, fourth backend without route |
//! | 3 | seed |

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use lb_common::{
    abi::{BackendState, Interface, InterfaceFlags, Mode, NextHop, Selector, Settings},
    host::{HostTables, ServiceSetup, words},
    maps::PORT_WORDS,
    tables::FibResult,
    wire::{TCP, UDP},
};

use crate::{
    input::Input,
    reference::{Backend, Health, Port, Reference, Route, Service},
};

/// Interface to the clients.
pub const CLIENTS: u32 = 10;
/// Interface to the backends.
pub const SERVERS: u32 = 11;
/// Interface with an MTU of 1280 bytes.
pub(super) const NARROW: u32 = 12;
/// Interface the program is not attached to.
const PLAIN: u32 = 13;
/// Ticks after which an idle flow is dead, whatever its state.
pub(super) const TIMEOUT: u32 = 60;
const NOW: u32 = 1_000_000;
const LINKS: [(u32, u32); 4] = [(CLIENTS, 9000), (SERVERS, 9000), (NARROW, 1280), (PLAIN, 1500)];
const SELECTORS: [Selector; 5] =
    [Selector::FlowHash, Selector::SourceHash, Selector::Rotation, Selector::Random, Selector::LeastFlows];

/// See above.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) is_v6: bool,
    pub(super) proto: u8,
    selector: Selector,
    seed: u8,
    services: Vec<Service>,
    pub(super) backends: BTreeMap<u32, Backend>,
    has_addresses: bool,
    snat_ports: (u16, u16),
    routes: BTreeMap<IpAddr, Route>,
}

/// MAC address of one of our interfaces.
pub(super) fn mac(ifindex: u32) -> [u8; 6] {
    [2, 0, 0, 0, 0, ifindex as u8]
}

/// MAC address of a host or router.
pub(super) fn host_mac(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [2, 4, a, b, c, d]
        }
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [2, 6, a, b, c, d]
        }
    }
}

/// Host `number` of a network.
pub(super) fn address(is_v6: bool, network: Network, number: u8) -> IpAddr {
    let (v4, v6) = match network {
        Network::Clients => ([198, 51, 100], 0xc),
        Network::Servers => ([10, 1, 0], 1),
        Network::Narrow => ([10, 3, 0], 3),
        Network::Far => ([192, 0, 2], 0xfc),
        Network::Vips => ([203, 0, 113], 0xf),
    };
    if is_v6 {
        Ipv6Addr::new(0x2001, 0xdb8, v6, 0, 0, 0, 0, number.into()).into()
    } else {
        Ipv4Addr::new(v4[0], v4[1], v4[2], number).into()
    }
}

/// Part of the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network {
    Clients,
    Servers,
    Narrow,
    Far,
    Vips,
}

impl World {
    /// What the first bytes say.
    pub(crate) fn read(input: &mut Input<'_>) -> Self {
        let [first, second, third, seed] = [input.byte(), input.byte(), input.byte(), input.byte()];
        let bit = |byte: u8, number: u8| byte >> number & 1 == 1;
        let (is_v6, is_full_nat, has_second) = (bit(first, 0), bit(first, 2), bit(second, 3));
        let mut world = Self {
            is_v6,
            proto: if bit(first, 1) { UDP } else { TCP },
            selector: SELECTORS[usize::from(first >> 3 & 7) % SELECTORS.len()],
            seed,
            services: Vec::new(),
            backends: BTreeMap::new(),
            has_addresses: !bit(third, 1),
            snat_ports: if bit(third, 3) { (39_990, 40_009) } else { (1024, 65_535) },
            routes: BTreeMap::new(),
        };
        world.add_routes();
        let port = if bit(second, 2) { 0 } else { 8080 };
        let ids: Vec<u32> = (1..=u32::from(second & 3) + 1).collect();
        for id in &ids {
            world.add_backend(*id, port, bit(third, 0), (bit(second, 6), bit(second, 7), bit(third, 4)));
        }
        let snat = [201, 202].map(|number| address(is_v6, Network::Servers, number));
        let snat = snat[..if bit(first, 7) { 2 } else { 1 }].to_vec();
        let vip = |number: u8, port: u16| SocketAddr::new(address(is_v6, Network::Vips, number), port);
        let all_ports = bit(third, 2);
        world.services.push(Service {
            vip: vip(100, if all_ports { 0 } else { 80 }),
            proto: world.proto,
            snat: if is_full_nat { snat } else { Vec::new() },
            slots: ids.clone(),
            exclusive: bit(first, 6) && !is_full_nat && !has_second && port != 0 && !all_ports,
        });
        if has_second {
            let port = if bit(second, 4) { 0 } else { 80 };
            let second = Service {
                vip: vip(101, port),
                proto: world.proto,
                snat: Vec::new(),
                slots: ids,
                exclusive: false,
            };
            world.services.push(second);
        }
        world
    }

    fn add_backend(&mut self, id: u32, port: u16, resets: bool, (narrow, silent, lost): (bool, bool, bool)) {
        let (network, number) =
            if id == 2 && narrow { (Network::Narrow, 11) } else { (Network::Servers, 10 + id as u8) };
        let address = SocketAddr::new(address(self.is_v6, network, number), port);
        if id == 3 && silent {
            self.routes.insert(address.ip(), Route { mac: None, ifindex: SERVERS });
        }
        if id == 4 && lost {
            self.routes.remove(&address.ip());
        }
        self.backends.insert(id, Backend { address, health: Health::Active, resets });
    }

    fn add_routes(&mut self) {
        let is_v6 = self.is_v6;
        let of = |network, number| address(is_v6, network, number);
        let mut routes: Vec<(IpAddr, IpAddr, u32)> = Vec::new();
        routes.extend([10, 11].map(|number| of(Network::Clients, number)).map(|host| (host, host, CLIENTS)));
        routes.extend(
            [11, 12, 13, 14].map(|number| of(Network::Servers, number)).map(|host| (host, host, SERVERS)),
        );
        routes.push((of(Network::Narrow, 11), of(Network::Narrow, 11), NARROW));
        routes.push((of(Network::Far, 50), of(Network::Clients, 254), CLIENTS));
        routes.push((of(Network::Far, 60), of(Network::Far, 60), PLAIN));
        self.routes = routes
            .into_iter()
            .map(|(to, neighbour, ifindex)| (to, Route { mac: Some(host_mac(neighbour)), ifindex }))
            .collect();
        // A client whose router does not answer.
        self.routes.insert(of(Network::Far, 77), Route { mac: None, ifindex: CLIENTS });
    }

    /// The network as the reference has it.
    #[must_use]
    pub fn reference(&self) -> Reference {
        let port = |(ifindex, mtu): (u32, u32)| {
            let own = |is_v6| if self.has_addresses { Some(own_address(is_v6, ifindex)) } else { None };
            let (v4, v6) = (own(false), own(true));
            let port = Port {
                macs: vec![mac(ifindex)],
                mtu: mtu as usize,
                v4: v4
                    .and_then(|address| if let IpAddr::V4(address) = address { Some(address) } else { None }),
                v6: v6
                    .and_then(|address| if let IpAddr::V6(address) = address { Some(address) } else { None }),
                attached: ifindex != PLAIN,
            };
            (ifindex, port)
        };
        Reference {
            now: NOW,
            timeout: TIMEOUT,
            ports: LINKS.into_iter().map(port).collect(),
            routes: self.routes.clone(),
            services: self.services.clone(),
            backends: self.backends.clone(),
            snat_ports: self.snat_ports,
            ..Reference::default()
        }
    }

    /// The same as tables of the host model.
    #[must_use]
    pub fn tables(&self) -> HostTables {
        let tables = HostTables::default();
        tables.now.set(NOW);
        tables.random.set(u32::from(self.seed) + 1);
        tables.port_words.set(PORT_WORDS * 8);
        let mut settings =
            Settings { seed: [self.seed.into(), 0xcafe], fib_generation: 7, ..Settings::default() };
        (settings.port_min, settings.port_max) = self.snat_ports;
        settings.timeouts = [TIMEOUT; 16];
        tables.settings.set(settings);
        for (ifindex, mtu) in LINKS {
            let flags = if ifindex == PLAIN { 0 } else { InterfaceFlags::ATTACHED };
            let mut interface = Interface { flags, mtu, mac: mac(ifindex).into(), ..Interface::default() };
            if self.has_addresses {
                interface.addr4 = words(own_address(false, ifindex))[0];
                interface.addr6 = words(own_address(true, ifindex));
            }
            tables.interfaces.borrow_mut().insert(ifindex, interface);
        }
        for (to, route) in &self.routes {
            let answer = match route.mac {
                Some(dmac) => {
                    FibResult::NextHop(NextHop { dmac, ifindex: route.ifindex as u16, generation: 0 })
                }
                None => FibResult::NeighbourMissing { ifindex: route.ifindex, gateway: words(*to) },
            };
            tables.add_route(*to, answer);
        }
        self.add_services(&tables);
        self.close_ports(&tables);
        tables
    }

    fn add_services(&self, tables: &HostTables) {
        for (id, backend) in &self.backends {
            tables.add_backend(*id, backend.address, 1, (id - 1) * 2);
            tables.set_backend_reset(*id, backend.resets);
        }
        for (id, service) in (1..).zip(&self.services) {
            let base = tables.snat_addresses.borrow().len() as u32;
            tables.snat_addresses.borrow_mut().extend(service.snat.iter().map(|address| words(*address)));
            tables.add_service(&ServiceSetup {
                id,
                address: service.vip,
                proto: service.proto,
                mode: if service.snat.is_empty() { Mode::Nat } else { Mode::FullNat },
                selector: self.selector,
                slots: &service.slots,
                snat: (base, service.snat.len() as u16),
            });
            if service.exclusive {
                tables.make_exclusive(id, service.vip, service.proto);
            }
        }
    }

    /// `lbd` sets the bits of all ports outside of the range, for ever.
    fn close_ports(&self, tables: &HostTables) {
        let (lowest, highest) = self.snat_ports;
        let mut ports = tables.ports.borrow_mut();
        for pool in 0..self.backends.len() as u32 * 2 {
            for word in 0..PORT_WORDS {
                let first = word as u16 * 64;
                let is_outside = |bit: &u16| !(lowest..=highest).contains(&(first + bit));
                let bits = (0..64).filter(is_outside).fold(0_u64, |bits, bit| bits | 1 << bit);
                if bits != 0 {
                    ports.insert(pool * PORT_WORDS + word, bits);
                }
            }
        }
    }

    /// A backend's state changes.
    pub(super) fn set_health(&self, tables: &HostTables, reference: &mut Reference, id: u32, health: Health) {
        let Some(backend) = reference.backends.get_mut(&id) else { return };
        backend.health = health;
        let state = match health {
            Health::Active => BackendState::Active,
            Health::Draining => BackendState::Draining,
            Health::Down => BackendState::Down,
        };
        tables.set_backend_state(id, state);
    }
}

/// Our address on an interface.
fn own_address(is_v6: bool, ifindex: u32) -> IpAddr {
    let network = match ifindex {
        CLIENTS => Network::Clients,
        SERVERS => Network::Servers,
        NARROW => Network::Narrow,
        _ => Network::Far,
    };
    address(is_v6, network, 1)
}
