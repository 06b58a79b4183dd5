//! Flap damping: a backend that goes down too often is held down for growing times.

use std::{collections::VecDeque, time::Duration};

use crate::model::Damping;

/// What is remembered of a backend's ups and downs: as many as [`Damping::max_flaps`].
#[derive(Debug, Default)]
pub(super) struct Damper {
    /// When it went down.
    downs: VecDeque<Duration>,
    /// When it came up last.
    up_since: Option<Duration>,
    /// How often it was held and is not trusted again: the power of two that the next hold is multiplied by.
    level: u32,
    held_until: Option<Duration>,
}

impl Damper {
    /// It comes up.
    pub(super) fn up(&mut self, now: Duration) {
        self.up_since = Some(now);
        self.held_until = None;
    }

    /// It goes down; until when it is held there.
    pub(super) fn down(&mut self, now: Duration, rules: &Damping) -> Option<Duration> {
        let up_since = self.up_since.take();
        if rules.max_flaps == 0 {
            *self = Self::default();
            return None;
        }
        let calm = up_since.map_or(0, |since| (now - since).as_millis() / rules.window.as_millis().max(1));
        self.level = self.level.saturating_sub(u32::try_from(calm).unwrap_or(u32::MAX));
        self.downs.push_back(now);
        while self.downs.len() > rules.max_flaps as usize
            || self.downs.front().is_some_and(|first| now - *first >= rules.window)
        {
            self.downs.pop_front();
        }
        if self.level == 0 && self.downs.len() < rules.max_flaps as usize {
            return None;
        }
        let hold = rules.hold.saturating_mul(2_u32.saturating_pow(self.level));
        if hold < rules.max_hold {
            self.level += 1;
        }
        self.held_until = Some(now + hold.min(rules.max_hold));
        self.held_until
    }

    /// Whether it may not come up yet.
    pub(super) fn is_holding(&self, now: Duration) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Until when it may not.
    pub(super) fn held_until(&self) -> Option<Duration> {
        self.held_until
    }
}
