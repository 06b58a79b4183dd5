//! Floods from forged sources, while clients connect and others stay connected.

mod apart;
mod full;
mod idle;
mod others;
mod spoofed;

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::super::{Depth, Required, Row, number};
use crate::{
    client::{Echo, Load, Long, LongConnections, Report, Request, Spread, Timed, Udp},
    clock,
    config::{Config, Mode, Protocol, Service},
    servers::ECHO_PORT,
    site::{Site, services, target},
    topology::{Family, Plan, addresses},
};
use apart::Apart;
use idle::Idle;
use spoofed::{Flood, SOURCE_V4, SOURCE_V6};

pub(super) use full::measure as full;
pub(super) use others::{fragments, icmp};

/// Frames a second.
const RATE: u64 = 200_000;
/// Port of the service that gets the datagrams.
const SINK_PORT: u16 = 7;
/// Connections that exchange messages all the time.
const TALKING: usize = 50;
/// Connections that say nothing meanwhile.
const IDLE: usize = 100;
/// A request that takes longer has failed: TCP's first repetition comes after a second.
const LIMIT: Duration = Duration::from_secs(1);
/// Entries of half-open flows of a family that the default configuration has room for, and a hundredth: who counts them while they come and go
/// sees some twice.
const BUDGET: f64 = 32_768.0 * 1.01;
/// Time between two looks at the tables.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is flooded, and how it is balanced.
#[derive(Clone, Copy)]
struct Case {
    kind: Kind,
    mode: Mode,
    /// Whether another service has the same backends, so that every SYN takes entries.
    shared: bool,
    /// Whether the backends get the flood, and answer it: all of that is done by the processors that forward it.
    answered: bool,
    family: Family,
    /// `table_full`.
    policy: &'static str,
    /// `syn_cookies` of the services.
    cookies: &'static str,
    /// Whether the forged sources are blocked: what the flood costs on this machine when the program drops it at once.
    blocked: bool,
}

/// What is flooded unless a case says otherwise.
const DEFAULT: Case = Case {
    kind: Kind::Syn,
    mode: Mode::Nat,
    shared: false,
    answered: false,
    family: Family::V4,
    policy: "evict-embryonic",
    cookies: "off",
    blocked: false,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SYNs to a service whose clients connect.
    Syn,
    /// Datagrams, beside exchanges with another service that nobody floods.
    Udp,
    /// Datagrams to an echo service, beside connections.
    Echo,
}

/// SYN floods.
pub(super) fn syn(depth: Depth) -> Result<Vec<Row>> {
    let case = DEFAULT;
    measure_all(
        depth,
        &[
            case,
            Case { shared: true, ..case },
            Case { mode: Mode::FullNat, ..case },
            Case { mode: Mode::FullNat, family: Family::V6, ..case },
            Case { answered: true, ..case },
            Case { answered: true, mode: Mode::FullNat, ..case },
            Case { cookies: "auto", ..case },
            Case { cookies: "auto", mode: Mode::FullNat, ..case },
            Case { cookies: "auto", mode: Mode::FullNat, family: Family::V6, ..case },
            Case { cookies: "auto", answered: true, ..case },
            Case { cookies: "auto", answered: true, mode: Mode::FullNat, ..case },
        ],
    )
}

/// UDP floods.
pub(super) fn udp(depth: Depth) -> Result<Vec<Row>> {
    let case = Case { kind: Kind::Udp, ..DEFAULT };
    let echo = Case { kind: Kind::Echo, answered: true, ..DEFAULT };
    measure_all(
        depth,
        &[
            case,
            Case { mode: Mode::FullNat, ..case },
            Case { family: Family::V6, ..case },
            Case { blocked: true, ..case },
            echo,
            Case { mode: Mode::FullNat, ..echo },
            Case { mode: Mode::FullNat, policy: "evict-idle", ..echo },
        ],
    )
}

fn measure_all(depth: Depth, cases: &[Case]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in cases {
        rows.extend(case.measure(depth).with_context(|| case.name())?);
    }
    Ok(rows)
}

/// What a load came to.
struct Seen {
    report: Report,
    p99: Duration,
    /// Most entries of half-open flows at a time.
    half_open: u64,
    /// Frames a second that the program received.
    received: f64,
    /// SYNs that the backends got.
    syns: u64,
}

