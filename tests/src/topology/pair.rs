//! Two balancers side by side between two switches that learn:
//!
//! ```text
//! client, stranger ---- outside ---- node 0 (eth0, eth1) ---- inside ---- server-1, server-2, ...
//!                              `---- node 1 (eth0, eth1) ----'
//! ```
//!
//! The VIPs are on the clients' link, and the servers' default gateway and the SNAT addresses belong to whichever node has them. All hosts keep
//! what they know of their neighbours until they are told otherwise, as routers with long ARP time-outs do.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

use super::{
    Host, addresses,
    links::{self, address},
};
use crate::{command, netns::Netns, xdp};

/// Switch ports of the nodes: outside, inside.
pub const PORTS: [[&str; 2]; 2] = [["node0-outside", "node0-inside"], ["node1-outside", "node1-inside"]];
const SWITCHES: [&str; 2] = ["outside", "inside"];

/// The network. Its parts end in this order.
#[derive(Debug)]
pub struct Pair {
    /// Where clients run; the interface is `eth0`.
    pub client: Netns,
    /// Somebody else on the clients' link; the interface is `eth0`.
    pub stranger: Netns,
    /// The balancers.
    pub nodes: [Netns; 2],
    /// The servers.
    pub servers: Vec<Host>,
    /// Both switches.
    pub switch: Netns,
    cables: Cables,
    _receivers: Vec<xdp::Attached>,
}

impl Pair {
    /// Builds it with so many servers.
    ///
    /// # Errors
    ///
    /// If a namespace, link or address cannot be made.
    pub fn build(servers: u16) -> Result<Self> {
        let switch = Netns::create("switch")?;
        for name in SWITCHES {
            switch.ip(&format!("link add {name} type bridge mcast_snooping 0 forward_delay 0"))?;
            switch.ip(&format!("link set {name} up"))?;
        }
        let (client, stranger) = (Netns::create("client")?, Netns::create("stranger")?);
        plug_in(&switch, "client", &client, "eth0", "outside")?;
        plug_in(&switch, "stranger", &stranger, "eth0", "outside")?;
        address(&client, "eth0", addresses::CLIENT_V4, addresses::CLIENT_V6)?;
        for (v4, v6) in addresses::more_clients() {
            address(&client, "eth0", v4, v6)?;
        }
        client.ip("route add 203.0.113.0/24 dev eth0")?;
        client.ip("-6 route add 2001:db8:f::/64 dev eth0")?;
        remember(&client)?;
        let (mut nodes, mut receivers) = (Vec::new(), Vec::new());
        for (number, ports) in PORTS.iter().enumerate() {
            let node = Netns::create(&format!("node{number}"))?;
            for (place, interface) in ["eth0", "eth1"].into_iter().enumerate() {
                plug_in(&switch, ports[place], &node, interface, SWITCHES[place])?;
                // See [`super::Topology::receive_with`].
                receivers.push(xdp::Program::pass().attach(&switch, ports[place])?);
                let (v4, v6) = own_addresses(number, place);
                address(&node, interface, v4, v6)?;
            }
            nodes.push(node);
        }
        let nodes = <[Netns; 2]>::try_from(nodes).ok().context("there are two nodes")?;
        let servers = (0..servers).map(|index| server(&switch, index)).collect::<Result<Vec<_>>>()?;
        let cables = Cables::open(&switch)?;
        let pair = Self { client, stranger, nodes, servers, switch, cables, _receivers: receivers };
        for (number, netns) in pair.nodes.iter().enumerate() {
            pair.client.wait_reachable(own_addresses(number, 0).0.into())?;
            pair.servers.iter().try_for_each(|host| netns.wait_reachable(host.v4.into()))?;
        }
        Ok(pair)
    }

