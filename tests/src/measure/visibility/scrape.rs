//! How long a scrape takes while a processor forwards all that it can, and what it costs forwarding.
//!
//! One processor makes the frames of an established flow, forwards them and drops them at the other end: all in softirqs, a batch after the other, so that
//! hardly any are lost, and as many get through as it can take. `lbd`, and who scrapes it, have the other processor: Linux would put them where there is
//! nothing to do. What is left is what a scrape does to those that forward: memory, caches, and counters that are read while they count.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_common::host::FrameSpec;

use super::super::{
    Depth, Required, Row,
    figures::{maximum, median},
    number,
};
use crate::{
    clock, command,
    config::{Config, Mode},
    daemon::Daemon,
    http, inject,
    large::Size,
    processor,
    servers::{ECHO_PORT, EchoServer},
    site::{services, target},
    topology::{Family, Plan, Topology, addresses},
    xdp::{FrameSource, Program},
};

/// What there is to be shown, beside the service that forwards.
const SIZE: Size = Size { services: 1000, backends: 10 };
const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);
/// The processor that forwards, and that of all others.
const FORWARDS: usize = 1;
const OTHERS: usize = 0;
/// A round, and when the scrape in it begins: one each second.
const ROUND: Duration = Duration::from_secs(1);
const BEGIN: Duration = Duration::from_millis(200);
/// Frames that are made between two looks at the clock.
const CHUNK: u32 = 1 << 14;
/// The client's port, and the shortest frame.
const PORT: u16 = 40_000;
const SHORTEST: usize = 60;
/// Identification of the packets of [`FrameSpec`], and where it stands.
const MARK: (i16, u16) = (18, 0x1234);

/// Milliseconds that a scrape may take.
const SCRAPE: f64 = 50.0;
/// Percent by which forwarding may be slower with it.
const SLOWER: f64 = 1.0;
/// Milliseconds of a processor that a scrape may take: one percent of a processor if there is one each 15 s.
const PROCESSOR: f64 = 150.0;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let track = Track::start()?;
    let rounds = depth.of(20).max(2);
    // What is only done once does not belong to it.
    track.round(false)?;
    track.round(true)?;
    let (mut slower, mut rates, mut times, mut used) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut sent, mut lost) = (0, 0);
    for round in 0..rounds {
        let order = if round % 2 == 0 { [true, false] } else { [false, true] };
        let mut pair = [Seen::default(), Seen::default()];
        for scraped in order {
            pair[usize::from(scraped)] = track.round(scraped)?;
        }
        let [without, with] = pair;
        slower.push((1.0 - with.rate / without.rate) * 100.0);
        rates.push(without.rate);
        times.extend(with.scrape.map(|took| took.as_secs_f64() * 1e3));
        used.push((with.processor.as_secs_f64() - without.processor.as_secs_f64()) * 1e3);
        sent += with.sent + without.sent;
        lost += with.lost + without.lost;
    }
    let case =
        "1000 services of 10 backends, a scrape each second beside a processor that forwards all it can";
    let row =
        |what: &str, figure, unit, required| Row::new(format!("{case}: {what}"), figure, unit, required);
    Ok(vec![
        row("a scrape takes, median", median(&times), "ms", Required::AtMost(SCRAPE)),
        row("a scrape takes, at most", maximum(&times), "ms", Required::Nothing),
        row("processor time of lbd for one, median", median(&used), "ms", Required::AtMost(PROCESSOR)),
        row(
            &format!("forwarding is slower with it by, median of {rounds} pairs"),
            median(&slower),
            "%",
            Required::AtMost(SLOWER),
        ),
        row("forwarded without it", median(&rates), "packets/s", Required::Nothing),
        row(
            "frames that were lost in front of it",
            number(lost) / number(sent) * 100.0,
            "%",
            Required::AtMost(1.0),
        ),
    ])
}

/// What a round showed.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Packets that got through in a second.
    rate: f64,
    sent: u64,
    lost: u64,
    /// How long the scrape took, and what the processes of `lbd` did in the round.
    scrape: Option<Duration>,
    processor: Duration,
}

