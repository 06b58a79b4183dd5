//! Slow starts that go on after a restart: when they began is written down. No I/O.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Now;
use crate::{
    health::{Pools, Ramps},
    model::{BackendName, ServiceName},
};

/// Names a slow start that is written down.
pub type RampKey = (ServiceName, BackendName);

/// Between two times that they are written down: many backends may come back one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// What is written down of slow starts.
#[derive(Debug, Default)]
pub(super) struct RampNotes {
    noted: Ramps,
    at: Option<Instant>,
}

impl RampNotes {
    /// Those of a former process, by what it wrote down.
    pub(super) fn of(notes: &BTreeMap<RampKey, Duration>, now: &Now) -> Self {
        let noted = notes.iter().filter_map(|(key, begin)| {
            let passed = now.boot.saturating_sub(*begin);
            Some((key.clone(), now.instant.checked_sub(passed)?))
        });
        Self { noted: noted.collect(), at: None }
    }

    /// Those that are known.
    pub(super) fn known(&self) -> &Ramps {
        &self.noted
    }

    /// What is to be written down, if it is another thing than before and time to do so.
    pub(super) fn update(&mut self, pools: &Pools, now: &Now) -> Option<BTreeMap<RampKey, Duration>> {
        let early = self.at.is_some_and(|at| now.instant < at + PAUSE);
        if early || pools.poll_timeout().is_none() && self.noted.is_empty() {
            return None;
        }
        let ramps = pools.ramps();
        if ramps == self.noted {
            return None;
        }
        let boot = |begin: &Instant| now.boot.saturating_sub(now.instant.saturating_duration_since(*begin));
        let notes = ramps.iter().map(|(key, begin)| (key.clone(), boot(begin))).collect();
        (self.noted, self.at) = (ramps, Some(now.instant));
        Some(notes)
    }
}
