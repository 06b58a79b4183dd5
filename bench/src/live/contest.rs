//! The same load over several ways, in interleaved rounds.

use std::time::Duration;

use anyhow::{Context, Result};
use lb_tests::{
    napi::NapiThreads,
    topology::{Family, Topology},
};

use super::{
    client::Client,
    cpu,
    open_loop::{self, Latencies},
    rounds::paired_ratio,
    server::Servers,
    way::{Ground, Way},
};
use crate::{finding::Row, statistics::median};

/// A way with its servers and its client, and what was measured on it, round by round.
#[derive(Debug)]
pub struct Runner {
    /// Requests in a second on connections that are kept.
    pub kept: Vec<f64>,
    /// Requests in a second, each on a connection of its own.
    pub anew: Vec<f64>,
    /// Microseconds of the balancer for a request on a kept connection.
    pub core: Vec<f64>,
    /// Megabytes in a second on one connection.
    pub bulk: Vec<f64>,
    /// At a fixed rate: all rounds.
    pub latencies: Latencies,
    /// Microseconds at a fixed rate: the median of each round.
    pub typical: Vec<f64>,
    /// Microseconds at a fixed rate: the 99th percentile of each round.
    pub late: Vec<f64>,
    client: Client,
    servers: Servers,
    ground: Ground,
}

/// A figure of a runner, round by round.
pub type Figure = fn(&Runner) -> &[f64];

/// All of the ways.
#[derive(Debug)]
pub struct Contest {
    runners: Vec<Runner>,
    /// Rounds at a fixed rate so far.
    turn: usize,
}

/// The threads of an isolated balancer's interfaces, and of its neighbours'.
#[derive(Debug)]
struct Isolated {
    own: [NapiThreads; 2],
    _others: [NapiThreads; 2],
}

const BALANCER_CPU: usize = 1;
const OTHERS_CPU: usize = 0;
/// Client and servers keep to a core each: where the scheduler puts them makes more of a difference than most balancers.
const CLIENT_CPU: usize = 0;
const SERVERS_CPU: usize = 1;
/// Servers behind the balancer.
const SERVERS: u16 = 3;
/// Bytes of a download.
const BULK: u32 = 32 << 20;

impl Contest {
    /// Builds them.
    ///
    /// # Errors
    ///
    /// If a part does not start.
    pub fn build(ways: &[Way], family: Family) -> Result<Self> {
        let grounds = Ground::build_all(ways, SERVERS)?;
        let runner = |ground: Ground| -> Result<Runner> {
            let servers = Servers::start(&ground.topology)?;
            cpu::pin(servers.thread(), SERVERS_CPU)?;
            let client = Client::open(&ground, family)?;
            Ok(Runner {
                kept: Vec::new(),
                anew: Vec::new(),
                core: Vec::new(),
                bulk: Vec::new(),
                latencies: Latencies::default(),
                typical: Vec::new(),
                late: Vec::new(),
                client,
                servers,
                ground,
            })
        };
        Ok(Self { runners: grounds.into_iter().map(runner).collect::<Result<_>>()?, turn: 0 })
    }

    /// One round of requests at full speed, on kept and on new connections.
    ///
    /// # Errors
    ///
    /// If a connection breaks.
    pub fn ask(&mut self, time: Duration) -> Result<()> {
        let _pinned = cpu::Pinned::here(CLIENT_CPU)?;
        for runner in &mut self.runners {
            let asked = runner.client.ask(time).with_context(|| runner.ground.way.name())?;
            runner.kept.push(asked.rate());
        }
        for runner in &mut self.runners {
            runner.anew.push(runner.client.ask_anew(&runner.ground, time)?.rate());
        }
        Ok(())
    }

    /// Forgets what was measured to warm up.
    pub fn forget(&mut self) {
        for runner in &mut self.runners {
            runner.kept.clear();
            runner.anew.clear();
        }
    }