/// A network with a flow, and frames for it.
struct Track {
    daemon: Daemon,
    topology: Topology,
    frame: Vec<u8>,
    header: usize,
    _server: EchoServer,
    _socket: UdpSocket,
}

impl Track {
    fn start() -> Result<Self> {
        let mut topology = Topology::build(Plan { servers: 1, fixed_neighbours: true, ..Plan::default() })?;
        let server = EchoServer::start(&topology.servers[0])?;
        let tables = format!("[limits]\n{}\n{}", SIZE.limits(), SIZE.text());
        let config =
            Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat)).tables(&tables);
        let daemon = Daemon::start(&topology.balancer, &config)?;
        let id = daemon.process_id().context("lbd does not run")?;
        command::sh(&format!("taskset -a -p -c {OTHERS} {id}"))?;
        let client = SocketAddr::new(addresses::clients(Family::V4)[0], PORT);
        let socket = topology.client.run(|| exchange(client)).context("no flow")?;
        topology.receive_with(&Program::drop_marked(&[MARK]))?;
        let spec = FrameSpec {
            dmac: inject::mac(&topology.balancer, "eth0")?,
            smac: inject::mac(&topology.client, "eth0")?,
            ..FrameSpec::udp(client, target(Family::V4, ECHO_PORT))
        };
        let header = spec.build().len();
        let frame = FrameSpec { payload: vec![0; SHORTEST - header], ..spec }.build();
        Ok(Self { daemon, topology, frame, header, _server: server, _socket: socket })
    }

    /// Forwards for a second, with a scrape or without.
    fn round(&self, scraped: bool) -> Result<Seen> {
        let process = self.daemon.process_id().context("lbd does not run")?;
        let before = processor::time_of(process)?;
        let (sent, arrived, took, scrape) = thread::scope(|scope| {
            let scrape = scraped.then(|| scope.spawn(|| self.topology.balancer.run(scrape)));
            let (sent, arrived, took) = self.topology.client.run(|| self.forward())?;
            let scrape =
                scrape.map(|thread| thread.join().map_err(|_| anyhow::anyhow!("the scrape panicked")));
            Ok::<_, anyhow::Error>((sent, arrived, took, scrape.transpose()?.transpose()?))
        })?;
        let used = processor::time_of(process)?.saturating_sub(before);
        ensure!(arrived > 0, "no frame got through");
        let rate = number(arrived) / took.as_secs_f64();
        Ok(Seen { rate, sent, lost: sent.saturating_sub(arrived), scrape, processor: used })
    }

    /// Frames sent and those that got through, and how long it took. To be called in the client's namespace.
    fn forward(&self) -> Result<(u64, u64, Duration)> {
        processor::stay_on(FORWARDS)?;
        let mut source = FrameSource::new("eth0", &self.frame, self.header)?;
        let arrived = || self.topology.switch.received("balancer");
        let (before, begin, mut sent) = (arrived()?, clock::now(), 0);
        while begin.elapsed() < ROUND {
            source.send(CHUNK)?;
            sent += u64::from(CHUNK);
        }
        let took = begin.elapsed();
        Ok((sent, arrived()? - before, took))
    }
}

/// A datagram and its answer, which make an established flow.
fn exchange(client: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(client)?;
    socket.connect(target(Family::V4, ECHO_PORT))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send(b"?")?;
    socket.recv(&mut [0; 64]).context("nothing came back")?;
    Ok(socket)
}

/// How long a scrape takes. To be called in the namespace of `lbd`.
fn scrape() -> Result<Duration> {
    processor::stay_on(OTHERS)?;
    thread::sleep(BEGIN);
    let begin = clock::now();
    let answer = http::exchange(METRICS.into(), "/metrics")?;
    let took = begin.elapsed();
    ensure!(answer.split(' ').nth(1) == Some("200") && answer.contains("lb_backend_up"), "{answer:.200}");
    Ok(took)
}
