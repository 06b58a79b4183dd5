//! The checker: a state machine without I/O that decides when to probe and when a backend goes up or down.
//!
//! Feed it with [`Checker::set_targets`], [`Checker::handle_timeout`] and [`Checker::handle_result`]; after each, take all of
//! [`Checker::poll_command`] and sleep until [`Checker::poll_timeout`]. `now` is the time since any fixed moment and never
//! goes back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    time::Duration,
};

use super::{Outcome, Reason};
use crate::model::{Health, Probe, Shared};

/// How a target is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Between the starts of two probes.
    pub interval: Duration,
    /// After which a probe counts as failed.
    pub timeout: Duration,
    /// Successes in a row that bring a backend back; at least 1.
    pub rise: u32,
    /// Failures in a row that take it out; at least 1.
    pub fall: u32,
}

/// What is probed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the backend is probed.
    pub address: SocketAddr,
    /// What is done there.
    pub probe: Shared<Probe>,
    /// When and how often.
    pub policy: Policy,
}

/// Identifies one probe; never reused by a [`Checker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(u64);

/// What the checker wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<K> {
    /// Probe the target and hand the outcome to [`Checker::handle_result`] after its policy's timeout at the latest.
    Start {
        /// To be handed back with the outcome.
        probe: ProbeId,
        /// What to probe, and how.
        target: Target,
    },
    /// The outcome is of no interest any more.
    Cancel {
        /// The probe.
        probe: ProbeId,
    },
    /// A target's health changed.
    Change {
        /// The target.
        key: K,
        /// Its health from now on.
        health: Health,
        /// Why it is not up.
        reason: Option<Reason>,
    },
}

/// What is known of one target.
#[derive(Debug)]
struct Tracked {
    target: Target,
    health: Health,
    successes: u32,
    failures: u32,
    next_start: Duration,
    in_flight: Option<ProbeId>,
}

/// The state machine; `K` names a target.
#[derive(Debug)]
pub struct Checker<K> {
    targets: BTreeMap<K, Tracked>,
    schedule: BTreeSet<(Duration, K)>,
    probes: BTreeMap<ProbeId, K>,
    commands: VecDeque<Command<K>>,
    last_probe: u64,
}

impl<K> Default for Checker<K> {
    fn default() -> Self {
        Self {
            targets: BTreeMap::new(),
            schedule: BTreeSet::new(),
            probes: BTreeMap::new(),
            commands: VecDeque::new(),
            last_probe: 0,
        }
    }
}

impl<K: Clone + Ord + Hash> Checker<K> {
    /// Replaces the set of targets. A target whose address is unchanged keeps its health and its counts; one whose address
    /// changed starts over as [`Health::Unknown`].
    pub fn set_targets(&mut self, now: Duration, targets: impl IntoIterator<Item = (K, Target)>) {
        let wanted: BTreeMap<K, Target> = targets.into_iter().collect();
        let gone: Vec<K> = self
            .targets
            .iter()
            .filter(|(key, tracked)| {
                wanted.get(*key).is_none_or(|target| target.address != tracked.target.address)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.remove(&key);
        }
        for (key, target) in wanted {
            self.set_target(now, key, target);
        }
    }

    /// Starts the probes that are due.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((due, _)) = self.schedule.first()
            && *due <= now
        {
            if let Some((_, key)) = self.schedule.pop_first() {
                self.start(now, key);
            }
        }
    }

    /// Takes the outcome of a probe. Outcomes of cancelled and unknown probes are ignored.
    pub fn handle_result(&mut self, now: Duration, probe: ProbeId, outcome: Outcome) {
        let Some(key) = self.probes.remove(&probe) else { return };
        let Some(tracked) = self.targets.get_mut(&key) else { return };
        tracked.in_flight = None;
        if let Some(health) = tracked.judge(&outcome) {
            let reason = outcome.reason();
            self.commands.push_back(Command::Change { key, health, reason });
        }
        self.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.schedule.first().map(|(due, _)| *due)
    }

    /// The next thing to do; `None`: nothing for now.
    pub fn poll_command(&mut self) -> Option<Command<K>> {
        self.commands.pop_front()
    }

    /// The health of a target; `None` if it is not checked.
    #[must_use]
    pub fn health(&self, key: &K) -> Option<Health> {
        self.targets.get(key).map(|tracked| tracked.health)
    }

    fn set_target(&mut self, now: Duration, key: K, target: Target) {
        match self.targets.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                let tracked = entry.get_mut();
                if tracked.target.policy.interval != target.policy.interval {
                    self.schedule.remove(&(tracked.next_start, key.clone()));
                    tracked.next_start = now + offset(&key, target.policy.interval);
                    self.schedule.insert((tracked.next_start, key));
                }
                tracked.target = target;
            }
            Entry::Vacant(entry) => {
                let next_start = now + offset(&key, target.policy.interval);
                entry.insert(Tracked {
                    target,
                    health: Health::Unknown,
                    successes: 0,
                    failures: 0,
                    next_start,
                    in_flight: None,
                });
                self.schedule.insert((next_start, key));
            }
        }
    }

    fn remove(&mut self, key: &K) {
        let Some(tracked) = self.targets.remove(key) else { return };
        self.schedule.remove(&(tracked.next_start, key.clone()));
        if let Some(probe) = tracked.in_flight {
            self.probes.remove(&probe);
            self.commands.push_back(Command::Cancel { probe });
        }
    }

    fn start(&mut self, now: Duration, key: K) {
        let Some(tracked) = self.targets.get_mut(&key) else { return };
        // Keep the phase, so that targets stay spread, and skip what was missed: a late daemon must not probe in bursts.
        let interval = tracked.target.policy.interval.max(Duration::from_millis(1));
        let missed = (now - tracked.next_start).as_nanos() / interval.as_nanos();
        tracked.next_start += interval * u32::try_from(missed + 1).unwrap_or(u32::MAX);
        self.schedule.insert((tracked.next_start, key.clone()));
        if tracked.in_flight.is_some() {
            return;
        }
        self.last_probe += 1;
        let probe = ProbeId(self.last_probe);
        tracked.in_flight = Some(probe);
        self.probes.insert(probe, key);
        self.commands.push_back(Command::Start { probe, target: tracked.target.clone() });
    }
}

impl Tracked {
    /// Counts an outcome; the new health if it changed.
    fn judge(&mut self, outcome: &Outcome) -> Option<Health> {
        let health = match outcome {
            Outcome::Healthy => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes < self.target.policy.rise {
                    return None;
                }
                Health::Up
            }
            Outcome::Failed(_) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                if self.failures < self.target.policy.fall {
                    return None;
                }
                Health::Down
            }
            // Says nothing about the backend.
            Outcome::NotTried(_) => return None,
        };
        (health != self.health).then(|| {
            self.health = health;
            health
        })
    }
}

/// A moment within the interval that depends on the target alone: the starts of many targets spread evenly.
fn offset<K: Hash>(key: &K, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let nanos = (u128::from(hasher.finish()) * interval.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
