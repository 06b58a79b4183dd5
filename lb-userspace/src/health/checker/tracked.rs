//! One target: its counts, and what an outcome makes of them.

use std::time::Duration;

use super::{ProbeId, Target, damping::Damper, spread::Phase};
use crate::{
    health::Outcome,
    model::{Health, Reason},
};

/// Least time between two reports that a backend is down for another reason than before.
const REASONS: Duration = Duration::from_secs(10);

/// What is known of one target.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) target: Target,
    pub(super) phase: Phase,
    /// When the next probe is due, as in the schedule.
    pub(super) due: Duration,
    /// When the last one started.
    pub(super) started: Duration,
    pub(super) in_flight: Option<ProbeId>,
    /// Before this, no suspicion has another probe made.
    pub(super) calm_until: Duration,
    /// A suspicion came while a probe was under way: when there may be another.
    pub(super) suspected: Option<Duration>,
    /// Since when it is suspect.
    pub(super) suspicion: Option<Duration>,
    pub(super) health: Health,
    successes: u32,
    failures: u32,
    damper: Damper,
    /// Why it is down, and when that was told.
    told: Option<(Reason, Duration)>,
    /// Why the last probe could not be made, and when that was told.
    blind: Option<(Reason, Duration)>,
}

/// What an outcome came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) health: Health,
    pub(super) reason: Option<Reason>,
    pub(super) held_until: Option<Duration>,
}

impl Tracked {
    pub(super) fn new(target: Target, phase: Phase, now: Duration) -> Self {
        let due = phase.next(now, target.policy.interval, target.policy.jitter);
        Self {
            target,
            phase,
            due,
            started: now,
            in_flight: None,
            calm_until: Duration::ZERO,
            suspected: None,
            suspicion: None,
            health: Health::Unknown,
            successes: 0,
            failures: 0,
            damper: Damper::default(),
            told: None,
            blind: None,
        }
    }

    /// Its next regular turn.
    pub(super) fn turn(&self, now: Duration) -> Duration {
        self.phase.next(now, self.target.policy.interval, self.target.policy.jitter)
    }

    /// Begins to count anew: what was counted is of another probe.
    pub(super) fn forget_counts(&mut self) {
        (self.successes, self.failures) = (0, 0);
    }

    /// Whether the last outcome contradicts what is known, so that the verdict is sought faster.
    pub(super) fn is_changing(&self, now: Duration) -> bool {
        match self.health {
            Health::Up => self.failures > 0,
            Health::Down => self.successes > 0 && !self.damper.is_holding(now),
            Health::Unknown => self.successes + self.failures > 0,
        }
    }

    /// How fast a verdict is sought.
    pub(super) fn pace(&self) -> Duration {
        let policy = &self.target.policy;
        if self.suspicion.is_some() { policy.confirm_interval } else { policy.fast_interval }
    }

    /// Whether the success of the last probe clears it of a suspicion: not if the probe began before the trouble did.
    pub(super) fn is_cleared(&self) -> bool {
        self.suspicion.is_some_and(|since| since <= self.started)
    }

    /// Takes an outcome in; what to tell about it.
    pub(super) fn judge(&mut self, now: Duration, outcome: Outcome) -> Option<Verdict> {
        let Outcome::NotTried(reason) = outcome else {
            let sees_again = self.blind.take().is_some();
            return self.count(now, outcome).or_else(|| sees_again.then(|| self.as_it_is()));
        };
        // It says nothing about the backend, and yet its operator must know.
        if self.blind.as_ref().is_some_and(|(told, at)| *told == reason || now < *at + REASONS) {
            return None;
        }
        let said = format!("cannot be checked: {reason}").into();
        self.blind = Some((reason, now));
        Some(Verdict { reason: Some(said), ..self.as_it_is() })
    }

    /// What was told of it last, but for why it could not be checked.
    fn as_it_is(&self) -> Verdict {
        Verdict {
            health: self.health,
            reason: self.told.as_ref().map(|(reason, _)| reason.clone()),
            held_until: self.damper.held_until().filter(|_| self.health == Health::Down),
        }
    }

    /// Counts the outcome of a probe that was made.
    fn count(&mut self, now: Duration, outcome: Outcome) -> Option<Verdict> {
        let policy = self.target.policy;
        match outcome {
            Outcome::Healthy => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                let stays = self.successes < policy.rise || self.damper.is_holding(now);
                if self.health == Health::Up || stays {
                    return None;
                }
                self.damper.up(now);
                self.told = None;
                self.health = Health::Up;
                Some(Verdict { health: Health::Up, reason: None, held_until: None })
            }
            Outcome::Failed(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                if self.health == Health::Down {
                    return self.another_reason(now, reason);
                }
                if self.failures < policy.fall {
                    return None;
                }
                let flapped = self.health == Health::Up;
                let held_until = flapped.then(|| self.damper.down(now, &policy.damping)).flatten();
                self.health = Health::Down;
                self.told = Some((reason.clone(), now));
                Some(Verdict { health: Health::Down, reason: Some(reason), held_until })
            }
            Outcome::NotTried(_) => None,
        }
    }

    fn another_reason(&mut self, now: Duration, reason: Reason) -> Option<Verdict> {
        let (told, at) = self.told.as_ref()?;
        if *told == reason || now < *at + REASONS {
            return None;
        }
        self.told = Some((reason.clone(), now));
        Some(Verdict { health: Health::Down, reason: Some(reason), held_until: self.damper.held_until() })
    }
}
