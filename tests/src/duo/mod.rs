//! Two balancers, the first of which is preferred, and a client that asks the VIP.

mod adverts;
mod arp;

use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt, path::Path, thread, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Flows, Prober, Seen},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    keepalived::Keepalived,
    netns::Netns,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    temporary,
    topology::{
        Family, addresses,
        pair::{Pair, inside_addresses, own_addresses},
    },
};
pub use adverts::Adverts;
pub use arp::Arp;

/// How long a change may take before something is broken.
const PATIENCE: Duration = Duration::from_secs(15);
/// Numbers of the virtual routers on the clients' and on the servers' side.
pub const VRIDS: [u8; 2] = [51, 52];
/// Priorities of the nodes.
pub const PRIORITIES: [u8; 2] = [150, 100];

/// Who moves the addresses. What forwards packets is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// `[[vrrp]]` of `lbd`.
    Own,
    /// keepalived; `lbd` has no `[[vrrp]]`.
    Keepalived,
}

impl Mover {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "lbd",
            Self::Keepalived => "keepalived",
        }
    }
}

/// What is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Who moves the addresses.
    pub mover: Mover,
    /// Between two adverts.
    pub interval: Duration,
    /// How the services forward.
    pub mode: Mode,
    /// Further lines of each `[[vrrp]]`.
    pub lines: &'static str,
    /// Further tables.
    pub tables: &'static str,
    /// Whether the nodes tell each other their flows; only with [`Mover::Own`].
    pub replicated: bool,
    /// What `lbd` is started by, see [`Daemon::run_with`].
    pub words: &'static [&'static str],
}

impl Setup {
    /// The same with virtual MAC addresses.
    pub const VIRTUAL: Self = Self { lines: VIRTUAL_MAC, ..Self::NAT };

    /// `lbd` with adverts each 100 ms, and `nat` without replication of flows.
    pub const NAT: Self = Self {
        mover: Mover::Own,
        interval: Duration::from_millis(100),
        mode: Mode::Nat,
        lines: "",
        tables: "",
        replicated: false,
        words: &[],
    };
}

/// The line that gives a virtual router a MAC address of its own.
const VIRTUAL_MAC: &str = "virtual_mac = true\n";

impl Default for Setup {
    fn default() -> Self {
        Self::NAT
    }
}

/// Everything. Its parts end in this order.
#[derive(Debug)]
pub struct Duo {
    /// `lbd` of each node.
    pub daemons: [Daemon; 2],
    keepaliveds: [Option<Keepalived>; 2],
    /// The network.
    pub pair: Pair,
    /// What is advertised on the clients' link.
    pub adverts: Adverts,
    /// Who answers for the VIP on the clients' link.
    pub arp: Arp,
    /// How it was set up.
    pub setup: Setup,
    _servers: Vec<EchoServer>,
    _keys: TempDir,
}

impl Duo {
    /// Starts both nodes, and waits until the first one has the addresses.
    ///
    /// # Errors
    ///
    /// If a part does not start, or nobody takes the addresses.
    pub fn start(setup: Setup) -> Result<Self> {
        let pair = Pair::build(3)?;
        let servers = pair.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
        let adverts = Adverts::open(&pair.client)?;
        let arp = Arp::open(&pair)?;
        let keys = temporary::directory("keys")?;
        let key = keys.path().join("key");
        fs::write(&key, "5a".repeat(32)).context("cannot write a key")?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let daemon = |node: usize| {
            let config = config(&pair, &setup, node, &key);
            let mut daemon = Daemon::prepare(&pair.nodes[node], &config)?;
            daemon.run_with(setup.words.iter().map(ToString::to_string).collect());
            daemon.start_again()?;
            anyhow::Ok(daemon)
        };
        let daemons = [daemon(0)?, daemon(1)?];
        let mut duo = Self {
            daemons,
            keepaliveds: [None, None],
            pair,
            adverts,
            arp,
            setup,
            _servers: servers,
            _keys: keys,
        };
        if setup.mover == Mover::Keepalived {
            duo.launch(0)?;
            duo.launch(1)?;
        }
        duo.settled(0)?;
        Ok(duo)
    }

