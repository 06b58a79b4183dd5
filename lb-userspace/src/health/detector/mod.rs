//! The detector: from what the data path counts to suspicions. No I/O and no clock: `now` is the time since any fixed moment and never goes
//! back.
//!
//! A suspicion has a backend checked at once, and changes nothing else: whoever can forge packets can raise suspicions. What is counted in
//! a window that slides along is compared with the rules of the service. After a suspicion the next one of the same backend
//! waits, twice as long each time while there is cause for one, so that a flood makes few checks.

mod counts;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use lb_common::abi::BackendSignals;

use self::counts::Counts;
use crate::model::{Passive, Reason};

/// How often [`Detector::observe`] is to be called. SYNs that were counted since the last call have as long to be answered.
pub const READ_EVERY: Duration = Duration::from_millis(250);

/// A window is counted in so many parts, as long as each is no shorter than [`READ_EVERY`].
const PARTS: u32 = 8;
/// Between two suspicions of one backend, at least.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How much longer the pause may become.
const LONGEST_PAUSE: u32 = 16;

/// A backend that may not be what its checks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion<K> {
    /// The backend.
    pub key: K,
    /// What was seen.
    pub reason: Reason,
    /// There was cause for one a moment ago, and still is.
    pub again: bool,
}

/// Watches backends; `K` names one.
#[derive(Debug)]
pub struct Detector<K>(Vec<Watched<K>>);

#[derive(Debug)]
struct Watched<K> {
    key: K,
    /// Its id in the maps.
    id: u32,
    rules: Passive,
    /// What was counted when it was looked at last.
    last: Option<Counts>,
    /// Nothing for most: they have neither traffic nor a suspicion behind them.
    recent: Option<Box<Recent>>,
}

/// What happened lately.
#[derive(Debug, Default)]
struct Recent {
    parts: VecDeque<Part>,
    /// No suspicion before this.
    quiet_until: Duration,
    /// The pause that ends or ended then; zero: none did for a while.
    pause: Duration,
}

/// What was counted in a part of the window.
#[derive(Clone, Copy, Debug)]
struct Part {
    began: Duration,
    ended: Duration,
    counts: Counts,
}

impl<K> Default for Detector<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Clone + Ord> Detector<K> {
    /// Replaces the set of watched backends, each with its id in the maps. One that was watched before goes on where it is.
    pub fn set_targets(&mut self, targets: impl IntoIterator<Item = (K, u32, Passive)>) {
        let mut before: BTreeMap<K, Watched<K>> =
            self.0.drain(..).map(|watched| (watched.key.clone(), watched)).collect();
        self.0.extend(targets.into_iter().map(|(key, id, rules)| match before.remove(&key) {
            Some(watched) if watched.id == id => Watched { rules, ..watched },
            _ => Watched { key, id, rules, last: None, recent: None },
        }));
    }

    /// Whether there is anything to watch.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks at what `signals` says that was counted for each id until now.
    pub fn observe(&mut self, now: Duration, signals: impl Fn(u32) -> BackendSignals) -> Vec<Suspicion<K>> {
        let mut suspicions = Vec::new();
        for watched in &mut self.0 {
            if let Some((reason, again)) = watched.observe(now, Counts::from(signals(watched.id))) {
                suspicions.push(Suspicion { key: watched.key.clone(), reason, again });
            }
        }
        suspicions
    }
}

impl<K> Watched<K> {
    fn observe(&mut self, now: Duration, counted: Counts) -> Option<(Reason, bool)> {
        let last = self.last.replace(counted);
        // What was counted before it was watched says nothing; counts that fell began anew.
        let fresh = last.and_then(|last| counted.since(last)).unwrap_or_default();
        if fresh.is_zero() && self.recent.is_none() {
            return None;
        }
        let recent = self.recent.get_or_insert_default();
        recent.count(now, fresh, self.rules.window);
        let cause = recent.cause(now, fresh, &self.rules);
        let raised = cause.and_then(|reason| Some((reason, recent.raise(now, self.rules.window)?)));
        if recent.is_over(now) {
            self.recent = None;
        }
        raised
    }
}

impl Recent {
    /// Adds what was counted until now, and forgets what is older than the window.
    fn count(&mut self, now: Duration, fresh: Counts, window: Duration) {
        while self.parts.pop_front_if(|part| part.ended + window <= now).is_some() {}
        if fresh.is_zero() {
            return;
        }
        match self.parts.back_mut() {
            Some(part) if now < part.began + window / PARTS => {
                part.counts = part.counts.plus(fresh);
                part.ended = now;
            }
            _ => self.parts.push_back(Part { began: now, ended: now, counts: fresh }),
        }
    }

    /// What is cause for a suspicion in the window or in an end of it: else the many connections from before the trouble began would hide
    /// the few that it leaves.
    fn cause(&self, now: Duration, fresh: Counts, rules: &Passive) -> Option<Reason> {
        let mut sum = Counts::default();
        self.parts.iter().rev().find_map(|part| {
            sum = sum.plus(part.counts);
            sum.cause(fresh, now.saturating_sub(part.began) + READ_EVERY, rules)
        })
    }

    /// Whether there is a suspicion now that there is cause for one, and whether it follows another.
    fn raise(&mut self, now: Duration, window: Duration) -> Option<bool> {
        if now < self.quiet_until {
            return None;
        }
        self.calm_down(now);
        let again = !self.pause.is_zero();
        let shortest = window.max(SHORTEST_PAUSE);
        self.pause = (self.pause * 2).clamp(shortest, shortest * LONGEST_PAUSE);
        self.quiet_until = now + self.pause;
        Some(again)
    }

    /// Who gave no cause for another pause after the last one is trusted again.
    fn calm_down(&mut self, now: Duration) {
        if self.quiet_until + self.pause <= now {
            self.pause = Duration::ZERO;
        }
    }

    fn is_over(&mut self, now: Duration) -> bool {
        self.calm_down(now);
        self.parts.is_empty() && self.pause.is_zero()
    }
}
