//! The only place that reads a clock.

use std::time::{Duration, Instant, SystemTime};

use lb_common::abi::ticks_from_nanos;

use crate::{
    control::Now,
    model::Timestamp,
    sys::clock::{boot_nanos, monotonic_nanos},
};

/// `CLOCK_MONOTONIC` and the others, in the units that its users want.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Time since boot.
    #[must_use]
    pub fn now(self) -> Duration {
        Duration::from_nanos(monotonic_nanos())
    }

    /// The data path's tick.
    #[must_use]
    pub fn tick(self) -> u32 {
        ticks_from_nanos(monotonic_nanos())
    }

    /// The same clock as an `Instant`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn instant(self) -> Instant {
        Instant::now()
    }

    /// The moment on all clocks.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn moment(self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            instant: self.instant(),
            wall: Timestamp::since_epoch(wall),
            boot: Duration::from_nanos(boot_nanos()),
            monotonic: self.now(),
        }
    }

    /// What the wall clock, since 1970, is ahead of [`Self::now`].
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn wall_clock_ahead(self) -> Duration {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        wall.saturating_sub(self.now())
    }

    /// Sleeps until [`Self::now`] is `due`; for ever if there is none.
    pub async fn sleep_until(self, due: Option<Duration>) {
        match due {
            Some(due) => tokio::time::sleep(due.saturating_sub(self.now())).await,
            None => std::future::pending().await,
        }
    }
}
