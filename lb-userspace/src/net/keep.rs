//! Which neighbours are to be resolved, and when.
//!
//! Backends and gateways are kept resolved all the time, since the kernel does not see the traffic that would keep them fresh.
//! Others are resolved when the data path misses them, which strangers can provoke: that is limited.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

/// Between two attempts for one neighbour.
const AGAIN: Duration = Duration::from_millis(200);
/// Attempts per second that strangers can cause, and in a burst.
const RATE: u32 = 200;
/// Neighbours whose last attempt is remembered.
const MOST: usize = 1024;

/// A neighbour: interface index and address.
pub type NeighbourKey = (u32, IpAddr);

/// What is to be done about a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Have the kernel resolve it and keep it resolved.
    Keep(NeighbourKey),
    /// Leave it to the kernel again.
    Release(NeighbourKey),
    /// Have the kernel resolve it once.
    Resolve(NeighbourKey),
}

/// The decisions.
#[derive(Debug, Default)]
pub struct KeepResolved {
    kept: BTreeSet<NeighbourKey>,
    attempts: HashMap<NeighbourKey, Duration>,
    window: Duration,
    in_window: u32,
}

impl KeepResolved {
    /// Replaces the set of neighbours to keep resolved.
    pub fn set(&mut self, wanted: BTreeSet<NeighbourKey>) -> Vec<Action> {
        let released = self.kept.difference(&wanted).copied().map(Action::Release);
        let kept = wanted.iter().copied().map(Action::Keep);
        let actions = released.chain(kept).collect();
        self.kept = wanted;
        actions
    }

    /// The data path missed a neighbour.
    pub fn handle_missing(&mut self, now: Duration, key: NeighbourKey) -> Option<Action> {
        if self.attempts.get(&key).is_some_and(|last| now < *last + AGAIN) {
            return None;
        }
        let kept = self.kept.contains(&key);
        if !kept && !self.within_rate(now) {
            return None;
        }
        if self.attempts.len() >= MOST {
            self.attempts.retain(|_, last| now < *last + AGAIN);
        }
        self.attempts.insert(key, now);
        Some(if kept { Action::Keep(key) } else { Action::Resolve(key) })
    }

    /// The kernel no longer has an entry, or its resolution failed; a neighbour that is to be kept is asked for again.
    pub fn handle_lost(&mut self, now: Duration, key: NeighbourKey) -> Option<Action> {
        if self.kept.contains(&key) { self.handle_missing(now, key) } else { None }
    }

    /// All neighbours to be kept: for kernels that do not keep them by themselves, and to be sure.
    pub fn refresh(&self) -> impl Iterator<Item = Action> {
        self.kept.iter().copied().map(Action::Keep)
    }

    fn within_rate(&mut self, now: Duration) -> bool {
        if now >= self.window + Duration::from_secs(1) {
            (self.window, self.in_window) = (now, 0);
        }
        self.in_window += 1;
        self.in_window <= RATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> NeighbourKey {
        (2, IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn the_set_is_kept_and_what_left_it_is_released() {
        let mut keep = KeepResolved::default();
        assert_eq!(keep.set([key(1), key(2)].into()), [Action::Keep(key(1)), Action::Keep(key(2))]);
        assert_eq!(keep.set([key(2)].into()), [Action::Release(key(1)), Action::Keep(key(2))]);
        assert_eq!(keep.refresh().collect::<Vec<_>>(), [Action::Keep(key(2))]);
    }

    #[test]
    fn a_missing_neighbour_is_resolved_again_only_after_a_while() {
        let mut keep = KeepResolved::default();
        keep.set([key(1)].into());
        let now = Duration::from_secs(9);
        assert_eq!(keep.handle_missing(now, key(1)), Some(Action::Keep(key(1))));
        assert_eq!(keep.handle_missing(now, key(2)), Some(Action::Resolve(key(2))));
        assert_eq!(keep.handle_missing(now, key(2)), None);
        assert_eq!(keep.handle_missing(now + AGAIN, key(2)), Some(Action::Resolve(key(2))));
        assert_eq!(keep.handle_lost(now + AGAIN, key(3)), None, "nobody wants it");
        assert_eq!(keep.handle_lost(now + AGAIN, key(1)), Some(Action::Keep(key(1))));
    }

    #[test]
    fn strangers_cause_a_limited_number_of_attempts_and_do_not_hinder_backends() {
        let mut keep = KeepResolved::default();
        keep.set([key(1)].into());
        let now = Duration::from_secs(9);
        let attempts = (0..u32::from(u16::MAX))
            .filter(|n| {
                keep.handle_missing(now, (2, IpAddr::from((0x0a01_0000 + n).to_be_bytes()))).is_some()
            })
            .count();
        assert_eq!(attempts, RATE as usize);
        assert!(keep.attempts.len() <= MOST);
        assert_eq!(keep.handle_missing(now, key(1)), Some(Action::Keep(key(1))));
        assert!(keep.handle_missing(now + Duration::from_secs(1), key(9)).is_some());
    }
}
