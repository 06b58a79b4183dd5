//! Slow start: a weight that rises in steps.

use std::time::{Duration, Instant};

/// Most levels below the full weight. A slot table is filled anew at each, so a ramp does that 20 times at most.
pub(super) const LEVELS: u32 = 19;
/// Shortest time at a level: nobody notices more steps, and each of them fills a slot table.
const SHORTEST: Duration = Duration::from_secs(1);

/// A weight that rises from a fraction to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ramp {
    begin: Instant,
    length: Duration,
}

impl Ramp {
    /// A ramp that begins at a moment; `None` if it has no length.
    pub(super) fn new(begin: Instant, length: Duration) -> Option<Self> {
        (!length.is_zero()).then_some(Self { begin, length })
    }

    pub(super) fn begin(&self) -> Instant {
        self.begin
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begin) >= self.length
    }

    /// The part of the weight in units of 1 / [`scale`].
    pub(super) fn level(&self, now: Instant) -> u32 {
        1 + self.steps(now)
    }

    /// When the next level is reached.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let nanos = (self.length * (1 + self.steps(now))).as_nanos();
        // Rounded up: at that moment the step is taken.
        let nanos = nanos.div_ceil(u128::from(levels(self.length)));
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Levels left behind.
    fn steps(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.begin);
        let steps = passed.as_nanos() * u128::from(levels(self.length)) / self.length.as_nanos().max(1);
        u32::try_from(steps).unwrap_or(u32::MAX).min(levels(self.length) - 1)
    }
}

/// What the weights of a service are multiplied by while one of them rises over `length`.
pub(super) fn scale(length: Duration) -> u32 {
    levels(length) + 1
}

/// Levels below the full weight; at least 1.
fn levels(length: Duration) -> u32 {
    let most = length.as_nanos() / SHORTEST.as_nanos();
    u32::try_from(most).unwrap_or(u32::MAX).clamp(1, LEVELS)
}
