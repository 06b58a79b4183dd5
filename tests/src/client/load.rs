//! Many requests at once, each over a connection of its own.

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Builder, task::JoinSet, time::sleep};

use super::{
    Report,
    background::{Background, Enough},
};
use crate::{clock, netns::Netns};

/// A kind of request.
pub trait Request: Clone + Send + Sync + 'static {
    /// Makes the request with a number that is unique in the load, from one of the client's addresses; gives the name of the
    /// server that answered, or why there was no good answer.
    fn make(&self, source: IpAddr, number: u64) -> impl Future<Output = Result<String, String>> + Send;
}

/// How much load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Requests under way at a time.
    pub concurrency: u32,
    /// Pause of each of these after a request.
    pub pause: Duration,
    /// Addresses the requests come from, in turn.
    pub sources: Vec<IpAddr>,
}

impl Load {
    /// As fast as it goes, 16 at a time.
    #[must_use]
    pub fn full(sources: Vec<IpAddr>) -> Self {
        Self { concurrency: 16, pause: Duration::ZERO, sources }
    }

    /// More than 2000 requests per second.
    #[must_use]
    pub fn brisk(sources: Vec<IpAddr>) -> Self {
        Self { concurrency: 32, pause: Duration::from_millis(11), sources }
    }

    /// About 800 requests per second, which leave time for others.
    #[must_use]
    pub fn steady(sources: Vec<IpAddr>) -> Self {
        Self { concurrency: 8, pause: Duration::from_millis(9), sources }
    }
}

/// Makes a number of requests from a namespace; gives up after [`MOST_FAILURES`].
pub fn run(netns: &Netns, request: &impl Request, load: &Load, count: u64) -> Report {
    let shared = Arc::new(Shared::new(count, MOST_FAILURES));
    netns.run(|| shared.work(request, load));
    shared.report()
}

/// Makes requests from a namespace until told to stop.
#[must_use]
pub fn start(netns: &Netns, request: &impl Request, load: &Load) -> Running {
    let shared = Arc::new(Shared::new(u64::MAX, u64::MAX));
    let (worker, request, load) = (Arc::clone(&shared), request.clone(), load.clone());
    let thread = Background::start(netns, shared.enough.clone(), move || worker.work(&request, &load));
    Running { shared, thread }
}

/// A load under way. Stops on drop.
pub struct Running {
    shared: Arc<Shared>,
    thread: Background<()>,
}

impl Running {
    /// The counts so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// Waits until so many more requests have been made, so that whatever happens next happens under load.
    ///
    /// # Errors
    ///
    /// If that takes longer than 20 seconds.
    pub fn wait_more(&self, count: u64) -> anyhow::Result<()> {
        let enough = self.report().total() + count;
        let what = format!("{count} more requests");
        clock::wait_until(&what, Duration::from_secs(20), || self.report().total() >= enough)
    }

    /// Lets the requests under way finish, and gives the final counts.
    #[must_use]
    pub fn stop(mut self) -> Report {
        self.thread.stop();
        self.report()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Running").field(&self.report()).finish()
    }
}

/// So many failures say enough, and each may take seconds.
pub const MOST_FAILURES: u64 = 32;

/// What the tasks of a load share.
struct Shared {
    count: u64,
    most_failures: u64,
    next: AtomicU64,
    enough: Enough,
    report: Mutex<Report>,
}

impl Shared {
    fn new(count: u64, most_failures: u64) -> Self {
        Self {
            count,
            most_failures,
            next: AtomicU64::new(0),
            enough: Enough::default(),
            report: Mutex::default(),
        }
    }

    fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn work(self: &Arc<Self>, request: &impl Request, load: &Load) {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no event loop for the clients: {error}"),
        };
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..load.concurrency {
                tasks.spawn(Arc::clone(self).repeat(request.clone(), load.clone()));
            }
            tasks.join_all().await;
        });
    }

    async fn repeat(self: Arc<Self>, request: impl Request, load: Load) {
        while !self.enough.is_said() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                break;
            }
            let source = load.sources[usize::try_from(number).unwrap_or(0) % load.sources.len()];
            let start = clock::now();
            let outcome = request.make(source, number).await;
            {
                let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
                report.count(outcome, start);
                if report.failed() >= self.most_failures {
                    break;
                }
            }
            sleep(load.pause).await;
        }
    }
}
