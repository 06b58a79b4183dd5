//! The network of the packet cases: the same for all of them, as routes of the host model and as a namespace with real interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use lb_common::{
    abi::{Interface, InterfaceFlags, NextHop, Settings, VirtualMacs},
    host::{HostTables, words},
    tables::FibResult,
};

use crate::{command, netns::Netns, topology::Family};

/// Interface to the clients.
pub const CLIENTS: u32 = 10;
/// Interface to the backends.
pub const SERVERS: u32 = 11;
/// Interface with an MTU of 1280 bytes.
pub const NARROW: u32 = 12;
/// Interface the program is not attached to.
pub const PLAIN: u32 = 13;
/// Interface without addresses, but with further MAC addresses of ours.
pub const BARE: u32 = 14;
/// Interface with a number beyond the table.
pub const BEYOND: u32 = 40;

/// MAC addresses of virtual routers that are ours at [`BARE`]: one of each address family, and the highest number.
pub const VIRTUAL_MACS: [[u8; 6]; 3] =
    [[0, 0, 0x5e, 0, 1, 7], [0, 0, 0x5e, 0, 2, 7], [0, 0, 0x5e, 0, 1, 255]];
/// Time of every case, in ticks.
pub const NOW: u32 = 1_000_000;
/// FIB generation of every case.
pub const GENERATION: u32 = 7;
/// Idle timeout in ticks of flow state 0; each further state has one more.
pub const TIMEOUT: u32 = 20;

const LINKS: [(u32, &str, u32); 6] = [
    (CLIENTS, "clients", 9000),
    (SERVERS, "servers", 9000),
    (NARROW, "narrow", 1280),
    (PLAIN, "plain", 1500),
    (BARE, "bare", 1500),
    (BEYOND, "beyond", 1500),
];

/// MAC address of one of our interfaces.
#[must_use]
pub fn mac(ifindex: u32) -> [u8; 6] {
    [2, 0, 0, 0, 0, ifindex as u8]
}

/// MAC address of a host or router.
#[must_use]
pub fn host_mac(address: IpAddr) -> [u8; 6] {
    let (family, octets) = match address {
        IpAddr::V4(address) => (4, address.octets()),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            (6, [a, b, c, d])
        }
    };
    [2, family, octets[0], octets[1], octets[2], octets[3]]
}

/// Address `number` of a network: 198.51.100.0/24 and so on.
fn address(family: Family, v4: [u8; 3], v6: u16, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(v4[0], v4[1], v4[2], number).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, v6, 0, 0, 0, 0, number.into()).into(),
    }
}

/// A host on the clients' network.
#[must_use]
pub fn client(family: Family, number: u8) -> IpAddr {
    address(family, [198, 51, 100], 0xc, number)
}

/// A host on the servers' network.
#[must_use]
pub fn server(family: Family, number: u8) -> IpAddr {
    address(family, [10, 1, 0], 1, number)
}

/// A backend behind a router on the servers' network.
#[must_use]
pub fn routed(family: Family) -> IpAddr {
    address(family, [10, 2, 0], 2, 11)
}

/// A backend on [`NARROW`].
#[must_use]
pub fn narrow(family: Family) -> IpAddr {
    address(family, [10, 3, 0], 3, 11)
}

/// A backend on [`PLAIN`].
#[must_use]
pub fn plain(family: Family) -> IpAddr {
    address(family, [10, 4, 0], 4, 11)
}

/// A backend behind a router whose link-layer address is not known.
#[must_use]
pub fn silently_routed(family: Family) -> IpAddr {
    address(family, [10, 5, 0], 5, 11)
}

/// An address that no route leads to.
#[must_use]
pub fn lost(family: Family) -> IpAddr {
    address(family, [10, 99, 0], 0x99, 1)
}

/// A client behind a router on the clients' network.
#[must_use]
pub fn far_client(family: Family) -> IpAddr {
    address(family, [192, 0, 2], 0xfc, 50)
}

/// A VIP.
#[must_use]
pub fn vip(family: Family, number: u8) -> IpAddr {
    address(family, [203, 0, 113], 0xf, number)
}