    /// Starts what moves the addresses of a node, and waits for nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn launch(&mut self, node: usize) -> Result<()> {
        match self.setup.mover {
            Mover::Own => self.daemons[node].launch(&[]),
            Mover::Keepalived => {
                let blocks = keepalived_blocks(&self.setup, node);
                self.keepaliveds[node] = Some(Keepalived::start(&self.pair.nodes[node], &blocks)?);
                Ok(())
            }
        }
    }

    /// Ends it as an operator does.
    ///
    /// # Errors
    ///
    /// If it was not running, or does not end as it should.
    pub fn stop(&mut self, node: usize) -> Result<()> {
        match self.keepaliveds[node].take() {
            Some(keepalived) => keepalived.terminate(),
            None => self.daemons[node].terminate(),
        }
    }

    /// Kills it: `SIGKILL`.
    ///
    /// # Errors
    ///
    /// If it was not running.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        match self.keepaliveds[node].take() {
            Some(keepalived) => keepalived.kill(),
            None => self.daemons[node].kill(),
        }
    }

    /// Cuts a node off and kills it, as if its power were gone.
    ///
    /// # Errors
    ///
    /// If it was not running.
    pub fn power_off(&mut self, node: usize) -> Result<()> {
        self.pair.plug(node, false)?;
        self.kill(node)
    }

    /// What the end of power leaves: nothing that moves with the VIP.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn forget(&self, node: usize) -> Result<()> {
        let netns = &self.pair.nodes[node];
        for (interface, address) in floating() {
            if has(netns, interface, &address)? {
                netns.ip(&format!("addr del {address} dev {interface}"))?;
            }
        }
        // Those of virtual MAC addresses go with their addresses.
        let links = netns.ip("-o link show type macvlan")?;
        for link in links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next()) {
            netns.ip(&format!("link del {link}"))?;
        }
        Ok(())
    }

    /// Brings a node that was without power back.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn power_on(&mut self, node: usize) -> Result<()> {
        self.forget(node)?;
        if self.setup.mover == Mover::Own {
            // The tables of a machine that was off are empty.
            self.daemons[node].detach()?;
        }
        self.pair.plug(node, true)?;
        self.launch(node)
    }

    /// Which nodes have all the addresses, and which have one of them at least.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn holders(&self) -> Result<[Vec<usize>; 2]> {
        let (mut all, mut some) = (Vec::new(), Vec::new());
        for (node, netns) in self.pair.nodes.iter().enumerate() {
            let held = floating()
                .iter()
                .map(|(interface, address)| has(netns, self.device(interface), address))
                .collect::<Result<Vec<_>>>()?;
            if held.iter().all(|held| *held) {
                all.push(node);
            }
            if held.contains(&true) {
                some.push(node);
            }
        }
        Ok([all, some])
    }

    /// The interface that has the addresses of one: itself, or that of the virtual MAC address.
    #[must_use]
    pub fn device(&self, interface: &'static str) -> &'static str {
        match interface {
            _ if !self.setup.lines.contains(VIRTUAL_MAC) => interface,
            "eth0" => "lb4-51-eth0",
            _ => "lb4-52-eth1",
        }
    }

    /// Waits until one node has all the addresses and the other one none, and five more adverts of it were heard.
    ///
    /// # Errors
    ///
    /// If that takes too long; the message has the logs.
    pub fn settled(&self, node: usize) -> Result<()> {
        clock::wait_until(&format!("node {node} to have the addresses"), PATIENCE, || {
            self.holders().is_ok_and(|holders| holders == [vec![node], vec![node]])
        })
        .with_context(|| self.logs())?;
        self.adverts.heard(source(node), 5).map(drop)
    }

    /// Waits until a node has all the addresses, whatever the other one has, and five more adverts of it were heard.
    ///
    /// # Errors
    ///
    /// If that takes too long; the message has the logs.
    pub fn settled_alone(&self, node: usize) -> Result<()> {
        clock::wait_until(&format!("node {node} to have the addresses"), PATIENCE, || {
            self.holders().is_ok_and(|[all, _]| all.contains(&node))
        })
        .with_context(|| self.logs())?;
        self.adverts.heard(source(node), 5).map(drop)
    }

    /// Asks the VIP, and waits until it has been doing so for a while.
    ///
    /// # Errors
    ///
    /// If it does not ask.
    pub fn prober(&self, flows: Flows) -> Result<Prober> {
        let prober = Prober::start(&self.pair.client, target(Family::V4, ECHO_PORT), flows);
        prober.wait_more(200)?;
        Ok(prober)
    }

    /// Lets something happen while a client asks; what it saw within one flow, and with new ones.
    ///
    /// # Errors
    ///
    /// If the client does not ask, or what happens fails.
    pub fn seen(&mut self, event: impl FnOnce(&mut Self) -> Result<()>) -> Result<[Seen; 2]> {
        let [one, new] = [self.prober(Flows::One)?, self.prober(Flows::New)?];
        event(self)?;
        one.wait_more(200)?;
        new.wait_more(200)?;
        Ok([one.stop()?, new.stop()?])
    }

    /// Waits until a part of an interval has passed since the last advert of a node.
    ///
    /// # Errors
    ///
    /// If no advert is heard.
    pub fn wait_phase(&self, node: usize, phase: f64) -> Result<()> {
        let at = self.adverts.heard(source(node), 1)? + self.setup.interval.mul_f64(phase);
        thread::sleep(at.saturating_duration_since(clock::now()));
        Ok(())
    }

    /// How often virtual routers of `lbd` changed their state, on both nodes, since it was started.
    ///
    /// # Errors
    ///
    /// If one does not answer.
    pub fn changes(&self) -> Result<u64> {
        Ok(self.statuses()?.iter().filter_map(|router| router["transitions"].as_u64()).sum())
    }

    /// What `lbctl vrrp status` says on both nodes, one after the other.
    ///
    /// # Errors
    ///
    /// If one does not answer.
    pub fn statuses(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for daemon in &self.daemons {
            all.extend(daemon.lbctl("vrrp status")?.as_array().context("no list")?.iter().cloned());
        }
        Ok(all)
    }

    /// What everybody has said.
    #[must_use]
    pub fn logs(&self) -> String {
        let [first, second] = [0, 1].map(|node| match &self.keepaliveds[node] {
            Some(keepalived) => keepalived.log(),
            None => self.daemons[node].log(),
        });
        format!("node 0:\n{first}\nnode 1:\n{second}")
    }
}

