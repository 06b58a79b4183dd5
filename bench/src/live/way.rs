//! The ways a packet may take through the machine in the middle.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use lb_tests::{
    command,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    inject,
    large::Size,
    netns::Netns,
    processor,
    topology::{Family, Plan, Topology, addresses},
    xdp::{Attached, Program},
};
use nix::net::if_::if_nametoindex;

use super::{nftables, proxy::Proxy};

/// Port of the service and of the servers: nftables maps addresses, so it is the same.
pub const PORT: u16 = 9000;

/// What stands between the client and the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An XDP program of four instructions sends all frames on as they are, like a wire: the bound for every XDP program. The client and
    /// the servers know each other's MAC addresses, and the client picks the server.
    Bare,
    /// The kernel forwards, and nothing is balanced: the client picks the server.
    Plain,
    /// Destination NAT by nftables.
    Nftables,
    /// HAProxy, `mode tcp`.
    HaProxy,
    /// nginx, module `stream`.
    Nginx,
    /// Ours, mode `nat`.
    Nat,
    /// Ours, mode `full-nat`.
    FullNat,
}

impl Way {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare XDP redirect",
            Self::Plain => "plain forwarding",
            Self::Nftables => "nftables DNAT",
            Self::HaProxy => "HAProxy tcp",
            Self::Nginx => "nginx stream",
            Self::Nat => "nat",
            Self::FullNat => "full-nat",
        }
    }
}

/// A network with a way through it. Several exist at a time, so that rounds can be interleaved; one that carries nothing costs nothing.
#[derive(Debug)]
pub struct Ground {
    /// The way.
    pub way: Way,
    balancer: Balancer,
    /// The network.
    pub topology: Topology,
}

#[derive(Debug)]
enum Balancer {
    Kernel,
    Lbd(Daemon),
    Proxy(Proxy),
    #[expect(dead_code, reason = "attached until it is dropped")]
    Programs([Attached; 2]),
}

impl Ground {
    /// Builds a network for each of the ways, with a number of servers.
    ///
    /// # Errors
    ///
    /// If a part does not start.
    pub fn build_all(ways: &[Way], servers: u16) -> Result<Vec<Self>> {
        let mut grounds: Vec<Self> = Vec::new();
        for way in ways {
            let kernel_forwarding = matches!(way, Way::Plain | Way::Nftables);
            let plan = Plan { servers, kernel_forwarding, fixed_neighbours: true, ..Plan::default() };
            let topology = match grounds.first() {
                None => Topology::build(plan)?,
                Some(first) => first.topology.beside(plan)?,
            };
            grounds.push(Self { way: *way, balancer: Balancer::start(*way, &topology)?, topology });
        }
        Ok(grounds)
    }

    /// Builds networks for `nat` with one server each, beside each other, with as many services more as is said.
    ///
    /// # Errors
    ///
    /// If a part does not start.
    pub fn build_with_services(more: &[u32]) -> Result<Vec<Self>> {
        let mut grounds: Vec<Self> = Vec::new();
        for more in more {
            let plan = Plan { servers: 1, fixed_neighbours: true, ..Plan::default() };
            let topology = match grounds.first() {
                None => Topology::build(plan)?,
                Some(first) => first.topology.beside(plan)?,
            };
            let size = Size { services: *more, backends: 1 };
            let tables = format!("{TIMEOUTS}[limits]\n{}\n{}", size.limits(), size.text());
            let config = Config::new(topology.interfaces(), services(&topology, Mode::Nat)).tables(&tables);
            let balancer = Balancer::Lbd(Daemon::start(&topology.balancer, &config)?);
            grounds.push(Self { way: Way::Nat, balancer, topology });
        }
        Ok(grounds)
    }

    /// Where the client connects to for its n-th connection.
    #[must_use]
    pub fn target(&self, family: Family, number: usize) -> SocketAddr {
        let servers = &self.topology.servers;
        let address = match (self.way, family) {
            (Way::Plain | Way::Bare, _) => servers[number % servers.len()].address(family),
            (Way::HaProxy | Way::Nginx, Family::V4) => addresses::BALANCER_CLIENT_V4.into(),
            (Way::HaProxy | Way::Nginx, Family::V6) => addresses::BALANCER_CLIENT_V6.into(),
            (Way::Nftables | Way::Nat | Way::FullNat, _) => addresses::vip(family, 0),
        };
        SocketAddr::new(address, PORT)
    }

