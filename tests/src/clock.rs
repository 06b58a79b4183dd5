//! The clock, and waiting for a condition with a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The current time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the harness measures real time; this is its only clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Calls `look` until it gives a value.
///
/// # Errors
///
/// When `limit` has passed; the message names `what`.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let start = now();
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `holds` is true, see [`wait_for`].
///
/// # Errors
///
/// When `limit` has passed; the message names `what`.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    wait_for(what, limit, || holds().then_some(()))
}
