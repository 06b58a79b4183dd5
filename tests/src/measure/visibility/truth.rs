//! What `lbd` counted, beside what others saw: frames that dumpcap recorded on the links, examined by tshark.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::super::{Depth, Required, Row, number};
use crate::{
    capture::{Capture, Recording},
    client::{self, Echo, Load},
    clock::wait_until,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    topology::{Family, Plan, Topology, addresses},
};

const SERVICE: &str = "echo";
/// Connections that end are forgotten soon, so that the flows come back to none.
const TIMEOUTS: &str = "[timeouts]\ntcp_handshake = \"3s\"\ntcp_half_closed = \"3s\"\ntcp_closing = \"1s\"\ntcp_closed = \"1s\"\n\
                        tcp_established = \"10s\"\n";
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        rows.extend(after_failures(mode, depth.of(10_000))?);
    }
    Ok(rows)
}

/// Many connections, and in the middle of them a server that dies and comes back, twice.
fn after_failures(mode: Mode, connections: u64) -> Result<Vec<Row>> {
    let topology = Topology::build(Plan { servers: 3, ..Plan::default() })?;
    let mut servers = topology.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
    let service = Service::new(SERVICE, Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(mode);
    let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
    let config = Config::new(topology.interfaces(), [service]).tables(TIMEOUTS);
    let daemon = Daemon::start(&topology.balancer, &config)?;
    for host in &topology.servers {
        daemon.wait_backend(SERVICE, &host.name, "active")?;
    }
    let links = topology.links();
    let before = Counted::read(&daemon)?;
    let capture = Capture::start(&links[..2])?;
    let load = Load::brisk(addresses::clients(Family::V4));
    let load = client::start(&topology.client, &Echo { target: target(Family::V4, ECHO_PORT) }, &load);
    for _ in 0..2 {
        load.wait_more(connections / 4)?;
        drop(servers.remove(0));
        load.wait_more(connections / 8)?;
        servers.insert(0, EchoServer::start(&topology.servers[0])?);
        daemon.wait_backend(SERVICE, &topology.servers[0].name, "active")?;
        load.wait_more(connections / 8)?;
    }
    let report = load.stop();
    // What the ends still say to each other belongs to it.
    wait_until("the flows to end", LIMIT, || {
        daemon.lbctl("status").is_ok_and(|status| status["flows"] == 0)
    })?;
    let counted = Counted::read(&daemon)?.since(&before);
    let seen = Seen::of(&capture.stop()?, mode, links[0].name, links[1].name)?;

    let case = format!("{mode:?}, {} connections, {} failed", report.total(), report.failed());
    let row = |what: &str, counted: u64, seen: u64, unit| {
        let what = format!("{case}: {what}: {counted} counted, {seen} seen; difference");
        Row::none(what, counted.abs_diff(seen), unit)
    };
    Ok(vec![
        Row::new(
            format!("{case}: made"),
            number(report.total()),
            "connections",
            Required::AtLeast(number(connections)),
        ),
        Row::new(format!("{case}: failed"), number(report.failed()), "connections", Required::AtLeast(1.0)),
        row("packets to backends", counted.packets_in, seen.to_backends.frames, "packets"),
        row("their bytes", counted.bytes_in, seen.to_backends.bytes, "bytes"),
        row("packets to clients", counted.packets_out, seen.to_clients.frames, "packets"),
        row("their bytes", counted.bytes_out, seen.to_clients.bytes, "bytes"),
        row("flows that began", counted.flows, seen.flows, "flows"),
        row("dropped", counted.dropped, seen.arrived().saturating_sub(seen.sent()), "packets"),
        row(
            "sum of the backends' packets",
            counted.of_backends,
            counted.packets_in + counted.packets_out,
            "packets",
        ),
        Row::none(
            format!("{case}: flows left"),
            daemon.lbctl("status")?["flows"].as_u64().context("no flows")?,
            "flows",
        ),
    ])
}

/// What `lbd` counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    flows: u64,
    dropped: u64,
    /// Packets in both directions, of all backends.
    of_backends: u64,
}