/// The address that a node's adverts come from, on the clients' side.
#[must_use]
pub fn source(node: usize) -> Ipv4Addr {
    own_addresses(node, 0).0
}

/// What moves: interface, and address with its prefix length.
fn floating() -> Vec<(&'static str, String)> {
    let outside = ("eth0", format!("{}/32", addresses::vip(Family::V4, 0)));
    let inside = inside_addresses().into_iter().map(|address| ("eth1", format!("{address}/24")));
    [outside].into_iter().chain(inside).collect()
}

fn has(netns: &Netns, interface: &str, address: &str) -> Result<bool> {
    let is_it =
        |line: &str| line.contains(&format!(": {interface} ")) && line.contains(&format!(" {address} "));
    Ok(netns.ip("-o -4 addr show")?.lines().any(is_it))
}

/// The addresses of an interface, each written between these.
fn listed(interface: &str, before: &str, after: &str) -> String {
    let all = floating().into_iter().filter(|(place, _)| *place == interface);
    all.map(|(_, address)| format!("{before}{address}{after}")).collect()
}

fn config(pair: &Pair, setup: &Setup, node: usize, key: &Path) -> Config {
    let service = |name: &str, protocol| {
        Service::new(name, protocol, target(Family::V4, ECHO_PORT))
            .mode(setup.mode)
            .backends(&pair.servers, ECHO_PORT)
    };
    let services = [service("tcp", Protocol::Tcp), service("udp", Protocol::Udp)];
    let router = |(interface, vrid): (&str, u8)| {
        format!(
            "[[vrrp]]\nname = \"{interface}\"\ninterface = \"{interface}\"\nvirtual_router_id = {vrid}\npriority = {}\n\
             advert_interval = \"{}ms\"\nsync_group = \"all\"\nvirtual_addresses = [{}]\n{}\n",
            PRIORITIES[node],
            setup.interval.as_millis(),
            listed(interface, "\"", "\","),
            setup.lines,
        )
    };
    let routers = ["eth0", "eth1"].into_iter().zip(VRIDS).map(router).collect::<String>();
    let [own, peer] = [node, 1 - node].map(|node| own_addresses(node, 1).0);
    let replication = format!(
        "[replication]\nlocal_address = \"{own}\"\npeer_address = \"{peer}\"\nkey_file = \"{}\"\n",
        key.display()
    );
    let tables = match (setup.mover, setup.replicated) {
        (Mover::Own, true) => routers + &replication,
        (Mover::Own, false) => routers,
        (Mover::Keepalived, _) => String::new(),
    };
    Config::new(&["eth0", "eth1"], services).tables(&format!("seed = 7\n{tables}{}", setup.tables))
}

fn keepalived_blocks(setup: &Setup, node: usize) -> String {
    let router = |(interface, vrid): (&str, u8)| {
        format!(
            "vrrp_instance {interface} {{\nstate BACKUP\ninterface {interface}\nversion 3\nvirtual_router_id {vrid}\npriority {}\n\
             advert_int {}\nvirtual_ipaddress {{\n{}}}\n}}\n",
            PRIORITIES[node],
            setup.interval.as_secs_f64(),
            listed(interface, "", "\n"),
        )
    };
    let routers = ["eth0", "eth1"].into_iter().zip(VRIDS).map(router).collect::<String>();
    format!("vrrp_sync_group all {{\ngroup {{\neth0\neth1\n}}\n}}\n{routers}")
}