impl Case {
    fn name(self) -> String {
        let kind = match self.kind {
            Kind::Syn => "SYN flood",
            Kind::Udp => "UDP flood",
            Kind::Echo => "UDP flood of an echo service",
        };
        let shared = if self.shared { ", shared backends" } else { "" };
        let answered = if self.answered { ", answered" } else { "" };
        let policy = if self.policy == DEFAULT.policy { String::new() } else { format!(", {}", self.policy) };
        let cookies = if self.cookies == DEFAULT.cookies {
            String::new()
        } else {
            format!(", cookies {}", self.cookies)
        };
        let blocked = if self.blocked { ", sources blocked" } else { "" };
        format!(
            "{kind}{cookies}{answered}{blocked}, {}{shared}{policy}, {}",
            self.mode.name(),
            self.family.name()
        )
    }

    /// Whether what protects clients by default is switched off while the backends get the flood: these rows show what it is worth.
    fn is_open(self) -> bool {
        let cookies = self.kind != Kind::Syn || self.cookies != DEFAULT.cookies;
        self.answered && !(cookies && self.policy == DEFAULT.policy)
    }

    fn measure(self, depth: Depth) -> Result<Vec<Row>> {
        let mut site = self.site()?;
        for service in ["web", "echo"] {
            let family = if self.family == Family::V4 { "v4" } else { "v6" };
            site.daemon.lbctl(&format!("service set {service}-{family} --syn-cookies {}", self.cookies))?;
        }
        spoofed::prepare(&mut site.topology, self.family, self.answered)?;
        if self.blocked {
            site.daemon.lbctl(&format!("acl block {SOURCE_V4}/16 {SOURCE_V6}/32"))?;
        }
        let time = Duration::from_millis(depth.of(10_000).max(2000));
        let _apart = Apart::keep(&site)?;
        let idle = Idle::open(&site.topology.client, self.family, IDLE)?;
        let long = Long {
            target: target(self.family, ECHO_PORT),
            sources: addresses::clients(self.family),
            count: TALKING,
            pause: Duration::from_millis(100),
        };
        let talking = apart::first(|| LongConnections::open(&site.topology.client, &long))??;
        let quiet = self.load(&site, time)?;
        let (protocol, port) = match self.kind {
            Kind::Syn => (Protocol::Tcp, ECHO_PORT),
            Kind::Udp => (Protocol::Udp, SINK_PORT),
            Kind::Echo => (Protocol::Udp, ECHO_PORT),
        };
        let flood = Flood::start(&site.topology, protocol, target(self.family, port), RATE + RATE / 20)?;
        thread::sleep(LIMIT);
        let loaded = self.load(&site, time)?;
        flood.stop()?;
        let broken = (idle.len(), idle.broken(), talking.close().broken);
        broken.2.iter().for_each(|error| eprintln!("{}: {error}", self.name()));
        tell_drops(&site, &self.name())?;
        Ok(self.rows(&quiet, &loaded, broken.1 + broken.2.len() as u64, broken.0 + TALKING as u64))
    }

    fn site(self) -> Result<Site> {
        let plan = Plan { fixed_neighbours: true, ..Plan::default() };
        Site::start(plan, |topology| {
            let hosts = &topology.servers;
            let mut all = services(hosts, self.mode);
            let mut add = |name: &str, protocol, port, backend_port| {
                let service = Service::new(name, protocol, target(self.family, port)).mode(self.mode);
                all.push(service.backends(hosts, backend_port));
            };
            add("sink", Protocol::Udp, SINK_PORT, SINK_PORT);
            if self.shared {
                add("echo-too", Protocol::Tcp, ECHO_PORT + 1, ECHO_PORT);
            }
            let limits = format!("[limits]\ntable_full = \"{}\"", self.policy);
            Config::new(topology.interfaces(), all).tables(&limits)
        })
    }

    /// About 200 requests a second for some time.
    fn load(self, site: &Site, time: Duration) -> Result<Seen> {
        let target = target(self.family, ECHO_PORT);
        match self.kind {
            Kind::Syn | Kind::Echo => self.requests(site, Echo { target }, time),
            Kind::Udp => self.requests(site, Udp { target, size: 64 }, time),
        }
    }

