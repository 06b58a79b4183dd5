//! Area `control`: what failures, changes and restarts cost running connections, and that nothing is lost or half applied.

mod death;
mod drain;
mod files;
mod kills;
mod many;
mod membership;
mod reloads;
mod starved;
mod trouble;
mod writers;

use std::time::Duration;

use anyhow::Result;

use super::Step;
use crate::{
    client::{self, Echo, Load, Long, LongConnections, LongReport, Running},
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    topology::{Family, Plan, Topology, addresses},
};

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("death of a backend", death::measure),
    ("trouble: backends vanish, flap, are all gone, move", trouble::measure),
    ("drain", drain::measure),
    ("membership: backends are added and removed", membership::measure),
    ("reloads and upgrades", reloads::measure),
    ("kills while maps are written", kills::measure),
    ("starved: lbd is stopped, and has no processor time", starved::measure),
    ("files that are bad", files::measure),
    ("writers, many", writers::measure),
    ("services, many", many::measure),
];

/// Name of the service.
const SERVICE: &str = "echo";

/// A network with echo servers and one service of theirs. Its parts end in this order.
struct Ground {
    daemon: Daemon,
    servers: Vec<EchoServer>,
    topology: Topology,
}

impl Ground {
    /// The first `backends` of so many servers are backends, checked or not.
    fn start(servers: u16, backends: usize, mode: Mode, is_checked: bool) -> Result<Self> {
        let topology = Topology::build(Plan { servers, ..Plan::default() })?;
        let echoes = topology.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
        let service = Service::new(SERVICE, Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(mode);
        let service = service.backends(&topology.servers[..backends], ECHO_PORT);
        let service = if is_checked { service.checked(ECHO_PORT) } else { service };
        let config = Config::new(topology.interfaces(), [service]);
        let daemon = Daemon::start(&topology.balancer, &config)?;
        let ground = Self { daemon, servers: echoes, topology };
        for host in &ground.topology.servers[..backends] {
            ground.daemon.wait_backend(SERVICE, &host.name, "active")?;
        }
        Ok(ground)
    }

    /// More than 2000 connections in a second, one message each.
    fn load(&self) -> Running {
        let load = Load::brisk(addresses::clients(Family::V4));
        client::start(&self.topology.client, &Echo { target: target(Family::V4, ECHO_PORT) }, &load)
    }

    /// Connections that exchange messages all the time.
    fn connections(&self, count: usize) -> Result<LongConnections> {
        let long = Long {
            target: target(Family::V4, ECHO_PORT),
            sources: addresses::clients(Family::V4),
            count,
            pause: Duration::from_millis(20),
        };
        LongConnections::open(&self.topology.client, &long)
    }

    /// The name of a server, and of its backend.
    fn name(&self, index: usize) -> String {
        self.topology.servers[index].name.clone()
    }
}

/// Connections that broke though their server is none of these.
fn broken_elsewhere(report: &LongReport, servers: &[&str]) -> u64 {
    let expected = |reason: &&String| servers.iter().any(|name| reason.starts_with(&format!("{name}: ")));
    let broken: Vec<&String> = report.broken.iter().filter(|reason| !expected(reason)).collect();
    broken.iter().take(5).for_each(|reason| eprintln!("{reason}"));
    broken.len() as u64
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
