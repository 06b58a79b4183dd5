//! How long a scrape takes while a processor forwards all that it can, and what it costs forwarding.
//!
//! One processor makes the frames of an established flow, forwards them and drops them at the other end: all in softirqs, a batch after the other, so that
//! hardly any are lost, and as many get through as it can take. `lbd`, and who scrapes it, have the other processor: Linux would put them where there is
//! nothing to do. What is left is what a scrape does to those that forward: memory, caches, and counters that are read while they count.
//!
//! A round is one call of `BPF_PROG_TEST_RUN` whose frames take about a second, and its time is what the kernel took for them: each call ends by waiting for
//! other processors, so that many short ones measure how busy these are. The same is done with a loop on the other processor that touches
//! nothing, as long as a scrape: what that costs is what two processors of the machine share, not what `lbd` does.

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
/// Frames by which it is found out how many a round has.
const FEW: u32 = 1 << 18;
/// Programs that run for a frame: that makes it, that forwards it, and that drops it.
const RUNS: f64 = 3.0;
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
    let rounds = depth.of(40).max(2);
    // What is only done once does not belong to it.
    let frames = track.calibrate()?;
    let first = track.round(frames, Some(Beside::Scrape))?.beside.context("no scrape")?;
    let mut seen: [Vec<Seen>; 3] = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let scraped = track.round(frames, Some(Beside::Scrape))?;
        let took = scraped.beside.unwrap_or(first);
        seen[0].push(scraped);
        seen[1].push(track.round(frames, None)?);
        seen[2].push(track.round(frames, Some(Beside::Loop(took)))?);
    }
    let mut rows = rows(&seen, rounds);
    rows.push(track.counted(frames, rounds / 2)?);
    Ok(rows)
}

/// The figures of rounds with a scrape, without anything, and with a loop.
fn rows([scraped, alone, looped]: &[Vec<Seen>; 3], rounds: u64) -> Vec<Row> {
    let case =
        "1000 services of 10 backends, a scrape each second beside a processor that forwards all it can";
    let row =
        |what: &str, figure, unit, required| Row::new(format!("{case}: {what}"), figure, unit, required);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let times: Vec<f64> = scraped.iter().filter_map(|seen| seen.beside).map(milliseconds).collect();
    let idle = median(&alone.iter().map(|seen| milliseconds(seen.processor)).collect::<Vec<_>>());
    let used: Vec<f64> = scraped.iter().map(|seen| milliseconds(seen.processor) - idle).collect();
    let slower = |rounds: &[Seen]| {
        let pairs = rounds.iter().zip(alone);
        median(&pairs.map(|(with, without)| (1.0 - with.rate() / without.rate()) * 100.0).collect::<Vec<_>>())
    };
    let all = || [scraped, alone, looped].into_iter().flatten();
    let (sent, lost): (u64, u64) =
        all().fold((0, 0), |(sent, lost), seen| (sent + seen.sent, lost + seen.lost));
    vec![
        row("a scrape takes, median", median(&times), "ms", Required::AtMost(SCRAPE)),
        row("a scrape takes, at most", maximum(&times), "ms", Required::Nothing),
        row("processor time of lbd for one, median", median(&used), "ms", Required::AtMost(PROCESSOR)),
        row(
            &format!("forwarding is slower with it by, median of {rounds} pairs"),
            slower(scraped),
            "%",
            Required::AtMost(SLOWER),
        ),
        row("and with an empty loop of the same length instead, by", slower(looped), "%", Required::Nothing),
        row(
            "forwarded without it",
            median(&alone.iter().map(Seen::rate).collect::<Vec<_>>()),
            "packets/s",
            Required::Nothing,
        ),
        row(
            "frames that were lost in front of it",
            number(lost) / number(sent) * 100.0,
            "%",
            Required::AtMost(1.0),
        ),
    ]
}

