//! Lists of sources: how long it takes to load many prefixes, and what packets cost with them.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramFd, loaded_programs};
use lb_common::{
    host::FrameSpec,
    wire::{ACK, SYN},
};
use lb_userspace::sys::bpf::test_run;

use super::super::{Depth, Required, Row, figures::median, number};
use crate::{
    clock,
    config::Mode,
    inject,
    servers::ECHO_PORT,
    site::{Site, target},
    topology::{Family, Plan},
};

/// As many as a list has to have room for.
const PREFIXES: u64 = 65_536;
/// What loading them may take, in seconds.
const LIMIT: f64 = 1.0;
/// What a packet of a flow may cost more with them, in nanoseconds.
const COST: f64 = 20.0;
/// Pairs of rounds, with and without.
const PAIRS: u64 = 10;
/// Packets of a round: the kernel's clock is read for each.
const PACKETS: usize = 5000;
/// For the connection whose packets are timed.
const PATIENCE: Duration = Duration::from_secs(5);
/// The answer of `BPF_PROG_TEST_RUN` for a packet that goes out of another interface.
const XDP_REDIRECT: u32 = 4;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let site = Site::standard(Plan::default(), Mode::Nat)?;
    // One SYN again and again is a flood.
    site.daemon.lbctl("service set echo-v4 --syn-cookies off")?;
    let prefixes = depth.of(PREFIXES);
    let mut rows = Vec::new();
    for (what, first) in [("loaded", 100), ("replaced by as many others", 101)] {
        let file = write(&site, &text(first, prefixes))?;
        let begun = clock::now();
        load(&site, &file, prefixes)?;
        let took = clock::now() - begun;
        let what = format!("{prefixes} prefixes {what} by `lbctl acl load`");
        rows.push(Row::new(what, took.as_secs_f64(), "s", Required::AtMost(LIMIT)));
    }
    rows.push(Row::new("prefixes at once", number(prefixes), "prefixes", Required::Nothing));
    rows.extend(costs(&site, prefixes, depth)?);
    Ok(rows)
}

fn write(site: &Site, text: &str) -> Result<PathBuf> {
    let file = site.daemon.config_file().with_file_name("prefixes.txt");
    fs::write(&file, text).context("cannot write the list")?;
    Ok(file)
}

fn load(site: &Site, file: &Path, prefixes: u64) -> Result<()> {
    let loaded = site.daemon.lbctl(&format!("acl load {}", file.display()))?;
    ensure!(loaded["blocked"] == prefixes, "{loaded}");
    Ok(())
}

fn text(first: u8, prefixes: u64) -> String {
    (0..prefixes as u32).fold(String::new(), |mut text, number| {
        let [_, b, c, d] = (number << 4).to_be_bytes();
        // A text takes all there is.
        let _ = writeln!(text, "{first}.{b}.{c}.{d}/28");
        text
    })
}

/// What a packet of a flow and a SYN cost more, each pair of rounds one after the other.
fn costs(site: &Site, prefixes: u64, depth: Depth) -> Result<Vec<Row>> {
    let stream = site.topology.client.run(|| TcpStream::connect(target(Family::V4, ECHO_PORT)))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // What it begins with has come: the flow is established.
    BufReader::new(&stream).read_line(&mut String::new())?;
    let bench = Bench::new(site, stream.local_addr()?)?;
    let mut rows = Vec::new();
    let full = text(100, prefixes);
    for (what, required, begin, end) in [
        (
            format!("{prefixes} prefixes"),
            Required::AtMost(COST),
            Change::List(full.as_str(), prefixes),
            Change::List("", 0),
        ),
        (
            "limits of sources' flows".to_owned(),
            Required::AtMost(COST),
            Change::Limits("--source-flow-rate 1000000 --source-max-connections 1000000"),
            Change::Limits("--source-flow-rate 0 --source-max-connections 0"),
        ),
        (
            "a rate of sources' packets".to_owned(),
            Required::Nothing,
            Change::Limits("--source-packet-rate 10000000 --source-packet-burst 10000000"),
            Change::Limits("--source-packet-rate 0"),
        ),
    ] {
        let (mut of_flow, mut of_syn) = (Vec::new(), Vec::new());
        for _ in 0..depth.of(PAIRS).max(3) {
            let without = (bench.time(&bench.established)?, bench.time(&bench.syn)?);
            begin.make(site)?;
            let with = (bench.time(&bench.established)?, bench.time(&bench.syn)?);
            end.make(site)?;
            of_flow.push(with.0 - without.0);
            of_syn.push(with.1 - without.1);
        }
        let row = |packet: &str, more: &[f64], required| {
            Row::new(format!("{packet} costs more with {what}"), median(more), "ns", required)
        };
        rows.push(row("a packet of a flow", &of_flow, required));
        rows.push(row("a packet that would begin a flow", &of_syn, Required::Nothing));
    }
    Ok(rows)
}

/// What is configured.
#[derive(Clone, Copy)]
enum Change<'a> {
    /// A list of so many prefixes.
    List(&'a str, u64),
    /// Limits of the service.
    Limits(&'a str),
}

impl Change<'_> {
    fn make(self, site: &Site) -> Result<()> {
        match self {
            Self::List(text, prefixes) => load(site, &write(site, text)?, prefixes),
            Self::Limits(options) => {
                site.daemon.lbctl(&format!("limit set echo-v4 {options}"))?;
                Ok(())
            }
        }
    }
}

/// The program that forwards, and packets for it.
struct Bench<'a> {
    site: &'a Site,
    program: ProgramFd,
    ingress: u32,
    established: Vec<u8>,
    syn: Vec<u8>,
}

impl<'a> Bench<'a> {
    /// For a client's connection that is open.
    fn new(site: &'a Site, client: SocketAddr) -> Result<Self> {
        let id = site.programs()?[0];
        let mut loaded = loaded_programs().filter_map(Result::ok);
        let program = loaded.find(|program| u64::from(program.id()) == id).context("the program is gone")?;
        let balancer = &site.topology.balancer;
        let interface = site.topology.interfaces()[0];
        let ingress = balancer.run(|| nix::net::if_::if_nametoindex(interface))?;
        let frame = |source: SocketAddr, flags: u8| -> Result<Vec<u8>> {
            let mut frame = FrameSpec::tcp(source, target(Family::V4, ECHO_PORT), flags);
            frame.dmac = inject::mac(balancer, interface)?;
            frame.smac = inject::mac(&site.topology.client, "eth0")?;
            Ok(frame.build())
        };
        let other = SocketAddr::new(client.ip(), client.port() ^ 1);
        let (established, syn) = (frame(client, ACK)?, frame(other, SYN)?);
        Ok(Self { site, program: program.fd()?, ingress, established, syn })
    }

    /// The median time of a packet's run, in nanoseconds.
    fn time(&self, frame: &[u8]) -> Result<f64> {
        self.site.topology.balancer.run(|| {
            let times = (0..PACKETS).map(|_| {
                let run = test_run(self.program.as_fd(), self.ingress, frame, 1)?;
                ensure!(run.action == XDP_REDIRECT, "action {}", run.action);
                Ok(number(run.time.as_nanos() as u64))
            });
            Ok(median(&times.collect::<Result<Vec<f64>>>()?))
        })
    }
}