/// A SNAT address.
#[must_use]
pub fn snat(family: Family, number: u8) -> IpAddr {
    server(family, 200 + number)
}

/// Number of a host on the servers' network without a known link-layer address.
pub const SILENT: u8 = 99;
/// Number of the routers on both networks.
pub const ROUTER: u8 = 254;
/// Number of a router without a known link-layer address.
pub const SILENT_ROUTER: u8 = 253;
/// Hosts on the clients' network with a known link-layer address.
const CLIENT_HOSTS: [u8; 4] = [10, 11, 80, ROUTER];
/// Hosts on the servers' network with a known link-layer address.
const SERVER_HOSTS: [u8; 4] = [11, 12, 13, ROUTER];

/// Destination, router if any, interface.
fn routes(family: Family) -> Vec<(IpAddr, Option<IpAddr>, u32)> {
    let mut routes = vec![
        (server(family, SILENT), None, SERVERS),
        (narrow(family), None, NARROW),
        (plain(family), None, PLAIN),
        (routed(family), Some(server(family, ROUTER)), SERVERS),
        (silently_routed(family), Some(server(family, SILENT_ROUTER)), SERVERS),
        (far_client(family), Some(client(family, ROUTER)), CLIENTS),
    ];
    routes.extend(CLIENT_HOSTS.map(|number| (client(family, number), None, CLIENTS)));
    routes.extend(SERVER_HOSTS.map(|number| (server(family, number), None, SERVERS)));
    routes
}

fn is_silent(host: IpAddr) -> bool {
    Family::ALL.iter().any(|family| [server(*family, SILENT), server(*family, SILENT_ROUTER)].contains(&host))
}

/// The next hop to a neighbour, as the FIB gives it.
#[must_use]
pub fn next_hop(neighbour: IpAddr, ifindex: u32) -> NextHop {
    NextHop { dmac: host_mac(neighbour), ifindex: ifindex as u16, generation: 0 }
}

/// Tables with this network and nothing else.
#[must_use]
pub fn tables() -> HostTables {
    let tables = HostTables::default();
    tables.now.set(NOW);
    tables.port_words.set(PORT_WORDS);
    let mut settings = Settings { seed: [0x5eed, 0xcafe], fib_generation: GENERATION, ..Settings::default() };
    (settings.port_min, settings.port_max) = (1024, 65535);
    settings.timeouts = std::array::from_fn(|state| TIMEOUT + state as u32);
    tables.settings.set(settings);
    for (ifindex, _, mtu) in LINKS.into_iter().filter(|link| link.0 != BEYOND) {
        tables.interfaces.borrow_mut().insert(ifindex, interface(ifindex, mtu));
    }
    let mut macs = VirtualMacs::default();
    VIRTUAL_MACS.into_iter().for_each(|mac| macs.set(mac.into(), true));
    tables.virtual_macs.borrow_mut().insert(BARE, macs);
    for family in Family::ALL {
        for (destination, router, ifindex) in routes(family) {
            let neighbour = router.unwrap_or(destination);
            let answer = if is_silent(neighbour) {
                FibResult::NeighbourMissing { ifindex, gateway: words(neighbour) }
            } else {
                let next_hop = next_hop(neighbour, ifindex);
                if router.is_some() { FibResult::Router(next_hop) } else { FibResult::NextHop(next_hop) }
            };
            tables.add_route(destination, answer);
        }
    }
    tables
}

/// Words of `PORTS` on both sides: two pools.
pub const PORT_WORDS: u32 = 2 * lb_common::maps::PORT_WORDS;

fn interface(ifindex: u32, mtu: u32) -> Interface {
    let flags = if ifindex == PLAIN { 0 } else { InterfaceFlags::ATTACHED };
    let mut interface = Interface { flags, mtu, mac: mac(ifindex).into(), ..Interface::default() };
    if ifindex != BARE {
        interface.addr4 = words(own_address(Family::V4, ifindex))[0];
        interface.addr6 = words(own_address(Family::V6, ifindex));
    }
    interface
}