/// What the other processor does in a round.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Scrape,
    /// Nothing, as busily as can be.
    Loop(Duration),
}

/// What a round showed.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sent: u64,
    lost: u64,
    /// What the kernel took for the frames.
    took: Duration,
    /// How long the other processor did something.
    beside: Option<Duration>,
    /// What the processes of `lbd` did in the round.
    processor: Duration,
}

impl Seen {
    /// Packets that got through in a second.
    fn rate(&self) -> f64 {
        number(self.sent - self.lost) / self.took.as_secs_f64()
    }
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

    /// How many frames take about a round.
    fn calibrate(&self) -> Result<u32> {
        let seen = self.round(FEW, None)?;
        let frames = f64::from(FEW) * ROUND.as_secs_f64() / seen.took.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some millions")]
        let frames = frames as u32;
        Ok(frames)
    }

    /// What it costs that the kernel counts how long programs run, as `program_run_time` has it.
    fn counted(&self, frames: u32, rounds: u64) -> Result<Row> {
        let nanos = |seen: &Seen| seen.took.as_secs_f64() * 1e9 / f64::from(frames) / RUNS;
        let switch = |on: u8| command::sh(&format!("sysctl -qw kernel.bpf_stats_enabled={on}"));
        let mut costs = Vec::new();
        for _ in 0..rounds.max(1) {
            let without = self.round(frames, None)?;
            switch(1)?;
            let with = self.round(frames, None);
            switch(0)?;
            costs.push(nanos(&with?) - nanos(&without));
        }
        let name = format!("program_run_time costs each run of a program, median of {} pairs", costs.len());
        Ok(Row::new(name, median(&costs), "ns", Required::Nothing))
    }

    /// Forwards so many frames, and does something beside it.
    fn round(&self, frames: u32, beside: Option<Beside>) -> Result<Seen> {
        let process = self.daemon.process_id().context("lbd does not run")?;
        let before = processor::time_of(process)?;
        let (arrived, took, beside) = thread::scope(|scope| {
            let beside =
                beside.map(|beside| scope.spawn(move || self.topology.balancer.run(|| beside.run())));
            let (arrived, took) = self.topology.client.run(|| self.forward(frames))?;
            let beside =
                beside.map(|thread| thread.join().map_err(|_| anyhow::anyhow!("the scrape panicked")));
            Ok::<_, anyhow::Error>((arrived, took, beside.transpose()?.transpose()?))
        })?;
        let processor = processor::time_of(process)?.saturating_sub(before);
        ensure!(arrived > 0, "no frame got through");
        let sent = u64::from(frames);
        Ok(Seen { sent, lost: sent.saturating_sub(arrived), took, beside, processor })
    }

    /// Frames that got through, and what the kernel took for all. To be called in the client's namespace.
    fn forward(&self, frames: u32) -> Result<(u64, Duration)> {
        processor::stay_on(FORWARDS)?;
        let mut source = FrameSource::new("eth0", &self.frame, self.header)?;
        let arrived = || self.topology.switch.received("balancer");
        let before = arrived()?;
        let took = source.send(frames)?;
        Ok((arrived()? - before, took))
    }
}

impl Beside {
    /// Does it on the other processor, and says how long it took. To be called in the namespace of `lbd`.
    fn run(self) -> Result<Duration> {
        processor::stay_on(OTHERS)?;
        thread::sleep(BEGIN);
        let begin = clock::now();
        match self {
            Self::Scrape => scrape()?,
            Self::Loop(long) => {
                while begin.elapsed() < long {
                    std::hint::spin_loop();
                }
            }
        }
        Ok(begin.elapsed())
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

/// To be called in the namespace of `lbd`.
fn scrape() -> Result<()> {
    let answer = http::exchange(METRICS.into(), "/metrics")?;
    ensure!(answer.split(' ').nth(1) == Some("200") && answer.contains("lb_backend_up"), "{answer:.200}");
    Ok(())
}
