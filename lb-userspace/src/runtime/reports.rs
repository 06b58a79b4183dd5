//! What health checks tell control, without waiting for it: a check that came late would take a backend for one that does not answer.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::control::{Event, Handle};

/// Events that wait, the last one of each `K`.
#[derive(Debug)]
pub(super) struct Reports<K> {
    waiting: Mutex<Waiting<K, Event>>,
    more: Notify,
}

impl<K: Clone + Eq + Hash> Reports<K> {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(Waiting::default()), more: Notify::new() }
    }

    /// Has an event told. One about the same that was not told yet is not told any more.
    pub(super) fn add(&self, key: K, event: Event) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).add(key, event);
        self.more.notify_one();
    }

    /// Tells what is added, until control ends.
    pub(super) async fn tell(&self, control: &Handle) {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            match next {
                None => self.more.notified().await,
                Some(event) => {
                    if control.report(event).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
struct Waiting<K, V> {
    order: VecDeque<K>,
    values: HashMap<K, V>,
}

impl<K, V> Default for Waiting<K, V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), values: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Waiting<K, V> {
    fn add(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
    }

    /// The one that has waited longest.
    fn take(&mut self) -> Option<V> {
        self.values.remove(&self.order.pop_front()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_each_is_told_in_the_order_of_the_first() {
        let mut waiting = Waiting::default();
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5)] {
            waiting.add(key, value);
        }
        let told: Vec<i32> = std::iter::from_fn(|| waiting.take()).collect();
        assert_eq!(told, [5, 2, 4]);
        waiting.add("a", 6);
        assert_eq!(waiting.take(), Some(6), "it was told before, and is again");
    }

    #[test]
    fn no_more_waits_than_there_are_backends() {
        let mut waiting = Waiting::default();
        for flap in 0..1000 {
            waiting.add(flap % 7, flap);
        }
        assert_eq!((waiting.order.len(), waiting.values.len()), (7, 7));
    }
}