    fn requests(self, site: &Site, request: impl Request, time: Duration) -> Result<Seen> {
        let timed = Timed::new(request, LIMIT);
        let spread = Spread { request: timed.clone(), mean: Duration::from_millis(160) };
        let load = Load { concurrency: 32, pause: Duration::ZERO, sources: addresses::clients(self.family) };
        let (begin, before, syns_before) = (clock::now(), received(site)?, syns(site)?);
        let running = apart::start(site, &spread, &load)?;
        let mut half_open = 0;
        while begin.elapsed() < time {
            thread::sleep(LOOK_EVERY);
            let flows = site.daemon.lbctl("flow top --by service")?;
            let tables = flows["tables"].as_array().context("no tables")?;
            let embryonic = tables.iter().filter(|table| table["table"].as_str().is_some_and(is_embryonic));
            let most = embryonic.filter_map(|table| table["entries"].as_u64()).max();
            half_open = half_open.max(most.context("no table of half-open flows")?);
        }
        let report = running.stop();
        let received = number(received(site)? - before) / begin.elapsed().as_secs_f64();
        let p99 = timed.quantile(0.99).unwrap_or(LIMIT);
        Ok(Seen { report, p99, half_open, received, syns: syns(site)? - syns_before })
    }

    fn rows(self, quiet: &Seen, loaded: &Seen, broken: u64, connections: u64) -> Vec<Row> {
        let case = self.name();
        for (reason, count) in &loaded.report.failures {
            eprintln!("{case}: {count} x {reason}");
        }
        let total = loaded.report.total();
        let what = if self.kind == Kind::Udp { "exchanges" } else { "connections" };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let row =
            |what: &str, figure, unit, required| Row::new(format!("{case}: {what}"), figure, unit, required);
        let is_bound = self.answered && self.cookies == DEFAULT.cookies;
        let rate = if is_bound { Required::Nothing } else { Required::AtLeast(number(RATE) / 1000.0) };
        let budget = if self.cookies == DEFAULT.cookies { BUDGET } else { BUDGET / 4.0 };
        let unless_open = |required| if self.is_open() { Required::Nothing } else { required };
        #[rustfmt::skip]
        let rows: Vec<Row> = vec![
            row("frames that came to the program", loaded.received / 1000.0, "thousand a second", rate),
            row(&format!("{what} of {total} that succeeded within {LIMIT:?}"),
                100.0 * number(loaded.report.succeeded) / number(total.max(1)), "%", unless_open(Required::AtLeast(99.9))),
            row("time that 99 % did not exceed, without the flood", milliseconds(quiet.p99), "ms", Required::Nothing),
            row("time that 99 % did not exceed", milliseconds(loaded.p99), "ms", unless_open(Required::AtMost(3.0 * milliseconds(quiet.p99)))),
            row(&format!("broken of {connections} established connections"), number(broken), "connections", unless_open(Required::Exactly(0.0))),
            row("entries of half-open flows at a time, at most", number(loaded.half_open), "entries", Required::AtMost(budget)),
        ];
        // Each connection of a client has one, or two where the first was lost.
        let of_flood = number(loaded.syns.saturating_sub(total));
        let syns = row(
            "SYNs beyond the clients' own that came to backends",
            of_flood,
            "SYNs",
            Required::AtMost(number(total) / 100.0),
        );
        rows.into_iter().chain((self.cookies != DEFAULT.cookies).then_some(syns)).collect()
    }
}

/// Prints what the program has dropped, for who wants to know why something failed.
fn tell_drops(site: &Site, case: &str) -> Result<()> {
    let drops = site.daemon.lbctl("drops")?;
    for drop in drops.as_array().context("no drops")?.iter().filter(|drop| drop["packets"] != 0) {
        eprintln!("{case}: {} packets dropped: {}", drop["packets"], drop["reason"]);
    }
    Ok(())
}

fn is_embryonic(table: &str) -> bool {
    table.to_ascii_lowercase().starts_with("embryonic")
}

/// SYNs that backends got before they answered a connection.
fn syns(site: &Site) -> Result<u64> {
    let stats = site.daemon.lbctl("stats")?;
    let backends = stats["backends"].as_array().context("no backends")?;
    Ok(backends.iter().filter_map(|backend| backend["syns"].as_u64()).sum())
}

/// Frames that the program has received on the clients' side.
fn received(site: &Site) -> Result<u64> {
    let stats = site.daemon.lbctl("stats")?;
    let interfaces = stats["interfaces"].as_array().context("no interfaces")?;
    let outside = interfaces.iter().find(|interface| interface["name"] == "eth0");
    outside.and_then(|interface| interface["rx_packets"].as_u64()).context("nothing is known of eth0")
}