    /// One round at a fixed rate. Each begins with another way: what comes at regular times, as a scan of the flows, is not to hit the
    /// same way in every round.
    ///
    /// # Errors
    ///
    /// If a connection breaks.
    pub fn ask_at(&mut self, rate: u32, time: Duration) -> Result<()> {
        let _pinned = cpu::Pinned::here(CLIENT_CPU)?;
        self.turn += 1;
        let first = self.turn % self.runners.len().max(1);
        let (begin, end) = self.runners.split_at_mut(first);
        for runner in end.iter_mut().chain(begin) {
            let mut latencies = open_loop::ask(&mut runner.client, rate, time)?;
            runner.typical.push(latencies.percentile(0.5));
            runner.late.push(latencies.percentile(0.99));
            runner.latencies.merge(latencies);
        }
        Ok(())
    }

    /// One download each.
    ///
    /// # Errors
    ///
    /// If a connection breaks.
    pub fn download(&mut self) -> Result<()> {
        let _pinned = cpu::Pinned::here(CLIENT_CPU)?;
        for runner in &mut self.runners {
            let took = runner.client.download(u64::from(BULK))?;
            runner.bulk.push(f64::from(BULK) / 1e6 / took.as_secs_f64());
        }
        Ok(())
    }

    /// Rounds of requests on kept connections while each balancer is alone on a core: its interfaces are polled by threads, and their
    /// time is taken, and that of a proxy. All else, also what the neighbours receive, is on the first core. To be called last: what
    /// moved stays.
    ///
    /// # Errors
    ///
    /// If a connection breaks, or the kernel has no such threads.
    pub fn balancer_time(&mut self, rounds: usize, time: Duration) -> Result<()> {
        let threads = self.runners.iter().map(Runner::isolate).collect::<Result<Vec<_>>>()?;
        let _pinned = cpu::Pinned::here(OTHERS_CPU)?;
        for _ in 0..rounds {
            for (runner, threads) in self.runners.iter_mut().zip(&threads) {
                let before = runner.spent(threads)?;
                let requests = runner.client.ask(time)?.requests;
                let took = runner.spent(threads)?.saturating_sub(before);
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                runner.core.push(took.as_secs_f64() * 1e6 / requests as f64);
            }
        }
        Ok(())
    }

    /// The runners, in the order of the ways.
    pub fn runners(&mut self) -> &mut [Runner] {
        &mut self.runners
    }

    /// A row that holds a way's figure against that of a floor.
    #[must_use]
    pub fn row(&self, way: Way, floor: Way, what: &str, unit: &'static str, figure: Figure) -> Option<Row> {
        let of = |way: Way| self.runners.iter().find(|runner| runner.way() == way).map(figure);
        let (ours, base) = (of(way)?, of(floor)?);
        let what = format!("{}: {what}, floor {}", way.name(), floor.name());
        Some(Row::new(what, unit, median(ours)).paired(median(base), paired_ratio(ours, base)))
    }
}

impl Runner {
    /// Its way.
    #[must_use]
    pub fn way(&self) -> Way {
        self.ground.way
    }

    /// Gives the balancer a core, and all else the other.
    fn isolate(&self) -> Result<Isolated> {
        let Topology { balancer, client, switch, .. } = &self.ground.topology;
        let own = [NapiThreads::start(balancer, "eth0")?, NapiThreads::start(balancer, "eth1")?];
        // Otherwise the neighbours would receive in the thread that sends.
        let others = [NapiThreads::start(client, "eth0")?, NapiThreads::start(switch, "balancer")?];
        own.iter().try_for_each(|threads| threads.pin(BALANCER_CPU))?;
        others.iter().try_for_each(|threads| threads.pin(OTHERS_CPU))?;
        cpu::pin(self.servers.thread(), OTHERS_CPU)?;
        self.ground.pin(BALANCER_CPU)?;
        Ok(Isolated { own, _others: others })
    }

    fn spent(&self, isolated: &Isolated) -> Result<Duration> {
        let [a, b] = &isolated.own;
        Ok(a.cpu_time()? + b.cpu_time()? + self.ground.process_time()?)
    }
}
