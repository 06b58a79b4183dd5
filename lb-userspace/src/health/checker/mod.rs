//! The checker: a state machine without I/O that decides when to probe and when a backend goes up or down.
//!
//! Feed it with [`Checker::set_targets`], [`Checker::handle_timeout`], [`Checker::handle_result`] and [`Checker::suspect`]; after
//! each, take all of [`Checker::poll_command`] and sleep until [`Checker::poll_timeout`]. `now` is the time since any fixed moment
//! and never goes back.

mod damping;
mod spread;
#[cfg(test)]
mod tests;
mod tracked;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use self::{
    spread::Spread,
    tracked::{Tracked, Verdict},
};
use super::Outcome;
use crate::model::{Damping, Health, Probe, Reason, Shared};

/// Between the probes that suspicions have made, all targets together: a burst of them is no burst of probes.
const SUSPECTS_APART: Duration = Duration::from_millis(1);
/// Between two such probes of one target, at least.
const SUSPECT_AGAIN: Duration = Duration::from_millis(100);

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
    /// Between the starts of two probes from the first outcome that contradicts what is known until the verdict; at most
    /// `interval`. A probe that takes longer is followed by the next at once.
    pub fast_interval: Duration,
    /// The same while the target is suspect.
    pub confirm_interval: Duration,
    /// How much later than its turn a probe may start.
    pub jitter: Duration,
    /// What is done about one that goes up and down.
    pub damping: Damping,
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
        /// Whose probe it is.
        key: K,
        /// What to probe, and how.
        target: Target,
    },
    /// The outcome is of no interest any more.
    Cancel {
        /// The probe.
        probe: ProbeId,
    },
    /// A target became suspect ([`Checker::suspect`]). What comes of it is its going down or [`Self::Clear`].
    Suspect {
        /// The target.
        key: K,
        /// Why.
        reason: Reason,
    },
    /// A probe that began after the target became suspect succeeded.
    Clear {
        /// The target.
        key: K,
    },
    /// A target's health changed, or it is down for another reason than before, or it cannot be checked, or can be again.
    Change {
        /// The target.
        key: K,
        /// Its health from now on.
        health: Health,
        /// Why it is not up, or cannot be checked.
        reason: Option<Reason>,
        /// Until when it stays down even if its probes succeed, as it went down too often ([`Damping`]).
        held_until: Option<Duration>,
    },
}

/// The state machine; `K` names a target.
#[derive(Debug)]
pub struct Checker<K> {
    spread: Spread,
    targets: BTreeMap<K, Tracked>,
    schedule: BTreeSet<(Duration, K)>,
    probes: BTreeMap<ProbeId, K>,
    commands: VecDeque<Command<K>>,
    last_probe: u64,
    /// When the next suspicion may have a probe made.
    next_suspect: Duration,
}

