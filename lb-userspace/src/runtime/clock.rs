//! The only place that reads a clock.

use std::time::{Duration, Instant};

use lb_common::abi::ticks_from_nanos;

use crate::sys::clock::monotonic_nanos;

/// `CLOCK_MONOTONIC`, in the units that its users want.
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

    /// Sleeps until [`Self::now`] is `due`; for ever if there is none.
    pub async fn sleep_until(self, due: Option<Duration>) {
        match due {
            Some(due) => tokio::time::sleep(due.saturating_sub(self.now())).await,
            None => std::future::pending().await,
        }
    }
}
