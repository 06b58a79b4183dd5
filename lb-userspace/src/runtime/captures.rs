//! Captures: the program for them is loaded for the first and goes with the last, and each gets the packets that it wants.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use lb_common::{
    abi::{CAPTURES, CaptureCounters, CaptureFilter},
    maps,
};
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, oneshot},
};

use super::{Clock, network};
use crate::{
    api::{CaptureAbout, CaptureUnderWay},
    capture::{CaptureRefused, Counts, Feed, Outlet, Packet, Queue},
    loader::{CaptureProgram, LoaderError, Object, PinDirectory, Sizes},
    sys::{bpf::Map, readable},
};

/// For how long the data path copies without hearing of `lbd`.
const LEASE: Duration = Duration::from_secs(5);
/// How often it hears.
const RENEWAL: Duration = Duration::from_secs(1);
/// Records that are read at once, so that other tasks have their turn.
const AT_ONCE: usize = 512;

/// What reads one capture's counters.
type Reader = Arc<dyn Fn() -> CaptureCounters + Send + Sync>;

/// The captures under way.
#[derive(Clone, Default)]
pub(super) struct Captures(Arc<Shared>);

#[derive(Default)]
struct Shared {
    orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
    numbers: AtomicU64,
    under_way: Mutex<BTreeMap<u64, Shown>>,
}

/// What is shown of a capture.
struct Shown {
    about: CaptureAbout,
    began: Duration,
    counters: Reader,
}

impl std::fmt::Debug for Captures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captures").finish_non_exhaustive()
    }
}

/// What the task is asked for.
pub(super) enum Order {
    /// Begin a capture.
    Begin(Box<CaptureFilter>, CaptureAbout, oneshot::Sender<Result<Feed, CaptureRefused>>),
    /// Copy nothing more for it, and let it have what there is.
    Stop(u64),
    /// Nobody reads it any more.
    End(u64),
    /// Stop all.
    StopAll,
}

/// What the task works with.
pub(super) struct Means {
    pub(super) directory: PinDirectory,
    pub(super) object: Option<PathBuf>,
    pub(super) sizes: Sizes,
    pub(super) network: mpsc::Sender<network::Capture>,
    pub(super) clock: Clock,
}

impl Captures {
    /// The orders, for the task. To be taken once.
    pub(super) fn orders(&self) -> mpsc::UnboundedReceiver<Order> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.0.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Begins one; blocks until it does.
    pub(super) fn begin(&self, wanted: &CaptureFilter, about: CaptureAbout) -> Result<Feed, CaptureRefused> {
        let ends = || CaptureRefused::Failed("lbd is stopping".to_owned());
        let (done, begun) = oneshot::channel();
        if !self.order(Order::Begin(Box::new(*wanted), about, done)) {
            return Err(ends());
        }
        begun.blocking_recv().unwrap_or_else(|_| Err(ends()))
    }

    /// Lets one end; false: there is none with this number.
    pub(super) fn stop(&self, number: u64) -> bool {
        self.under_way(|under_way| under_way.contains_key(&number)) && self.order(Order::Stop(number))
    }

    /// Lets all end.
    pub(super) fn stop_all(&self) {
        self.order(Order::StopAll);
    }

    /// Those under way.
    pub(super) fn list(&self) -> Vec<CaptureUnderWay> {
        let now = Clock.now();
        self.under_way(|under_way| {
            let shown = under_way.iter().map(|(number, shown)| CaptureUnderWay {
                number: *number,
                about: shown.about.clone(),
                since: now.saturating_sub(shown.began),
                counts: Counts { data_path: (shown.counters)(), behind: 0 },
            });
            shown.collect()
        })
    }

    fn order(&self, order: Order) -> bool {
        let orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }

    fn under_way<T>(&self, act: impl FnOnce(&mut BTreeMap<u64, Shown>) -> T) -> T {
        act(&mut self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends a capture when its feed is dropped.
struct End(Captures, u64);

impl Drop for End {
    fn drop(&mut self) {
        self.0.under_way(|under_way| drop(under_way.remove(&self.1)));
        self.0.order(Order::End(self.1));
    }
}

/// Serves captures until the daemon ends.
pub(super) async fn run(captures: Captures, mut orders: mpsc::UnboundedReceiver<Order>, means: Means) {
    let clock = means.clock;
    let mut task = Task { captures, means, running: None };
    let mut renewal = clock.now() + RENEWAL;
    loop {
        let ring = async {
            match &mut task.running {
                Some(running) => running.drain().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => task.take(order).await,
                None => return,
            },
            () = ring => {}
            () = clock.sleep_until(Some(renewal)) => {
                renewal = clock.now() + RENEWAL;
                if let Some(running) = &mut task.running {
                    running.renew(clock);
                }
            }
        }
    }
}

struct Task {
    captures: Captures,
    means: Means,
    running: Option<Running>,
}

/// The program for captures is on the interfaces.
struct Running {
    ring: AsyncFd<RingBuf<MapData>>,
    filters: Map,
    rates: Map,
    counters: Arc<Map>,
    slots: [Option<Slot>; CAPTURES as usize],
}

/// One capture.
struct Slot {
    number: u64,
    filter: CaptureFilter,
    /// `None`: it was stopped, but is read yet.
    queue: Option<Queue>,
}

impl Task {
    async fn take(&mut self, order: Order) {
        match order {
            Order::Begin(filter, about, done) => {
                let begun = self.begin(*filter, about).await;
                // Who asked may be gone: then the feed ends with this.
                drop(done.send(begun));
            }
            Order::Stop(number) => self.stop(|slot| slot.number == number),
            Order::StopAll => self.stop(|_| true),
            Order::End(number) => {
                self.stop(|slot| slot.number == number);
                let Some(running) = &mut self.running else { return };
                for slot in &mut running.slots {
                    slot.take_if(|slot| slot.number == number);
                }
                if running.slots.iter().all(Option::is_none) {
                    self.running = None;
                    if let Err(error) = self.switch(None).await {
                        tracing::error!(%error, "cannot take the program that captures off the interfaces");
                    }
                }
            }
        }
    }

    async fn begin(&mut self, filter: CaptureFilter, about: CaptureAbout) -> Result<Feed, CaptureRefused> {
        let refused =
            |error: &dyn std::fmt::Display| CaptureRefused::Failed(format!("cannot capture: {error}"));
        if self.running.is_none() {
            self.running = Some(self.start().await.map_err(|error| refused(&error))?);
        }
        let number = self.captures.0.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let clock = self.means.clock;
        let Some(running) = &mut self.running else { return Err(refused(&"it ended")) };
        let (outlet, counters) = running.open(number, filter, clock)?;
        let read = Arc::clone(&counters);
        let shown = Shown { about, began: clock.now(), counters };
        self.captures.under_way(|under_way| drop(under_way.insert(number, shown)));
        Ok(outlet.feed(number, move || read(), End(self.captures.clone(), number)))
    }

    /// Loads the program, and puts it on the interfaces.
    async fn start(&self) -> Result<Running, LoaderError> {
        let Means { directory, object, sizes, .. } = &self.means;
        let (directory, object, sizes) = (directory.clone(), object.clone(), sizes.clone());
        let load = move || CaptureProgram::load(&directory, &Object::read(object.as_deref())?, &sizes);
        let failed = |error: &dyn std::fmt::Display| LoaderError::Load { reason: error.to_string() };
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| failed(&error))?;
        let mut program = loaded?;
        let ring = readable::ring_buffer(program.ring()?).map_err(|error| failed(&error))?;
        let running = Running {
            ring,
            filters: program.map(maps::CAPTURES)?,
            rates: program.map(maps::CAPTURE_RATES)?,
            counters: Arc::new(program.map(maps::CAPTURE_COUNTERS)?),
            slots: Default::default(),
        };
        self.switch(Some(program)).await?;
        Ok(running)
    }

    async fn switch(&self, program: Option<CaptureProgram>) -> Result<(), LoaderError> {
        let ends = || LoaderError::Load { reason: "lbd is stopping".to_owned() };
        let (done, switched) = oneshot::channel();
        self.means.network.send(network::Capture { program, done }).await.map_err(|_| ends())?;
        switched.await.map_err(|_| ends())?
    }

    fn stop(&mut self, which: impl Fn(&Slot) -> bool) {
        let Some(Running { slots, filters, .. }) = &mut self.running else { return };
        for (index, slot) in (0_u32..).zip(slots) {
            if let Some(slot) = slot.as_mut().filter(|slot| slot.queue.is_some() && which(slot)) {
                slot.queue = None;
                told(filters.update(&index, &CaptureFilter::default()));
            }
        }
    }
}

impl Running {
    /// Begins a capture where there is room for one.
    fn open(
        &mut self,
        number: u64,
        filter: CaptureFilter,
        clock: Clock,
    ) -> Result<(Outlet, Reader), CaptureRefused> {
        let free = (0_u32..).zip(&mut self.slots).find(|(_, slot)| slot.is_none());
        let (index, slot) = free.ok_or(CaptureRefused::TooMany(CAPTURES))?;
        let (queue, outlet) = Queue::new(filter.snap);
        let waiting = CaptureFilter { until: 0, ..filter };
        let fresh = self
            .counters
            .update(&index, &CaptureCounters::default())
            .and_then(|()| self.rates.update(&index, &0_u64))
            .and_then(|()| self.filters.update(&index, &waiting));
        fresh
            .map_err(|error| CaptureRefused::Failed(format!("cannot write the maps of captures: {error}")))?;
        *slot = Some(Slot { number, filter, queue: Some(queue) });
        self.renew(clock);
        let counters = Arc::clone(&self.counters);
        Ok((outlet, Arc::new(move || sum(&counters, index))))
    }

    /// Lets the data path go on.
    fn renew(&mut self, clock: Clock) {
        let until = u64::try_from((clock.now() + LEASE).as_nanos()).unwrap_or(u64::MAX);
        for (index, slot) in (0_u32..).zip(&self.slots) {
            if let Some(slot) = slot.as_ref().filter(|slot| slot.queue.is_some()) {
                told(self.filters.update(&index, &CaptureFilter { until, ..slot.filter }));
            }
        }
    }

    /// Waits for packets, and hands them on.
    async fn drain(&mut self) {
        let Ok(mut ready) = self.ring.readable_mut().await else { return std::future::pending().await };
        let ring = ready.get_inner_mut();
        for _ in 0..AT_ONCE {
            let Some(record) = ring.next() else {
                ready.clear_ready();
                return;
            };
            let Some(packet) = Packet::read(&record).map(Arc::new) else { continue };
            for (index, slot) in self.slots.iter().enumerate() {
                if packet.captures() >> index & 1 != 0
                    && let Some(queue) = slot.as_ref().and_then(|slot| slot.queue.as_ref())
                {
                    queue.put(Arc::clone(&packet));
                }
            }
        }
    }
}

fn told(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "cannot write the maps of captures");
    }
}

/// The counters of all CPUs; 0 if they cannot be read.
fn sum(counters: &Map, index: u32) -> CaptureCounters {
    let each = counters.lookup_per_cpu::<u32, CaptureCounters>(&index).ok().flatten().unwrap_or_default();
    each.iter().fold(CaptureCounters::default(), |sum, one| CaptureCounters {
        looked_at: sum.looked_at + one.looked_at,
        wanted: sum.wanted + one.wanted,
        over_rate: sum.over_rate + one.over_rate,
        no_room: sum.no_room + one.no_room,
    })
}