    /// Takes both cables of a node out, at once; or puts them back in.
    ///
    /// # Errors
    ///
    /// If the switch is gone.
    pub fn plug(&mut self, node: usize, is_in: bool) -> Result<()> {
        let state = if is_in { "up" } else { "down" };
        self.cables.each(node, |port, _| format!("link set {port} {state}"))
    }

    /// Lets a node reach nobody although its links are up; or ends that.
    ///
    /// # Errors
    ///
    /// If the switch is gone.
    pub fn isolate(&mut self, node: usize, is_alone: bool) -> Result<()> {
        self.cables.each(node, |port, switch| match is_alone {
            true => format!("link set {port} nomaster"),
            false => format!("link set {port} master {switch}"),
        })
    }

    /// Has a node hear no adverts, or hear them again.
    ///
    /// # Errors
    ///
    /// If nft fails.
    pub fn deafen(&self, node: usize, is_deaf: bool) -> Result<()> {
        const DEAF: &str = "add table inet deaf; \
             add chain inet deaf input { type filter hook input priority 0; }; \
             add rule inet deaf input meta l4proto 112 drop";
        let change = if is_deaf { DEAF } else { "delete table inet deaf" };
        self.nodes[node].run(|| command::run("nft", &[change])).map(drop)
    }
}

/// The address of a node itself, outside (`side` 0) or inside (1).
#[must_use]
pub fn own_addresses(node: usize, side: usize) -> (Ipv4Addr, Ipv6Addr) {
    // Two nodes: both fit.
    let last = node as u8 + 2;
    match side {
        0 => (Ipv4Addr::new(198, 51, 100, last), Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, last.into())),
        _ => (Ipv4Addr::new(10, 1, 0, last), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last.into())),
    }
}

/// What has to be where the VIP is: the servers' gateway, and the SNAT addresses. IPv4.
#[must_use]
pub fn inside_addresses() -> Vec<IpAddr> {
    let snat = addresses::snat_addresses(super::Family::V4);
    [addresses::BALANCER_SERVER_V4.into()].into_iter().chain(snat).collect()
}

fn plug_in(switch: &Netns, port: &str, host: &Netns, interface: &str, bridge: &str) -> Result<()> {
    links::cable(host, interface, switch, port)?;
    switch.ip(&format!("link set {port} master {bridge}")).map(drop)
}

fn server(switch: &Netns, index: u16) -> Result<Host> {
    let name = format!("server-{}", index + 1);
    let netns = Netns::create(&name)?;
    let (v4, v6) = (addresses::server_v4(index), addresses::server_v6(index));
    plug_in(switch, &name, &netns, "eth0", "inside")?;
    address(&netns, "eth0", v4, v6)?;
    links::default_route(&netns, addresses::BALANCER_SERVER_V4, addresses::BALANCER_SERVER_V6)?;
    remember(&netns)?;
    Ok(Host { name, netns, v4, v6 })
}

/// What a host knows of its neighbours stays valid for an hour, unless it is told otherwise.
fn remember(host: &Netns) -> Result<()> {
    ["ipv4", "ipv6"].iter().try_for_each(|family| {
        host.sysctl(&format!("net/{family}/neigh/eth0/base_reachable_time_ms"), "3600000")
    })
}

/// `ip`, waiting for commands: what it is told is done within a fraction of a millisecond.
#[derive(Debug)]
struct Cables {
    process: Child,
}

impl Cables {
    fn open(switch: &Netns) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["-force", "-batch", "-"]).stdin(Stdio::piped());
        Ok(Self { process: switch.spawn(&mut command)? })
    }

    /// Has a command done for both ports of a node, of the port and its switch.
    fn each(&mut self, node: usize, line: impl Fn(&str, &str) -> String) -> Result<()> {
        let [outside, inside] = [0, 1].map(|side| line(PORTS[node][side], SWITCHES[side]));
        let pipe = self.process.stdin.as_mut().context("ip has no standard input")?;
        pipe.write_all(format!("{outside}\n{inside}\n").as_bytes()).context("ip ended")
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
