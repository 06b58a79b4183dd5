//! Does it work with the guest's kernel: is the program accepted, attached natively, and does it forward?

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    Hardware, Image, Network,
    daemon::{Attachment, Lbd},
};
use crate::{
    client::{self, Http, Load, Report, Udp},
    clock,
    config::{Config, Mode, Protocol, Service},
    servers::{ECHO_PORT, HTTP_PORT, Servers},
    site::WEB_PORT,
    topology::{Family, Host, addresses},
};

/// Requests of each kind.
pub const REQUESTS: u64 = 40;

/// A way through the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In at one interface, out of the other, in a mode.
    Through(Mode),
    /// Out of the interface it came in at. The backend is next to the client, so the mode is `full-nat`.
    Back,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Through(Mode::Nat), Self::Through(Mode::FullNat), Self::Back];

    fn name(self) -> &'static str {
        match self {
            Self::Through(mode) => mode.name(),
            Self::Back => "full-nat-one-arm",
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::Through(mode) => mode,
            Self::Back => Mode::FullNat,
        }
    }

    fn vip(self, family: Family) -> IpAddr {
        let number = Self::ALL.iter().position(|way| *way == self).unwrap_or_default();
        addresses::vip(family, u8::try_from(number).unwrap_or_default())
    }
}

/// What came of the requests of one kind.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// How they went.
    pub way: Way,
    /// Their addresses' family.
    pub family: Family,
    /// TCP is HTTP here.
    pub protocol: Protocol,
    /// The counts.
    pub report: Report,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The guest's kernel.
    pub release: String,
    /// From nothing to a guest with addresses.
    pub boot: Duration,
    /// From starting `lbd` to its being ready.
    pub load: Duration,
    /// How the program is attached.
    pub attachments: Vec<Attachment>,
    /// Queue pairs in use of each card, those from which XDP sends included.
    pub queues: Vec<u16>,
    /// Every way, family and protocol.
    pub exchanges: Vec<Exchange>,
    /// What `lbctl capture` says, for which another program is loaded.
    pub captured: String,
}

/// Boots a guest whose own kernel forwards nothing, starts `lbd` in it, and makes requests.
///
/// # Errors
///
/// If a part does not start; requests that fail are in the facts.
pub fn run() -> Result<Facts> {
    let start = clock::now();
    let network = Network::build(&Image::build()?, &Hardware::default())?;
    let boot = start.elapsed();
    let neighbour = neighbour(&network)?;
    let _servers = Servers::start_all(std::slice::from_ref(&network.server))?;
    let _neighbours = Servers::start(&neighbour)?;
    network.kernel_forwarding(false)?;
    let start = clock::now();
    let services = Way::ALL.into_iter().flat_map(|way| {
        let host = if way == Way::Back { &neighbour } else { &network.server };
        services(way, host)
    });
    let lbd = Lbd::start(&network.machine, Config::new(&["eth0", "eth1"], services))?;
    let load = start.elapsed();
    Ok(Facts {
        release: network.machine.release().to_owned(),
        boot,
        load,
        attachments: lbd.attachments()?,
        queues: queues(&network)?,
        exchanges: exchanges(&network),
        captured: network.machine.sh("lbctl -o json capture --duration 1s")?,
    })
}

fn queues(network: &Network) -> Result<Vec<u16>> {
    let shown = network.machine.sh("for card in eth0 eth1; do ethtool -l $card; done")?;
    // Of each card first the possible number, then the current one.
    let numbers = shown.lines().filter_map(|line| line.strip_prefix("Combined:")?.trim().parse().ok());
    Ok(numbers.skip(1).step_by(2).collect())
}

/// A server in the client's namespace, at an address that the client does not use by itself.
fn neighbour(network: &Network) -> Result<Host> {
    let (v4, v6) = addresses::more_clients().last().context("the client has more than one address")?;
    let netns = network.client.clone();
    // A UDP server takes the address of its answers from the route.
    netns.ip(&format!("route add 10.1.0.0/24 via {} src {v4}", addresses::BALANCER_CLIENT_V4))?;
    netns.ip(&format!("-6 route add 2001:db8:1::/64 via {} src {v6}", addresses::BALANCER_CLIENT_V6))?;
    Ok(Host { name: "neighbour".to_owned(), netns, v4, v6 })
}

fn services(way: Way, host: &Host) -> Vec<Service> {
    let in_family = |family: Family| {
        let service = |kind: &str, protocol, port, backend_port| {
            let name = format!("{}-{kind}-{}", way.name(), family.name());
            Service::new(&name, protocol, SocketAddr::new(way.vip(family), port))
                .mode(way.mode())
                .backends(std::slice::from_ref(host), backend_port)
        };
        [
            service("web", Protocol::Tcp, WEB_PORT, HTTP_PORT),
            service("udp", Protocol::Udp, ECHO_PORT, ECHO_PORT),
        ]
    };
    Family::ALL.into_iter().flat_map(in_family).collect()
}

fn exchanges(network: &Network) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for way in Way::ALL {
        for family in Family::ALL {
            let load = Load { concurrency: 4, ..Load::full(addresses::clients(family)) };
            let vip = |port| SocketAddr::new(way.vip(family), port);
            let client = &network.client;
            let http = client::run(client, &Http { target: vip(WEB_PORT) }, &load, REQUESTS);
            let udp = Udp { target: vip(ECHO_PORT), size: 64 };
            let udp = client::run(client, &udp, &load, REQUESTS);
            for (protocol, report) in [(Protocol::Tcp, http), (Protocol::Udp, udp)] {
                exchanges.push(Exchange { way, family, protocol, report });
            }
        }
    }
    exchanges
}

impl Facts {
    /// Whether no request failed.
    #[must_use]
    pub fn all_answered(&self) -> bool {
        self.exchanges.iter().all(|exchange| exchange.report.succeeded == REQUESTS)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, boot, load, attachments, queues, exchanges, captured: _ } = self;
        writeln!(f, "kernel {release}, up after {:.1} s", boot.as_secs_f64())?;
        writeln!(f, "lbd ready after {:.1} s", load.as_secs_f64())?;
        for (Attachment { interface, mode }, queues) in attachments.iter().zip(queues) {
            writeln!(f, "{interface}: {mode} mode, {queues} queue pairs")?;
        }
        for Exchange { way, family, protocol, report } in exchanges {
            let (name, family) = (way.name(), family.name());
            let (good, failed) = (report.succeeded, report.failed());
            writeln!(f, "{name:<17} {family} {protocol:?}: {good} answered, {failed} failed")?;
            report.failures.iter().try_for_each(|(why, count)| writeln!(f, "  {count}: {why}"))?;
        }
        Ok(())
    }
}
