//! Connections that stay: they exchange numbered messages all the time and notice any loss.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    background::{Background, Enough},
    http::connect,
};
use crate::{clock, netns::Netns};

/// Which connections.
#[derive(Clone, Debug)]
pub struct Long {
    /// Where to connect: an echo server.
    pub target: SocketAddr,
    /// Addresses the connections come from, in turn.
    pub sources: Vec<IpAddr>,
    /// Number of connections.
    pub count: usize,
    /// Pause between two messages of a connection.
    pub pause: Duration,
}

/// What became of the connections.
#[derive(Clone, Debug, Default)]
pub struct LongReport {
    /// Connections that were established.
    pub connected: usize,
    /// Messages that came back unchanged and in order.
    pub exchanged: u64,
    /// The longest time a message took to come back.
    pub slowest: Duration,
    /// Connections that broke or never came to be, and how; after the name of the server, if it is known.
    pub broken: Vec<String>,
    /// Connections that were established, by the name of the server.
    pub servers: BTreeMap<String, usize>,
}

/// Connections under way. Closed on drop.
#[derive(Debug)]
pub struct LongConnections {
    shared: Arc<Shared>,
    thread: Background<()>,
}

impl LongConnections {
    /// Opens the connections from a namespace and waits until all are there.
    ///
    /// # Errors
    ///
    /// If one cannot be opened.
    pub fn open(netns: &Netns, long: &Long) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let (worker, plan) = (Arc::clone(&shared), long.clone());
        let thread = Background::start(netns, shared.enough.clone(), move || work(&worker, &plan));
        let connections = Self { shared, thread };
        clock::wait_until("long connections", LIMIT, || {
            let report = connections.report();
            report.connected == long.count || !report.broken.is_empty()
        })?;
        let broken = connections.report().broken;
        anyhow::ensure!(broken.is_empty(), "connections could not be opened: {}", broken.join("; "));
        Ok(connections)
    }

    /// The counts so far.
    #[must_use]
    pub fn report(&self) -> LongReport {
        self.shared.lock().clone()
    }

    /// Waits until so many more messages have been exchanged.
    ///
    /// # Errors
    ///
    /// If that takes longer than 20 seconds.
    pub fn wait_more(&self, count: u64) -> Result<()> {
        let enough = self.report().exchanged + count;
        clock::wait_until("messages on long connections", Duration::from_secs(20), || {
            self.report().exchanged >= enough
        })
    }

    /// Closes the connections and gives the final counts.
    #[must_use]
    pub fn close(mut self) -> LongReport {
        self.thread.stop();
        self.report()
    }
}

/// A message must be back within this time; TCP's own repetitions count as slow, not as broken.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Shared {
    enough: Enough,
    report: Mutex<LongReport>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, LongReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shared: &Arc<Shared>, plan: &Long) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no event loop for the connections: {error}"),
    };
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for source in plan.sources.iter().copied().cycle().take(plan.count) {
            let (shared, target, pause) = (Arc::clone(shared), plan.target, plan.pause);
            tasks.spawn(async move {
                if let Err(error) = converse(&shared, target, source, pause).await {
                    shared.lock().broken.push(error.to_string());
                }
            });
        }
        tasks.join_all().await;
    });
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing came back within {LIMIT:?}"))
}

async fn converse(shared: &Shared, target: SocketAddr, source: IpAddr, pause: Duration) -> io::Result<()> {
    let mut stream = BufReader::new(timeout(LIMIT, connect(target, source)).await.map_err(|_| late())??);
    let mut name = String::new();
    timeout(LIMIT, stream.read_line(&mut name)).await.map_err(|_| late())??;
    let name = name.trim_end();
    {
        let mut report = shared.lock();
        report.connected += 1;
        *report.servers.entry(name.to_owned()).or_default() += 1;
    }
    let talk = talk(shared, &mut stream, pause).await;
    talk.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
}

async fn talk(shared: &Shared, stream: &mut BufReader<TcpStream>, pause: Duration) -> io::Result<()> {
    for number in 0_u64.. {
        if shared.enough.is_said() {
            break;
        }
        let start = clock::now();
        stream.get_mut().write_all(&number.to_be_bytes()).await?;
        let echoed = timeout(LIMIT, stream.read_u64()).await.map_err(|_| late())??;
        if echoed != number {
            return Err(io::Error::other(format!("message {number} came back as {echoed}")));
        }
        {
            let mut report = shared.lock();
            report.exchanged += 1;
            report.slowest = report.slowest.max(start.elapsed());
        }
        sleep(pause).await;
    }
    Ok(())
}
