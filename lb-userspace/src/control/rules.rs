//! Changes of the rules of a health check.

use std::time::Duration;

use crate::model::{Damping, HealthCheck, Passive};

/// What changes of when a backend is checked, and of what follows from it; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthRules {
    /// Between two probes until the verdict; zero: as at other times.
    pub fast_interval: Option<Duration>,
    /// How much later than its turn a probe may start.
    pub jitter: Option<Duration>,
    /// How often a backend may go down before it is held down; 0: as often as it likes.
    pub max_flaps: Option<u32>,
    /// Over which that is counted.
    pub flap_window: Option<Duration>,
    /// For how long it is held down the first time.
    pub hold_down: Option<Duration>,
    /// For how long at most.
    pub max_hold_down: Option<Duration>,
    /// Percentage of the backends that may be taken out at once.
    pub max_ejected: Option<u8>,
    /// Percentage of healthy backends below which all are used.
    pub panic_threshold: Option<u8>,
    /// Whether what clients' connections show has a backend checked at once.
    pub passive: Option<bool>,
    /// Over which that is counted.
    pub passive_window: Option<Duration>,
    /// How much of it there must be.
    pub passive_count: Option<u32>,
    /// Percentage of all SYNs that those unanswered or refused must be.
    pub passive_percent: Option<u8>,
}

impl HealthRules {
    /// The check after the change.
    #[must_use]
    pub fn apply(self, current: HealthCheck) -> HealthCheck {
        let fast_interval = match self.fast_interval {
            None => current.fast_interval,
            Some(fast) => Some(fast).filter(|fast| !fast.is_zero()),
        };
        HealthCheck {
            fast_interval,
            jitter: self.jitter.unwrap_or(current.jitter),
            damping: Damping {
                max_flaps: self.max_flaps.unwrap_or(current.damping.max_flaps),
                window: self.flap_window.unwrap_or(current.damping.window),
                hold: self.hold_down.unwrap_or(current.damping.hold),
                max_hold: self.max_hold_down.unwrap_or(current.damping.max_hold),
            },
            passive: Passive {
                enabled: self.passive.unwrap_or(current.passive.enabled),
                window: self.passive_window.unwrap_or(current.passive.window),
                count: self.passive_count.unwrap_or(current.passive.count),
                percent: self.passive_percent.unwrap_or(current.passive.percent),
            },
            max_ejected: self.max_ejected.unwrap_or(current.max_ejected),
            panic_threshold: self.panic_threshold.unwrap_or(current.panic_threshold),
            ..current
        }
    }
}
