//! What a failure costs running traffic, as probers see it that ask every millisecond.

use anyhow::{Context, Result};
use lb_tests::{
    client::{Flows, Prober, Seen},
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    topology::{Family, Plan, Topology},
};

use crate::{
    finding::{Findings, Row, Target},
    part::Run,
    statistics::{median, milliseconds},
};

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let rounds = run.depth.pick(7, 3);
    let modes = run.depth.pick(&Mode::ALL[..], &Mode::ALL[..1]);
    let steps = modes.len() * rounds * Event::ALL.len();
    let mut findings = Findings { notes: NOTES.map(str::to_owned).to_vec(), ..Findings::default() };
    for (number, mode) in modes.iter().enumerate() {
        let mut site = Site::start(*mode)?;
        let mut seen: [Vec<[Seen; 2]>; Event::ALL.len()] = Default::default();
        for round in 0..rounds {
            for (index, (event, seen)) in Event::ALL.into_iter().zip(&mut seen).enumerate() {
                let done = (number * rounds + round) * Event::ALL.len() + index;
                run.step(&format!("{}: {}", mode.name(), event.name()), done, steps);
                seen.push(site.probe(event).with_context(|| event.name())?);
            }
        }
        for (event, seen_then) in Event::ALL.into_iter().zip(&seen).skip(1) {
            findings.rows.extend(rows(*mode, event, seen_then, &seen[0]));
        }
    }
    Ok(findings)
}

const NOTES: [&str; 3] = [
    "What the loss of a whole balancer costs is measured by `cargo xtask measure ha`.",
    "Probers ask over UDP, IPv4, each millisecond, one within a flow, one with a new flow each time; a question without an answer for \
     500 ms is lost. On two cores threads are late, and that shows as gaps, too: each has the same figure without an event beside it.",
    "A backend that is killed refuses connections at once and is checked every 200 ms (fall 2): until then questions to it are lost; \
     those of the flow that had it are lost for as long as it is gone, if it was that one.",
];

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    Killed,
    Replaced,
    BackendKilled,
}

impl Event {
    const ALL: [Self; 4] = [Self::Nothing, Self::Killed, Self::Replaced, Self::BackendKilled];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing happens",
            Self::Killed => "lbd killed -9, and started again",
            Self::Replaced => "lbd ended, and started again: program replaced",
            Self::BackendKilled => "one of three backends killed",
        }
    }
}

/// Questions before, between and after what happens.
const AROUND: u64 = 200;
const SERVICE: &str = "udp";

/// The network; its parts end in this order.
struct Site {
    daemon: Daemon,
    servers: Vec<EchoServer>,
    topology: Topology,
}

impl Site {
    fn start(mode: Mode) -> Result<Self> {
        let topology = Topology::build(Plan { fixed_neighbours: true, ..Plan::default() })?;
        let servers = topology.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
        let service = Service::new(SERVICE, Protocol::Udp, target(Family::V4, ECHO_PORT))
            .mode(mode)
            .backends(&topology.servers, ECHO_PORT)
            .checked(ECHO_PORT);
        let config = Config::new(topology.interfaces(), [service]);
        let daemon = Daemon::start(&topology.balancer, &config)?;
        let site = Self { daemon, servers, topology };
        site.wait_first("active")?;
        Ok(site)
    }

    /// Lets something happen; gives what was seen within one flow, and with new ones.
    fn probe(&mut self, event: Event) -> Result<[Seen; 2]> {
        let address = target(Family::V4, ECHO_PORT);
        let probers =
            [Flows::One, Flows::New].map(|flows| Prober::start(&self.topology.client, address, flows));
        let wait = || probers.iter().try_for_each(|prober| prober.wait_more(AROUND));
        wait()?;
        match event {
            Event::Nothing => wait()?,
            Event::Killed => {
                self.daemon.kill()?;
                wait()?;
                self.daemon.start_again()?;
            }
            Event::Replaced => {
                self.daemon.terminate()?;
                self.daemon.start_again()?;
            }
            Event::BackendKilled => {
                drop(self.servers.remove(0));
                self.wait_first("down")?;
            }
        }
        wait()?;
        let [one, new] = probers;
        let seen = [one.stop()?, new.stop()?];
        if event == Event::BackendKilled {
            self.servers.insert(0, EchoServer::start(&self.topology.servers[0])?);
        }
        self.wait_first("active")?;
        Ok(seen)
    }

    fn wait_first(&self, state: &str) -> Result<()> {
        self.daemon.wait_backend(SERVICE, &self.topology.servers[0].name, state)
    }
}

fn rows(mode: Mode, event: Event, seen: &[[Seen; 2]], quiet: &[[Seen; 2]]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, flows) in ["one flow", "new flows"].into_iter().enumerate() {
        let what = format!("{}: {}, {flows}", mode.name(), event.name());
        let gap = |seen: &[[Seen; 2]]| {
            median(&seen.iter().map(|seen| milliseconds(seen[index].gap)).collect::<Vec<_>>())
        };
        let lost = |seen: &[[Seen; 2]]| seen.iter().map(|seen| seen[index].lost).sum::<u64>();
        let asked: u64 = seen.iter().map(|seen| seen[index].asked).sum();
        // One gap of a few rounds: no ratio of such figures is the same twice.
        let row = Row::new(format!("{what}: longest gap"), "ms", gap(seen));
        rows.push(row.note(format!("{:.1} ms when nothing happens", gap(quiet))));
        let row = Row::new(format!("{what}: lost"), "questions", number(lost(seen)));
        let row = row.note(format!("of {asked}; {} when nothing happens", lost(quiet)));
        // Forwarding does not depend on lbd.
        let unharmed = matches!(event, Event::Killed | Event::Replaced);
        rows.push(if unharmed { row.target(Target::AtMost(0.0)) } else { row });
    }
    rows
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}
