//! What the part of a router in the election depends on: interfaces, services, scripts, files, the data path.
//!
//! Something that goes missing counts at once: whoever reports it has made sure (a link that is down, `fall` failures of a script). It
//! counts as there again when it was there for a while, and for twice as long each time that it goes missing soon after: a link
//! that flaps costs one change, not one for each flap.

use std::{collections::BTreeMap, time::Duration};

use super::{Priority, Standing};
use crate::model::Reason;

/// How long something must be there again before that counts, the first time.
const HOLD: Duration = Duration::from_millis(500);
/// The same at most.
const LONGEST_HOLD: Duration = Duration::from_secs(32);
/// Who stays there for so long is trusted as at first.
const TRUSTED_AFTER: Duration = Duration::from_secs(60);
/// A sum with a file's number in it that low is a fault, as with keepalived.
const FAULT_AT: i64 = -254;

/// What something tracked does to a router: keepalived's `weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Without it the router does not take part (weight 0).
    Fault,
    /// It adds to the priority while it is there (weight above 0).
    Adds(u8),
    /// It takes from the priority while it is missing (weight below 0).
    Takes(u8),
    /// Its number, multiplied by this, is added to the priority; -254 or less is a fault. With 0 every other number than 0 is one.
    Times(i16),
}

impl Effect {
    /// Of keepalived's weight, -253 to 253.
    #[must_use]
    pub const fn of_weight(weight: i16) -> Self {
        let amount = weight.unsigned_abs();
        let amount = if amount > 253 { 253 } else { amount as u8 };
        match weight {
            0 => Self::Fault,
            1.. => Self::Adds(amount),
            _ => Self::Takes(amount),
        }
    }
}

/// What was found of something tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is there.
    There,
    /// It is not, and why.
    Missing(Reason),
    /// It is a number; of a file.
    Number(i32),
}

/// What the content of a tracked file says: a number, `up` (0) or `down`; empty is 0. `None`: none of these.
#[must_use]
pub fn number_in(content: &[u8]) -> Option<Reading> {
    match str::from_utf8(content).ok()?.trim() {
        "" | "up" => Some(Reading::Number(0)),
        "down" => Some(Reading::Missing("it says down".into())),
        text => text.parse().ok().map(Reading::Number),
    }
}

/// What something tracked does to a router at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// It keeps the router from taking part.
    Fault,
    /// So much is added to the priority.
    Priority(i64),
}

/// Something tracked, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    effect: Effect,
    /// What counts; `None`: nothing is known.
    counts: Option<Reading>,
    /// It is there again, which counts from a moment on.
    back: Option<(Duration, Reading)>,
    /// When it went missing last.
    lost_at: Option<Duration>,
    hold: Duration,
}

impl Tracked {
    const fn new(effect: Effect) -> Self {
        Self { effect, counts: None, back: None, lost_at: None, hold: HOLD }
    }

    /// What it can do.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// What counts; `None`: nothing is known yet.
    #[must_use]
    pub const fn reading(&self) -> Option<&Reading> {
        self.counts.as_ref()
    }

