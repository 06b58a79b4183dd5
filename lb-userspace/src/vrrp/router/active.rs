//! A router that holds the addresses (RFC 9568 section 6.4.3).

use std::time::Duration;

use super::announcer::Announcer;
use crate::vrrp::{Announcing, Interval};

/// Between two adverts that answer others, at least; the shortest interval there is. Who floods a network with adverts of
/// lower priority gets no flood back.
const ANSWERS_APART: Duration = Duration::from_millis(10);

/// What comes after a planned switchover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// The router stays backup, and leaves the other one active whatever its priority, until [`Router::resume`](super::Router::resume).
    /// If nobody takes over, it remains active.
    Stay,
    /// The same, but if nobody takes over, it gives the addresses up all the same ([`Standby::Forced`](super::Standby::Forced)).
    Leave,
    /// The router stops: the daemon ends. If nobody takes over, it ends all the same.
    Stop,
}

/// A switchover under way: this router has said that it stops, and goes on until another one is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handing {
    pub(super) then: Afterwards,
    /// When it is said once more, in case it was lost.
    again_at: Option<Duration>,
    /// When whoever there is would be active.
    pub(super) until: Duration,
}

/// What a router knows while it is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) advert_at: Duration,
    answered_at: Option<Duration>,
    pub(super) announcer: Announcer,
    pub(super) handing: Option<Handing>,
    /// The last switchover came to nothing.
    pub(super) has_no_successor: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) advert: bool,
    pub(super) announcement: bool,
    /// Say once more that it stops.
    pub(super) resignation: bool,
    /// Nobody took over.
    pub(super) end: Option<Afterwards>,
}

impl Active {
    /// Has just sent an advert and an announcement.
    pub(super) fn new(now: Duration, interval: Interval, announcing: Announcing) -> Self {
        Self {
            advert_at: now + interval.duration(),
            answered_at: None,
            announcer: Announcer::new(now, announcing),
            handing: None,
            has_no_successor: false,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Duration, interval: Interval) -> Due {
        let mut due = Due { announcement: self.announcer.handle_timeout(now), ..Due::default() };
        if let Some(handing) = &mut self.handing {
            due.resignation = handing.again_at.take_if(|again_at| *again_at <= now).is_some();
            due.end = Some(handing.then).filter(|_| handing.until <= now);
        } else if self.advert_at <= now {
            due.advert = true;
            // The rate is kept although each advert is a little late.
            let next = self.advert_at + interval.duration();
            self.advert_at = if next > now { next } else { now + interval.duration() };
        }
        due
    }

    pub(super) fn poll_timeout(&self) -> Duration {
        let protocol = match &self.handing {
            Some(handing) => handing.again_at.map_or(handing.until, |again_at| again_at.min(handing.until)),
            None => self.advert_at,
        };
        self.announcer.poll_timeout().map_or(protocol, |announce_at| announce_at.min(protocol))
    }

    /// An advert was sent out of turn.
    pub(super) fn advertised(&mut self, now: Duration, interval: Interval) {
        self.advert_at = now + interval.duration();
    }

    /// Whether another router is to be answered right now.
    pub(super) fn answers(&mut self, now: Duration) -> bool {
        let answers = self.answered_at.is_none_or(|answered_at| now >= answered_at + ANSWERS_APART);
        if answers {
            self.answered_at = Some(now);
        }
        answers
    }

    /// Begins to hand over. Three intervals and the longest skew later, whoever there is would be active.
    pub(super) fn hand_over(&mut self, now: Duration, interval: Interval, then: Afterwards) {
        let again_at = Some(now + interval.duration() * 2);
        self.has_no_successor = false;
        self.handing = Some(Handing { then, again_at, until: now + interval.duration() * 4 });
    }
}
