//! The time of an event, on the clocks that control needs.

use std::time::{Duration, Instant};

use crate::model::Timestamp;

/// One moment on three clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What is waited by: it never jumps.
    pub instant: Instant,
    /// What people write and read; it may be set to anything at any time.
    pub wall: Timestamp,
    /// Time since the machine was booted, the time it was suspended included: it never jumps either, and a process that is started
    /// later reads the same clock.
    pub boot: Duration,
    /// Time since the machine was booted, without the time it was suspended: the clock of the data path.
    pub monotonic: Duration,
}

/// For tests without deadlines: the other clocks begin with the process.
#[cfg(test)]
impl From<Instant> for Now {
    fn from(instant: Instant) -> Self {
        Self { instant, wall: Timestamp::default(), boot: Duration::ZERO, monotonic: Duration::ZERO }
    }
}

/// A moment to come, as it is written down for a process that is started later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// On the wall clock.
    pub wall: Timestamp,
    /// On the clock of this boot, if it was written down since.
    pub boot: Option<Duration>,
    /// The longest that it can still be away: what it was when it was set.
    pub longest: Duration,
}

impl Deadline {
    /// The moment so long after `now`.
    #[must_use]
    pub fn after(now: &Now, time: Duration) -> Self {
        Self { wall: now.wall.after(time), boot: Some(now.boot + time), longest: time }
    }

    /// How long it is away. The wall clock is only asked where the machine was booted since; set back, it does not make the wait
    /// longer than it was meant to be.
    #[must_use]
    pub fn remaining(&self, now: &Now) -> Duration {
        let remaining = match self.boot {
            Some(boot) => boot.saturating_sub(now.boot),
            None => self.wall.since(now.wall),
        };
        remaining.min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::moment;

    const MINUTE: Duration = Duration::from_secs(60);

    fn now(wall: u64, boot: u64) -> Now {
        let seconds = Duration::from_secs;
        Now {
            instant: moment(),
            wall: Timestamp::since_epoch(seconds(wall)),
            boot: seconds(boot),
            monotonic: seconds(boot),
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_does_not_move_a_deadline() {
        let deadline = Deadline::after(&now(1000, 10), MINUTE);
        for wall in [0, 1020, 5000] {
            assert_eq!(deadline.remaining(&now(wall, 30)), Duration::from_secs(40), "{wall}");
        }
        assert_eq!(deadline.remaining(&now(1000, 70)), Duration::ZERO);
    }

    #[test]
    fn after_another_boot_the_wall_clock_counts_but_not_for_longer_than_was_meant() {
        let deadline = Deadline { boot: None, ..Deadline::after(&now(1000, 10), MINUTE) };
        assert_eq!(deadline.remaining(&now(1020, 5)), Duration::from_secs(40));
        assert_eq!(deadline.remaining(&now(2000, 5)), Duration::ZERO);
        assert_eq!(deadline.remaining(&now(0, 5)), MINUTE, "set back");
    }
}