/// Our address on an interface.
#[must_use]
pub fn own_address(family: Family, ifindex: u32) -> IpAddr {
    match ifindex {
        CLIENTS => client(family, 1),
        SERVERS => server(family, 1),
        NARROW => address(family, [10, 3, 0], 3, 1),
        _ => address(family, [10, 4, 0], 4, 1),
    }
}

/// Makes the model know what the kernel knows of every address in a frame: on our networks there may be anybody, who does not answer.
pub fn learn_neighbours(tables: &HostTables, frame: &[u8]) {
    for at in (14..frame.len().min(200)).step_by(2) {
        let v4 = frame.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let v6 = frame.get(at..at + 16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        for address in v4.map(IpAddr::from).into_iter().chain(v6.map(IpAddr::from)) {
            let Some(ifindex) = link_of(address) else { continue };
            let missing = FibResult::NeighbourMissing { ifindex, gateway: words(address) };
            match address {
                IpAddr::V4(_) => {
                    tables.v4.routes.borrow_mut().entry(words(address)[0]).or_insert(missing);
                }
                IpAddr::V6(_) => {
                    tables.v6.routes.borrow_mut().entry(words(address)).or_insert(missing);
                }
            }
        }
    }
}

/// The interface to the network that an address belongs to, unless it is ours or everybody's. The lowest address of a network is a
/// host's like any other (since Linux 5.14; that of IPv6 is everybody's only where the interface forwards).
fn link_of(address: IpAddr) -> Option<u32> {
    let is_host = match address {
        IpAddr::V4(address) => !matches!(address.octets()[3], 1 | 255),
        IpAddr::V6(address) => !matches!(address.segments(), [.., 0, 0, 0, 1]),
    };
    let same_network = |own: IpAddr| match (own, address) {
        (IpAddr::V4(own), IpAddr::V4(address)) => own.octets()[..3] == address.octets()[..3],
        (IpAddr::V6(own), IpAddr::V6(address)) => own.segments()[..4] == address.segments()[..4],
        _ => false,
    };
    let own = |ifindex: &u32| Family::ALL.iter().any(|family| same_network(own_address(*family, *ifindex)));
    [CLIENTS, SERVERS, NARROW, PLAIN].into_iter().find(own).filter(|_| is_host)
}

/// Makes this network in a namespace: interfaces with the same numbers, addresses, routes and permanent neighbours.
///
/// # Errors
///
/// If a command fails.
pub fn build(netns: &Netns) -> Result<()> {
    for scope in ["ipv4", "ipv6"] {
        netns.sysctl(&format!("net/{scope}/conf/lo/forwarding"), "1")?;
    }
    let mut lines = Vec::new();
    for (ifindex, name, mtu) in LINKS {
        let mac = colons(mac(ifindex));
        lines.push(format!(
            "link add {name} index {ifindex} address {mac} mtu {mtu} type veth peer name {name}-peer mtu {mtu}"
        ));
        lines.push(format!("link set {name}-peer up"));
        lines.push(format!("link set {name} up"));
        for family in Family::ALL.into_iter().filter(|_| ifindex < BARE) {
            let prefix = if family == Family::V4 { "24" } else { "64 nodad" };
            lines.push(format!("addr add {}/{prefix} dev {name}", own_address(family, ifindex)));
        }
    }
    for family in Family::ALL {
        for (destination, router, ifindex) in routes(family) {
            let name = LINKS.iter().find(|link| link.0 == ifindex).map_or("", |link| link.1);
            match router {
                Some(router) => lines.push(format!("route add {destination} via {router}")),
                None if !is_silent(destination) => lines.push(format!(
                    "neigh add {destination} lladdr {} dev {name} nud permanent",
                    colons(host_mac(destination))
                )),
                None => {}
            }
        }
    }
    let batch = tempfile::NamedTempFile::new()?;
    std::fs::write(batch.path(), lines.join("\n"))?;
    command::sh(&format!("ip -n {} -batch {}", netns.name(), batch.path().display())).map(drop)
}

fn colons(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// An address with a port.
#[must_use]
pub fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}
