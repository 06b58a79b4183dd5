//! Who is served: a number of connections, of which those that only sit there make room for new ones.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// The seats for connections.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    state: Mutex<State>,
    /// A seat is free, or its holder idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Grows with every event: the order of events in place of their times.
    now: u64,
    holders: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    /// Since when no complete request is there; `None`: one is being worked on.
    idle_since: Option<u64>,
    evicted: Arc<Notify>,
}

/// A seat; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    number: u64,
    evicted: Arc<Notify>,
    longer: Arc<AtomicU64>,
}

/// Says of a connection that a request is being worked on. Part of the requests of that connection.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    shared: Arc<Shared>,
    number: u64,
    longer: Arc<AtomicU64>,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        let shared = Shared { limit, state: Mutex::default(), changed: Notify::new() };
        Self(Arc::new(shared))
    }

    /// A seat. Where all are taken, whoever has been idle for the longest time is sent away; where all are busy, this waits.
    pub(super) async fn take(&self) -> Seat {
        loop {
            let changed = self.0.changed.notified();
            if let Some(seat) = self.try_take() {
                return seat;
            }
            changed.await;
        }
    }

    fn try_take(&self) -> Option<Seat> {
        let mut state = self.0.lock();
        if state.holders.len() >= self.0.limit {
            let idle =
                state.holders.iter().filter_map(|(number, holder)| Some((holder.idle_since?, *number)));
            let (_, longest) = idle.min()?;
            let holder = state.holders.remove(&longest)?;
            holder.evicted.notify_one();
        }
        let number = state.tick();
        let evicted = Arc::new(Notify::new());
        let holder = Holder { idle_since: Some(number), evicted: Arc::clone(&evicted) };
        state.holders.insert(number, holder);
        Some(Seat { shared: Arc::clone(&self.0), number, evicted, longer: Arc::default() })
    }
}

impl Seat {
    /// Waits until somebody else gets the seat.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { shared: Arc::clone(&self.shared), number: self.number, longer: Arc::clone(&self.longer) }
    }

    /// How much longer its connection may live than others.
    pub(super) fn longer(&self) -> Duration {
        Duration::from_millis(self.longer.load(Ordering::Relaxed))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.lock().holders.remove(&self.number);
        self.shared.changed.notify_one();
    }
}

impl Progress {
    /// The answer takes so long: the connection may live for that much longer than others.
    pub(super) fn stay(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.longer.fetch_max(milliseconds, Ordering::Relaxed);
    }

    /// A request is complete: from now on the connection is not sent away.
    pub(super) fn busy(&self) {
        if let Some(holder) = self.shared.lock().holders.get_mut(&self.number) {
            holder.idle_since = None;
        }
    }

    /// It is answered.
    pub(super) fn idle(&self) {
        let mut state = self.shared.lock();
        let now = state.tick();
        if let Some(holder) = state.holders.get_mut(&self.number) {
            holder.idle_since = Some(now);
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn who_was_idle_for_the_longest_time_makes_room() {
        let seats = Seats::new(3);
        let [first, second, third] = [seats.take().await, seats.take().await, seats.take().await];
        first.progress().busy();
        second.progress().busy();
        second.progress().idle();
        let _fourth = seats.take().await;
        third.evicted().await;
        let _fifth = seats.take().await;
        second.evicted().await;
        timeout(SOON, first.evicted()).await.expect_err("it is busy");
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_busy_a_newcomer_waits() {
        let seats = Seats::new(1);
        let only = seats.take().await;
        only.progress().busy();
        timeout(SOON, seats.take()).await.expect_err("it waits");
        let progress = only.progress();
        let (_newcomer, ()) = tokio::join!(seats.take(), async { progress.idle() });
        only.evicted().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_sent_away_leaves_the_seat_of_the_next_alone() {
        let seats = Seats::new(1);
        let first = seats.take().await;
        let second = seats.take().await;
        second.progress().busy();
        first.progress().idle();
        drop(first);
        timeout(SOON, seats.take()).await.expect_err("the second is busy");
        drop(second);
        timeout(SOON, seats.take()).await.unwrap();
    }
}