impl<K: Clone + Ord> Checker<K> {
    /// A checker without targets. `seed` decides when within their intervals targets are probed: two machines that check the same
    /// backends have different ones.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            spread: Spread::new(seed),
            targets: BTreeMap::new(),
            schedule: BTreeSet::new(),
            probes: BTreeMap::new(),
            commands: VecDeque::new(),
            last_probe: 0,
            next_suspect: Duration::ZERO,
        }
    }

    /// Replaces the set of targets. A target whose address is unchanged keeps its health, and with the same probe its counts; one
    /// whose address changed starts over as [`Health::Unknown`].
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
        let cleared = outcome == Outcome::Healthy && tracked.is_cleared();
        let verdict = tracked.judge(now, outcome);
        let interval = tracked.target.policy.interval;
        // A probe that fails by a timeout as long as the interval is over a little after the next one's turn.
        let presses = tracked.pace() < interval || tracked.health == Health::Up;
        let sooner = if tracked.is_changing(now) && presses {
            Some(tracked.started + tracked.pace())
        } else {
            tracked.suspected
        };
        tracked.suspected = None;
        if tracked.health == Health::Down || cleared {
            tracked.suspicion = None;
        }
        if let Some(sooner) = sooner {
            self.bring_forward(sooner.max(now), &key);
        }
        if cleared {
            self.commands.push_back(Command::Clear { key: key.clone() });
        }
        if let Some(Verdict { health, reason, held_until }) = verdict {
            self.commands.push_back(Command::Change { key, health, reason, held_until });
        }
        self.handle_timeout(now);
    }

    /// Something else than a probe (unanswered SYNs, RSTs, ICMP errors) says that a target may be down: it is suspect, and probed at
    /// once, to know. The suspicion alone changes nothing. Each target is probed out of its turn once in a confirm interval at most, and all
    /// of them a thousand times a second; where its turn comes sooner, that probe tells. False: nothing comes of it, as that was just done, or
    /// it is down already, or not a target.
    pub fn suspect(&mut self, now: Duration, key: &K, reason: &Reason) -> bool {
        let Some(tracked) = self.targets.get_mut(key) else { return false };
        if now < tracked.calm_until || tracked.health == Health::Down {
            return false;
        }
        let at = now.max(self.next_suspect);
        if tracked.suspicion.is_none() {
            tracked.suspicion = Some(now);
            self.commands.push_back(Command::Suspect { key: key.clone(), reason: reason.clone() });
        }
        tracked.calm_until = at.min(tracked.due) + tracked.target.policy.confirm_interval.max(SUSPECT_AGAIN);
        if at >= tracked.due {
            return true;
        }
        self.next_suspect = at + SUSPECTS_APART;
        // The probe that is under way may have begun before the trouble did.
        tracked.suspected = tracked.in_flight.map(|_| at);
        if tracked.suspected.is_none() {
            self.bring_forward(at, key);
            self.handle_timeout(now);
        }
        true
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
        let interval = target.policy.interval;
        let Some(tracked) = self.targets.get_mut(&key) else {
            let tracked = Tracked::new(target, self.spread.phase(interval), now);
            self.schedule.insert((tracked.due, key.clone()));
            self.targets.insert(key, tracked);
            return;
        };
        if tracked.target == target {
            return;
        }
        let before = std::mem::replace(&mut tracked.target, target);
        if before.probe != tracked.target.probe {
            tracked.forget_counts();
            if let Some(probe) = tracked.in_flight.take() {
                self.probes.remove(&probe);
                self.commands.push_back(Command::Cancel { probe });
            }
        }
        if before.policy.interval != interval {
            tracked.phase = self.spread.phase(interval);
        }
        self.schedule.remove(&(tracked.due, key.clone()));
        tracked.due = tracked.turn(now);
        self.schedule.insert((tracked.due, key));
    }

    fn remove(&mut self, key: &K) {
        let Some(tracked) = self.targets.remove(key) else { return };
        self.schedule.remove(&(tracked.due, key.clone()));
        if let Some(probe) = tracked.in_flight {
            self.probes.remove(&probe);
            self.commands.push_back(Command::Cancel { probe });
        }
    }

    /// Has a target probed at a moment before its turn.
    fn bring_forward(&mut self, at: Duration, key: &K) {
        let Some(tracked) = self.targets.get_mut(key) else { return };
        if at < tracked.due {
            self.schedule.remove(&(tracked.due, key.clone()));
            tracked.due = at;
            self.schedule.insert((at, key.clone()));
        }
    }

    fn start(&mut self, now: Duration, key: K) {
        let Some(tracked) = self.targets.get_mut(&key) else { return };
        // The phase is kept, so that targets stay spread, and what was missed is skipped: a late daemon must not probe in bursts.
        tracked.due = tracked.turn(now);
        self.schedule.insert((tracked.due, key.clone()));
        if tracked.in_flight.is_some() {
            return;
        }
        self.last_probe += 1;
        let probe = ProbeId(self.last_probe);
        tracked.started = now;
        tracked.in_flight = Some(probe);
        self.probes.insert(probe, key.clone());
        self.commands.push_back(Command::Start { probe, key, target: tracked.target.clone() });
    }
}