impl Counted {
    fn read(daemon: &Daemon) -> Result<Self> {
        let (stats, drops) = (daemon.lbctl("stats")?, daemon.lbctl("drops")?);
        let figure = |row: &Value, name: &str| row[name].as_u64().with_context(|| format!("no {name}"));
        let service = &stats["services"][0];
        let drops = drops.as_array().context("no drops")?.iter().map(|drop| figure(drop, "packets"));
        let backends = stats["backends"].as_array().context("no backends")?.iter();
        let of_backends = backends.map(|row| Ok(figure(row, "packets_in")? + figure(row, "packets_out")?));
        Ok(Self {
            packets_in: figure(service, "packets_in")?,
            bytes_in: figure(service, "bytes_in")?,
            packets_out: figure(service, "packets_out")?,
            bytes_out: figure(service, "bytes_out")?,
            flows: figure(service, "flows")?,
            dropped: drops.sum::<Result<u64>>()?,
            of_backends: of_backends.sum::<Result<u64>>()?,
        })
    }

    fn since(self, before: &Self) -> Self {
        Self {
            packets_in: self.packets_in - before.packets_in,
            bytes_in: self.bytes_in - before.bytes_in,
            packets_out: self.packets_out - before.packets_out,
            bytes_out: self.bytes_out - before.bytes_out,
            flows: self.flows - before.flows,
            dropped: self.dropped - before.dropped,
            of_backends: self.of_backends - before.of_backends,
        }
    }
}

/// What crossed the links.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    from_clients: Sum,
    to_backends: Sum,
    from_backends: Sum,
    to_clients: Sum,
    flows: u64,
}

/// Frames, and the bytes of their packets.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    frames: u64,
    bytes: u64,
}

impl Seen {
    fn of(recording: &Recording, mode: Mode, client: &str, switch: &str) -> Result<Self> {
        // The checks of lbd are its own.
        let others = format!("!(ip.addr == {})", addresses::BALANCER_SERVER_V4);
        let sum = |link: &str, filter: &str| -> Result<Sum> {
            let lengths = recording.fields(link, &format!("tcp && {filter} && {others}"), &["ip.len"])?;
            let bytes = lengths.iter().map(|fields| fields[0].parse::<u64>().context("no length"));
            Ok(Sum { frames: lengths.len() as u64, bytes: bytes.sum::<Result<u64>>()? })
        };
        let (to, from) = (format!("tcp.dstport == {ECHO_PORT}"), format!("tcp.srcport == {ECHO_PORT}"));
        // A packet that is repeated repeats its number.
        let numbered = |filter: &str, port: &str| -> Result<BTreeSet<Vec<String>>> {
            let names = ["ip.src", "ip.dst", port, "tcp.seq_raw"];
            let found = recording.fields(switch, &format!("{filter} && {others}"), &names)?;
            Ok(found.into_iter().collect())
        };
        let flows = if mode == Mode::FullNat {
            numbered(&format!("tcp.flags.syn == 1 && {to}"), "tcp.srcport")?.len()
        } else {
            // A SYN leaves nothing behind; who answers it does.
            let answered = format!("tcp.flags.syn == 1 && tcp.flags.ack == 1 && {from}");
            let answered = numbered(&answered, "tcp.dstport")?;
            // A connection whose server is gone goes on at another one, which does not know it and says so.
            let ends = |found: &BTreeSet<Vec<String>>| -> BTreeSet<Vec<String>> {
                found.iter().map(|fields| fields[..3].to_vec()).collect()
            };
            let unknown = format!("tcp.flags.reset == 1 && tcp.flags.ack == 0 && {from}");
            let unknown = numbered(&unknown, "tcp.dstport")?;
            answered.len() + ends(&unknown).difference(&ends(&answered)).count()
        };
        Ok(Self {
            from_clients: sum(client, &to)?,
            to_backends: sum(switch, &to)?,
            from_backends: sum(switch, &from)?,
            to_clients: sum(client, &from)?,
            flows: flows as u64,
        })
    }

    fn arrived(&self) -> u64 {
        self.from_clients.frames + self.from_backends.frames
    }

    fn sent(&self) -> u64 {
        self.to_backends.frames + self.to_clients.frames
    }
}
