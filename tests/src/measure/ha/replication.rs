//! What it costs forwarding that the nodes tell each other their flows.
//!
//! Each 20 ms a thousand flows are begun on a processor (a request, and its answer, by which they are replicated), and packets of an established
//! one are forwarded on it for the rest of the time. These packets are counted, in a node with replication and in one without, in turn. Packets
//! enter by `BPF_PROG_TEST_RUN`, one by one: what that costs by itself is in all figures, so that a packet of a network card would suffer a little
//! more. At first the `lbd` of the node has another processor, so that this is what the program itself does for replication; then its thread for
//! replication has the same one, and comes before this process, so that the scheduler does not decide who waits: it takes what it needs, and the rest is left for
//! packets. What the network between the nodes does with a packet, and the other node when it arrives, is done by threads of its own: in namespaces it
//! would be done while the sender sends, and a cable costs the sender nothing.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use lb_common::host::FrameSpec;
use nix::net::if_::if_nametoindex;

use super::{
    super::{Depth, Required, Row, number},
    rounds::{median, thread_of, thread_time},
};
use crate::{
    clock, command,
    duo::{Duo, Setup},
    inject::mac,
    napi::NapiThreads,
    processor,
    servers::ECHO_PORT,
    site::target,
    topology::{
        Family,
        pair::{self, Pair},
    },
};

/// New flows in a slice of time, and its length: 50 000 a second.
const FLOWS: u64 = 1000;
const SLICE: Duration = Duration::from_millis(20);
/// Slices of a round: a second.
const SLICES: u64 = 50;
/// By how much replication may slow forwarding, in percent.
const SLOWER: f64 = 5.0;
/// Room for all flows that are begun.
const LIMITS: &str = "[limits]\nconnections_v4 = 2097152\n";
/// The processor that forwards, and that of both `lbd`.
const PROCESSOR: usize = 1;
const OTHER: usize = 0;
/// The priority of what comes before this process.
const FIRST: u8 = 1;
const XDP_REDIRECT: u32 = 4;
/// The clients: the last byte of the first one's address, how many addresses they have, the established one's apart, and ports of each.
const FIRST_HOST: u64 = 20;
const MOST_HOSTS: u64 = 100;
const PORTS: u64 = 60_000;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let rounds = depth.of(20).max(2);
    let duos = [start(true)?, start(false)?];
    let _network = network(&duos[0].pair)?;
    let state = duos[1].daemons[0].lbctl("replication status")?["state"].clone();
    ensure!(state == "off", "without replication it is {state}");
    let thread = thread_of(&duos[0], 0, "replication")?;
    let apart = pairs(&duos, 0..rounds)?;
    processor::pin(thread, PROCESSOR)?;
    processor::prefer(thread, FIRST)?;
    let before = thread_time(&duos[0], 0, "replication")?;
    let shared = pairs(&duos, rounds..2 * rounds)?;
    let used = (thread_time(&duos[0], 0, "replication")? - before) / number(rounds);
    let received = duos[0].daemons[1].lbctl("replication status")?;
    let received = received["flows_received"].as_u64().context("no count of flows")?;
    let case = format!("50 000 new flows a second, {rounds} rounds");
    let row =
        |what: &str, figure, unit, required| Row::new(format!("{case}: {what}"), figure, unit, required);
    let slower = |pairs: &[[f64; 2]]| {
        median(&pairs.iter().map(|[with, without]| (1.0 - with / without) * 100.0).collect::<Vec<_>>())
    };
    Ok(vec![
        row("forwarding is slower with replication by", slower(&apart), "%", Required::AtMost(SLOWER)),
        row(
            "slower if its thread has the same processor, by",
            slower(&shared),
            "%",
            Required::AtMost(SLOWER),
        ),
        row("processor time of that thread then", used * 100.0, "% of a core", Required::Nothing),
        row(
            "packets beside the new flows without replication",
            median(&apart.iter().map(|[_, without]| *without).collect::<Vec<_>>()),
            "packets/s",
            Required::Nothing,
        ),
        row(
            "of these, the other node got",
            number(received) / number(2 * rounds * FLOWS * SLICES) * 100.0,
            "%",
            Required::AtLeast(100.0),
        ),
    ])
}

