//! A whole site: the network, servers on its hosts, and `lbd` with services for them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    capture::Capture,
    client::{self, Connection, Http, Load, Long, LongConnections, Report, Running, Udp},
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    servers::{ECHO_PORT, HTTP_PORT, Servers},
    topology::{Family, Host, Plan, Topology, addresses},
};

/// Port of the HTTP service; the servers listen on [`HTTP_PORT`].
pub const WEB_PORT: u16 = 80;

/// A site. Its parts end in the order of the fields.
#[derive(Debug)]
pub struct Site {
    /// `lbd`.
    pub daemon: Daemon,
    /// The servers of the hosts next to the switch, in their order, then those of the far host.
    pub servers: Vec<Servers>,
    /// The network.
    pub topology: Topology,
}

impl Site {
    /// Builds the network, starts servers on all its hosts, and then `lbd`.
    ///
    /// # Errors
    ///
    /// If a part does not start.
    pub fn start(plan: Plan, config: impl FnOnce(&Topology) -> Config) -> Result<Self> {
        let topology = Topology::build(plan)?;
        let mut servers = Servers::start_all(&topology.servers)?;
        if let Some(far) = &topology.far {
            servers.push(Servers::start(far)?);
        }
        let daemon = Daemon::start(&topology.balancer, &config(&topology))?;
        Ok(Self { daemon, servers, topology })
    }

    /// A site with the [`services`] of both families in a mode.
    ///
    /// # Errors
    ///
    /// If a part does not start.
    pub fn standard(plan: Plan, mode: Mode) -> Result<Self> {
        Self::start(plan, |topology| Config::new(topology.interfaces(), services(&topology.servers, mode)))
    }

    /// A site with the service `echo` alone: TCP over IPv4 in mode `nat`, with all servers as backends, unless `change` says otherwise.
    ///
    /// # Errors
    ///
    /// If a part does not start.
    pub fn echo(servers: u16, change: impl FnOnce(Config) -> Config) -> Result<Self> {
        Self::start(Plan { servers, ..Plan::default() }, |topology| {
            let echo = Service::new("echo", Protocol::Tcp, target(Family::V4, ECHO_PORT));
            change(Config::new(topology.interfaces(), [echo.backends(&topology.servers, ECHO_PORT)]))
        })
    }

    /// Opens a connection from an address of the client to the echo service of its family.
    ///
    /// # Errors
    ///
    /// If it is not answered within `limit`, or refused.
    pub fn connect(&self, source: IpAddr, limit: Duration) -> io::Result<Connection> {
        let family = if source.is_ipv4() { Family::V4 } else { Family::V6 };
        let at = target(family, ECHO_PORT);
        self.topology.client.run(|| Connection::open(SocketAddr::new(source, 0), at, limit))
    }

    /// Ids of the programs on the interfaces.
    ///
    /// # Errors
    ///
    /// If there is none on one of them.
    pub fn programs(&self) -> Result<Vec<u64>> {
        let interfaces = self.topology.interfaces().iter();
        let ids = interfaces.map(|interface| {
            let shown: Value =
                serde_json::from_str(&self.topology.balancer.ip(&format!("-j -d link show {interface}"))?)?;
            let id = shown[0]["xdp"]["prog"]["id"].as_u64();
            id.with_context(|| format!("no program on {interface}: {shown}"))
        });
        ids.collect()
    }

    /// Makes requests of a protocol from the client to the VIP.
    pub fn requests(&self, family: Family, protocol: Protocol, count: u64) -> Report {
        let load = Load::full(addresses::clients(family));
        let client = &self.topology.client;
        match protocol {
            Protocol::Tcp => client::run(client, &Http { target: target(family, WEB_PORT) }, &load, count),
            Protocol::Udp => {
                let request = Udp { target: target(family, ECHO_PORT), size: 64 };
                client::run(client, &request, &load, count)
            }
        }
    }

    /// Keeps making HTTP requests at a steady rate.
    #[must_use]
    pub fn http_load(&self, family: Family) -> Running {
        let load = Load::steady(addresses::clients(family));
        client::start(&self.topology.client, &Http { target: target(family, WEB_PORT) }, &load)
    }

    /// Opens long connections that exchange messages all the time.
    ///
    /// # Errors
    ///
    /// If one cannot be opened.
    pub fn long_connections(&self, family: Family, count: usize) -> Result<LongConnections> {
        let long = Long {
            target: target(family, ECHO_PORT),
            sources: addresses::clients(family),
            count,
            pause: Duration::from_millis(5),
        };
        LongConnections::open(&self.topology.client, &long)
    }

    /// As [`Self::requests`] for each of the cases in turn, with all links recorded and examined.
    ///
    /// # Errors
    ///
    /// If the recording fails.
    pub fn recorded_requests(&self, cases: &[(Family, Protocol)], count: u64) -> Result<Recorded> {
        let capture = Capture::start(&self.topology.links())?;
        let reports =
            cases.iter().map(|(family, protocol)| self.requests(*family, *protocol, count)).collect();
        let recording = capture.stop()?;
        Ok(Recorded {
            reports,
            frames: recording.frames()?.iter().map(|(_, count)| count).sum(),
            bad_checksums: recording.bad_checksums()?,
            backends_seen: recording.find_on("client", &format!("({BACKEND_SIDE}) && ({CLIENT_SIDE})"))?,
            clients_seen: recording.find_on("server-1", CLIENT_SIDE)?.len(),
        })
    }
}

/// What came of requests whose way was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The requests of each case.
    pub reports: Vec<Report>,
    /// Frames on all links.
    pub frames: u64,
    /// Frames with a bad checksum, on any link.
    pub bad_checksums: Vec<String>,
    /// Frames on the client's link between a client and an address of the servers' side: the client is to see only the VIP.
    pub backends_seen: Vec<String>,
    /// Frames at the first server with an address of a client.
    pub clients_seen: usize,
}

/// Display filters for addresses of the servers' and the clients' side.
const BACKEND_SIDE: &str = "ip.addr == 10.0.0.0/8 || ipv6.addr == 2001:db8:1::/48";
const CLIENT_SIDE: &str = "ip.addr == 198.51.100.0/24 || ipv6.addr == 2001:db8:c::/48";

/// Where clients connect to: the VIP of the [`services`].
#[must_use]
pub fn target(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(addresses::vip(family, 0), port)
}

/// `web-v4` (HTTP), `echo-v4` (TCP) and `udp-v4`, and the same for IPv6, with all hosts as backends.
#[must_use]
pub fn services(hosts: &[Host], mode: Mode) -> Vec<Service> {
    let in_family = |family: Family| {
        let suffix = if family == Family::V4 { "v4" } else { "v6" };
        let service = |name: &str, protocol, port, backend_port| {
            Service::new(&format!("{name}-{suffix}"), protocol, target(family, port))
                .mode(mode)
                .backends(hosts, backend_port)
        };
        [
            service("web", Protocol::Tcp, WEB_PORT, HTTP_PORT),
            service("echo", Protocol::Tcp, ECHO_PORT, ECHO_PORT),
            service("udp", Protocol::Udp, ECHO_PORT, ECHO_PORT),
        ]
    };
    Family::ALL.into_iter().flat_map(in_family).collect()
}