    /// Whether it is there again, but has to prove itself.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.back.is_some()
    }

    /// Takes a reading.
    fn take(&mut self, now: Duration, reading: Reading) {
        match (&self.counts, &reading) {
            (Some(Reading::Missing(_)), Reading::There | Reading::Number(_)) => {
                let from = self.back.as_ref().map_or(now + self.hold, |(from, _)| *from);
                self.back = Some((from, reading));
                return;
            }
            (Some(Reading::There | Reading::Number(_)), Reading::Missing(_)) => {
                let is_again = self.lost_at.is_some_and(|lost_at| now < lost_at + self.hold + TRUSTED_AFTER);
                self.hold = if is_again { (self.hold * 2).min(LONGEST_HOLD) } else { HOLD };
                self.lost_at = Some(now);
            }
            _ => {}
        }
        self.back = None;
        self.counts = Some(reading);
    }

    fn handle_timeout(&mut self, now: Duration) {
        if let Some((_, reading)) = self.back.take_if(|(from, _)| *from <= now) {
            self.counts = Some(reading);
        }
    }

    /// What it does to a router. `assumed`: what is not known is taken to be there.
    fn impact(&self, assumed: bool) -> Impact {
        let (is_there, number) = match &self.counts {
            Some(Reading::There) => (true, 0),
            Some(Reading::Missing(_)) => (false, 0),
            Some(Reading::Number(number)) => (true, i64::from(*number)),
            None => (assumed, 0),
        };
        match self.effect {
            Effect::Fault if !is_there => Impact::Fault,
            Effect::Adds(amount) if is_there => Impact::Priority(amount.into()),
            Effect::Takes(amount) if !is_there => Impact::Priority(-i64::from(amount)),
            Effect::Fault | Effect::Adds(_) | Effect::Takes(_) => Impact::Priority(0),
            Effect::Times(weight) => match (weight, number * i64::from(weight)) {
                _ if !is_there => Impact::Fault,
                (0, _) if number != 0 => Impact::Fault,
                (_, ..=FAULT_AT) => Impact::Fault,
                (_, amount) => Impact::Priority(amount.min(253)),
            },
        }
    }
}

/// What one router tracks, by name.
///
/// What is not known counts as missing, except for a router that holds its addresses from before a restart: it was fit to be active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    objects: BTreeMap<String, Tracked>,
    assumed: bool,
}

impl Tracking {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(objects: impl IntoIterator<Item = (String, Effect)>) -> Self {
        let objects = objects.into_iter().map(|(name, effect)| (name, Tracked::new(effect)));
        Self { objects: objects.collect(), assumed: false }
    }

    /// From now on, what is not known is taken to be there.
    pub(super) fn assume(&mut self) {
        self.assumed = true;
    }

    /// Takes over what is known already of objects that `before` has too.
    pub(super) fn adopt(&mut self, before: &Self) {
        for (name, tracked) in &mut self.objects {
            if let Some(known) = before.objects.get(name) {
                *tracked = Tracked { effect: tracked.effect, ..known.clone() };
            }
        }
    }

    /// Says what was found of something.
    pub fn take(&mut self, now: Duration, name: &str, reading: Reading) {
        if let Some(tracked) = self.objects.get_mut(name) {
            tracked.take(now, reading);
        }
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        self.objects.values_mut().for_each(|tracked| tracked.handle_timeout(now));
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.objects.values().filter_map(|tracked| Some(tracked.back.as_ref()?.0)).min()
    }

    /// Whether something is not known yet.
    pub(super) fn is_incomplete(&self) -> bool {
        self.objects.values().any(|tracked| tracked.counts.is_none())
    }

    /// Everything, with what it does at present, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tracked, Impact)> {
        let assumed = self.assumed;
        self.objects.iter().map(move |(name, tracked)| (name.as_str(), tracked, tracked.impact(assumed)))
    }

    /// What comes of it for a router of priority `base`: 1 to 254, except that the owner of the addresses remains the owner.
    #[must_use]
    pub fn standing(&self, base: Priority) -> Standing {
        standing(base, self.iter().map(|(_, _, impact)| impact))
    }
}

/// What comes of impacts for a router of priority `base`.
pub(super) fn standing(base: Priority, impacts: impl Iterator<Item = Impact>) -> Standing {
    let (mut fault, mut priority) = (false, i64::from(base.number()));
    for impact in impacts {
        match impact {
            Impact::Fault => fault = true,
            Impact::Priority(amount) => priority = priority.saturating_add(amount),
        }
    }
    let (lowest, highest) = (Priority::LOWEST.number(), Priority::HIGHEST.number());
    let priority = u8::try_from(priority.clamp(lowest.into(), highest.into())).unwrap_or(lowest);
    Standing { fault, priority: if base == Priority::OWNER { base } else { Priority::new(priority) } }
}