/// Two nodes, with neighbours for all clients.
fn start(replicated: bool) -> Result<Duo> {
    let duo = Duo::start(Setup { replicated, tables: LIMITS, ..Setup::default() })?;
    for node in [0, 1] {
        pin(&duo, node, OTHER)?;
    }
    let mac = mac(&duo.pair.client, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    for host in FIRST_HOST..=FIRST_HOST + MOST_HOSTS {
        duo.pair.nodes[0].ip(&format!("neigh replace 198.51.100.{host} lladdr {mac} dev eth0"))?;
    }
    Ok(duo)
}

/// Has threads of their own do what becomes of packets between the nodes, and what the second one receives.
fn network(pair: &Pair) -> Result<Vec<NapiThreads>> {
    let ports = pair::PORTS.iter().flatten().map(|port| (&pair.switch, *port));
    let interfaces = ["eth0", "eth1"].map(|interface| (&pair.nodes[1], interface));
    let start = |(netns, interface)| {
        let threads = NapiThreads::start(netns, interface)?;
        threads.pin(OTHER)?;
        Ok(threads)
    };
    ports.chain(interfaces).map(start).collect()
}

/// Has all threads of a node's `lbd` run on a processor.
fn pin(duo: &Duo, node: usize, processor: usize) -> Result<()> {
    let id = duo.daemons[node].process_id().context("lbd does not run")?;
    command::sh(&format!("taskset -a -p -c {processor} {id}")).map(drop)
}

/// What both forwarded in each round, one after the other and in turn the first.
fn pairs(duos: &[Duo; 2], rounds: Range<u64>) -> Result<Vec<[f64; 2]>> {
    let mut pairs = Vec::new();
    for round in rounds {
        let mut pair = [0.0; 2];
        for index in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            pair[index] = number(duos[index].pair.nodes[0].run(|| one_round(&duos[index], round))?);
            // What is left to be told, and the scan that follows, belong to it.
            thread::sleep(Duration::from_millis(500));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Packets that were forwarded beside the new flows. To be called in the node's namespace.
fn one_round(duo: &Duo, round: u64) -> Result<u64> {
    processor::stay_on(PROCESSOR)?;
    let path = Path::of(duo)?;
    let established = path.request(client(PORTS * MOST_HOSTS));
    path.begin(client(PORTS * MOST_HOSTS))?;
    let (begin, mut forwarded) = (clock::now(), 0);
    for slice in 0..SLICES {
        for flow in 0..FLOWS {
            path.begin(client((round * SLICES + slice) * FLOWS + flow))?;
        }
        while begin.elapsed() < SLICE * (slice as u32 + 1) {
            path.run(path.outside, &established)?;
            forwarded += 1;
        }
    }
    ensure!(forwarded > 0, "no packet of an established flow was forwarded in a round");
    Ok(forwarded)
}

/// Another client for each number below ten million.
fn client(number: u64) -> SocketAddr {
    let host = Ipv4Addr::new(198, 51, 100, (FIRST_HOST + number / PORTS) as u8);
    SocketAddr::new(host.into(), 1024 + (number % PORTS) as u16)
}

/// The program of a node, and what leads through it.
struct Path {
    program: Xdp,
    outside: u32,
    inside: u32,
    /// Of the client, the node outside and inside, and a server: only the first two matter.
    macs: [[u8; 6]; 3],
}

impl Path {
    fn of(duo: &Duo) -> Result<Self> {
        let node = &duo.pair.nodes[0];
        let mut pins = Vec::new();
        for version in fs::read_dir(duo.daemons[0].pin_directory())?.flatten() {
            pins.extend(fs::read_dir(version.path())?.flatten().map(|entry| entry.path()));
        }
        let is_program = |path: &&std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("program-"))
        };
        let pin = pins.iter().find(is_program).context("no program is pinned")?;
        Ok(Self {
            program: Xdp::from_pin(pin, XdpAttachType::Interface)?,
            outside: if_nametoindex("eth0")?,
            inside: if_nametoindex("eth1")?,
            macs: [mac(&duo.pair.client, "eth0")?, mac(node, "eth0")?, mac(node, "eth1")?],
        })
    }

    fn request(&self, client: SocketAddr) -> Vec<u8> {
        let spec = FrameSpec::udp(client, target(Family::V4, ECHO_PORT));
        FrameSpec { dmac: self.macs[1], smac: self.macs[0], payload: vec![0; 18], ..spec }.build()
    }

    /// A request, and the answer of the backend that it goes to.
    fn begin(&self, client: SocketAddr) -> Result<()> {
        let sent = self.run(self.outside, &self.request(client))?;
        let backend: [u8; 4] =
            *sent.get(30..).and_then(|rest| rest.first_chunk()).context("a short frame")?;
        let backend = SocketAddr::new(IpAddr::from(backend), ECHO_PORT);
        let spec = FrameSpec::udp(backend, client);
        let answer = FrameSpec { dmac: self.macs[2], smac: self.macs[0], payload: vec![0; 18], ..spec };
        self.run(self.inside, &answer.build()).map(drop)
    }

    /// Runs a frame, which has to be forwarded.
    fn run(&self, ingress: u32, frame: &[u8]) -> Result<Vec<u8>> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let mut context = [0; 24];
        context[4..8].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&ingress.to_ne_bytes());
        let mut out = vec![0; frame.len() + 64];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        let result = self.program.test_run(options).context("cannot run the program")?;
        ensure!(result.return_value == XDP_REDIRECT, "a frame was not forwarded: {}", result.return_value);
        Ok(out)
    }
}
