//! What a capture gets: packets through a queue that is bounded, and what became of all others.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use lb_common::abi::CaptureCounters;
use tokio::sync::mpsc;

use super::Packet;

/// Bytes that may wait for who reads a capture.
const WAITING: usize = 16 << 20;
/// Fewest and most packets that may wait.
const FEWEST: usize = 256;
const MOST: usize = 16_384;
/// Bytes that a packet takes beside its copies.
const HEAD: usize = 192;

/// Why there is no capture.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CaptureRefused {
    /// There are as many as there may be.
    #[error("{0} captures are under way, which is the limit; end one of them, or wait")]
    TooMany(u32),
    /// It cannot be made.
    #[error("{0}")]
    Failed(String),
}

/// What became of a capture's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of the data path.
    pub data_path: CaptureCounters,
    /// Copied, but lost as who reads was too slow.
    pub behind: u64,
}

/// The way to a capture's reader.
#[derive(Debug)]
pub struct Queue {
    packets: mpsc::Sender<Arc<Packet>>,
    behind: Arc<AtomicU64>,
}

/// A capture. It ends when this is dropped.
pub struct Feed {
    /// Its number.
    pub number: u64,
    packets: mpsc::Receiver<Arc<Packet>>,
    behind: Arc<AtomicU64>,
    counters: Box<dyn Fn() -> CaptureCounters + Send + Sync>,
    /// Ends it in the data path.
    _end: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("packets", &self.packets).finish_non_exhaustive()
    }
}

impl Queue {
    /// One for frames of at most `snap` bytes, and where it leads to.
    #[must_use]
    pub fn new(snap: u32) -> (Self, Outlet) {
        let size = (WAITING / (HEAD + 2 * snap as usize)).clamp(FEWEST, MOST);
        let ((sender, receiver), behind) = (mpsc::channel(size), Arc::new(AtomicU64::new(0)));
        (Self { packets: sender, behind: Arc::clone(&behind) }, Outlet { packets: receiver, behind })
    }

    /// Hands a packet on, or counts it as lost.
    pub fn put(&self, packet: Arc<Packet>) {
        if self.packets.try_send(packet).is_err() {
            self.behind.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end of a queue.
#[derive(Debug)]
pub struct Outlet {
    packets: mpsc::Receiver<Arc<Packet>>,
    behind: Arc<AtomicU64>,
}

impl Outlet {
    /// A capture with its number and its counters, and what ends it when it is dropped.
    #[must_use]
    pub fn feed(
        self,
        number: u64,
        counters: impl Fn() -> CaptureCounters + Send + Sync + 'static,
        end: impl Send + Sync + 'static,
    ) -> Feed {
        let Self { packets, behind } = self;
        Feed { number, packets, behind, counters: Box::new(counters), _end: Box::new(end) }
    }
}

impl Feed {
    /// Waits for the next packet; `None`: it was stopped.
    pub async fn next(&mut self) -> Option<Arc<Packet>> {
        self.packets.recv().await
    }

    /// The next packet, if there is one already.
    pub fn try_next(&mut self) -> Option<Arc<Packet>> {
        self.packets.try_recv().ok()
    }

    /// What became of all packets so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { data_path: (self.counters)(), behind: self.behind.load(Ordering::Relaxed) }
    }
}
