//! The same load over several ways, in interleaved rounds.

use std::time::Duration;

use anyhow::{Context, Result};
use lb_tests::topology::{Family, Topology};

use super::{
    client::Client,
    napi::NapiThreads,
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
    /// At a fixed rate.
    pub latencies: Latencies,
    client: Client,
    _servers: Servers,
    ground: Ground,
}

/// A figure of a runner, round by round.
pub type Figure = fn(&Runner) -> &[f64];

/// All of the ways.
#[derive(Debug)]
pub struct Contest {
    runners: Vec<Runner>,
}

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
            let client = Client::open(&ground, family)?;
            Ok(Runner {
                kept: Vec::new(),
                anew: Vec::new(),
                core: Vec::new(),
                bulk: Vec::new(),
                latencies: Latencies::default(),
                client,
                _servers: servers,
                ground,
            })
        };
        Ok(Self { runners: grounds.into_iter().map(runner).collect::<Result<_>>()? })
    }

    /// One round of requests at full speed, on kept and on new connections.
    ///
    /// # Errors
    ///
    /// If a connection breaks.
    pub fn ask(&mut self, time: Duration) -> Result<()> {
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

    /// One round at a fixed rate.
    ///
    /// # Errors
    ///
    /// If a connection breaks.
    pub fn ask_at(&mut self, rate: u32, time: Duration) -> Result<()> {
        for runner in &mut self.runners {
            runner.latencies.merge(open_loop::ask(&mut runner.client, rate, time)?);
        }
        Ok(())
    }

    /// One download each.
    ///
    /// # Errors
    ///
    /// If a connection breaks.
    pub fn download(&mut self) -> Result<()> {
        for runner in &mut self.runners {
            let took = runner.client.download(u64::from(BULK))?;
            runner.bulk.push(f64::from(BULK) / 1e6 / took.as_secs_f64());
        }
        Ok(())
    }

    /// Rounds of requests on kept connections while the balancers' interfaces are polled by threads of their own, whose time is taken.
    ///
    /// # Errors
    ///
    /// If a connection breaks, or the kernel has no such threads.
    pub fn balancer_time(&mut self, rounds: usize, time: Duration) -> Result<()> {
        // Those of the neighbours, too: otherwise what they do when they receive is done in the balancer's.
        let threads = |runner: &Runner| -> Result<[NapiThreads; 4]> {
            let Topology { balancer, client, switch, .. } = &runner.ground.topology;
            Ok([
                NapiThreads::start(balancer, "eth0")?,
                NapiThreads::start(balancer, "eth1")?,
                NapiThreads::start(client, "eth0")?,
                NapiThreads::start(switch, "balancer")?,
            ])
        };
        let threads = self.runners.iter().map(threads).collect::<Result<Vec<_>>>()?;
        for _ in 0..rounds {
            for (runner, threads) in self.runners.iter_mut().zip(&threads) {
                let spent = |ground: &Ground| -> Result<Duration> {
                    Ok(threads[0].cpu_time()? + threads[1].cpu_time()? + ground.process_time()?)
                };
                let before = spent(&runner.ground)?;
                let requests = runner.client.ask(time)?.requests;
                let took = spent(&runner.ground)?.saturating_sub(before);
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
}
