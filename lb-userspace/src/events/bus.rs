//! The log for several tasks: publishers never wait for subscribers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{Batch, EventCounts, Filter, Log, Notice, SubscriptionId, TooMany, Topic};
use crate::model::Timestamp;

/// Where events are published, and subscribed to.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    log: Log,
    waiting: HashMap<SubscriptionId, Arc<Notify>>,
    ended: bool,
}

/// A subscription; it ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    bus: Bus,
    id: SubscriptionId,
    waiting: Arc<Notify>,
}

impl Bus {
    /// A bus without events; `now` as for [`Log::new`].
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let shared = Shared { log: Log::new(now), waiting: HashMap::new(), ended: false };
        Self(Arc::new(Mutex::new(shared)))
    }

    /// Publishes notices in their order.
    pub fn publish(&self, at: Timestamp, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            self.publish_wanted(at, notice);
        }
    }

    /// Publishes a notice; whether anybody wants it.
    pub fn publish_wanted(&self, at: Timestamp, notice: Notice) -> bool {
        let mut shared = self.lock();
        let woken = shared.log.publish(at, notice);
        let is_wanted = woken.len() > 0;
        woken.filter_map(|subscription| shared.waiting.get(&subscription)).for_each(|one| one.notify_one());
        is_wanted
    }

    /// Whether somebody asks for a topic by name.
    #[must_use]
    pub fn asks_for(&self, topic: Topic) -> bool {
        self.lock().log.asks_for(topic)
    }

    /// Subscribes, see [`Log::subscribe`].
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn subscribe(&self, filter: &Filter, after: Option<u64>) -> Result<Subscription, TooMany> {
        let waiting = Arc::new(Notify::new());
        let mut shared = self.lock();
        let id = shared.log.subscribe(filter, after)?;
        shared.waiting.insert(id, Arc::clone(&waiting));
        Ok(Subscription { bus: self.clone(), id, waiting })
    }

    /// What was told so far.
    #[must_use]
    pub fn counts(&self) -> EventCounts {
        self.lock().log.counts()
    }

    /// Number of the next event.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.lock().log.next()
    }

    /// Lets subscribers have what waits for them, and no more.
    pub fn end(&self) {
        let mut shared = self.lock();
        shared.ended = true;
        shared.waiting.values().for_each(|one| one.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// What waits.
    #[must_use]
    pub fn take(&self) -> Option<Batch> {
        self.bus.lock().log.take(self.id)
    }

    /// Waits for events; `None`: there will be no more.
    pub async fn next(&self) -> Option<Batch> {
        loop {
            {
                let mut shared = self.bus.lock();
                if let Some(batch) = shared.log.take(self.id) {
                    return Some(batch);
                }
                if shared.ended {
                    return None;
                }
            }
            self.waiting.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shared = self.bus.lock();
        shared.waiting.remove(&self.id);
        shared.log.unsubscribe(self.id);
    }
}