    /// The daemon, where it is ours.
    pub fn daemon(&mut self) -> Option<&mut Daemon> {
        match &mut self.balancer {
            Balancer::Lbd(daemon) => Some(daemon),
            _ => None,
        }
    }

    /// Keeps the processes in the middle on a processor.
    ///
    /// # Errors
    ///
    /// If `taskset` fails.
    pub fn pin(&self, cpu: usize) -> Result<()> {
        let Balancer::Proxy(proxy) = &self.balancer else { return Ok(()) };
        proxy.pids().into_iter().try_for_each(|pid| {
            command::sh(&format!("taskset --all-tasks --cpu-list --pid {cpu} {pid}")).map(drop)
        })
    }

    /// Processor time that the processes in the middle have taken, which forward in a proxy only.
    ///
    /// # Errors
    ///
    /// If one of them is gone.
    pub fn process_time(&self) -> Result<Duration> {
        match &self.balancer {
            Balancer::Proxy(proxy) => proxy.pids().into_iter().map(processor::time_of).sum(),
            _ => Ok(Duration::ZERO),
        }
    }
}

impl Balancer {
    fn start(way: Way, topology: &Topology) -> Result<Self> {
        Ok(match way {
            Way::Plain => Self::Kernel,
            Way::Bare => {
                acquaint(topology)?;
                let netns = &topology.balancer;
                let to = |name: &str| netns.run(|| if_nametoindex(name)).context("no such interface");
                let programs = (Program::redirect(to("eth1")?), Program::redirect(to("eth0")?));
                Self::Programs([programs.0.attach(netns, "eth0")?, programs.1.attach(netns, "eth1")?])
            }
            Way::Nftables => {
                nftables::install(topology, PORT)?;
                Self::Kernel
            }
            Way::HaProxy | Way::Nginx => {
                topology.balancer.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
                topology.balancer.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
                Self::Proxy(if way == Way::HaProxy {
                    Proxy::haproxy(topology, PORT)?
                } else {
                    Proxy::nginx(topology, PORT)?
                })
            }
            Way::Nat => Self::lbd(topology, Mode::Nat)?,
            Way::FullNat => Self::lbd(topology, Mode::FullNat)?,
        })
    }

    fn lbd(topology: &Topology, mode: Mode) -> Result<Self> {
        let config = Config::new(topology.interfaces(), services(topology, mode)).tables(TIMEOUTS);
        Ok(Self::Lbd(Daemon::start(&topology.balancer, &config)?))
    }
}

/// Lets the client and the servers send to each other as if they were on one link.
fn acquaint(topology: &Topology) -> Result<()> {
    let mac = |netns| -> Result<String> {
        Ok(inject::mac(netns, "eth0")?.map(|byte| format!("{byte:02x}")).join(":"))
    };
    let reach = |netns: &Netns, address: IpAddr, mac: &str| -> Result<()> {
        let (family, length) = if address.is_ipv4() { ("-4", 32) } else { ("-6", 128) };
        netns.ip(&format!("{family} route replace {address}/{length} dev eth0"))?;
        netns.ip(&format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent")).map(drop)
    };
    let client = mac(&topology.client)?;
    for server in &topology.servers {
        let own = mac(&server.netns)?;
        for family in Family::ALL {
            reach(&topology.client, server.address(family), &own)?;
            for address in addresses::clients(family) {
                reach(&server.netns, address, &client)?;
            }
        }
    }
    Ok(())
}

/// As conntrack's for closed connections, which are many here.
const TIMEOUTS: &str = "[timeouts]\ntcp_closing = \"2s\"\ntcp_closed = \"2s\"\n";

fn services(topology: &Topology, mode: Mode) -> Vec<Service> {
    let mut services = Vec::new();
    for (family, suffix) in [(Family::V4, "v4"), (Family::V6, "v6")] {
        for (protocol, word) in [(Protocol::Tcp, "tcp"), (Protocol::Udp, "udp")] {
            let address = SocketAddr::new(addresses::vip(family, 0), PORT);
            let service = Service::new(&format!("{word}-{suffix}"), protocol, address);
            services.push(service.mode(mode).backends(&topology.servers, PORT));
        }
    }
    services
}
