//! When in its interval each target is probed, so that the probes of many are spread evenly.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// 2^64 divided by the golden ratio. Its multiples, modulo 2^64, are as far from each other as so many points can be, however
/// many there are (Knuth, The Art of Computer Programming, volume 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Deals out phases.
#[derive(Debug, Default)]
pub(super) struct Spread {
    seed: u64,
    /// How many were dealt out, by interval: each interval has a sequence of its own.
    dealt: BTreeMap<Duration, u64>,
}

/// A place within the interval, as a fraction of it in units of 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase(u64);

impl Spread {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, dealt: BTreeMap::new() }
    }

    /// The phase of another target.
    pub(super) fn phase(&mut self, interval: Duration) -> Phase {
        let dealt = self.dealt.entry(interval).or_default();
        *dealt += 1;
        Phase(self.seed.wrapping_add(dealt.wrapping_mul(GOLDEN)))
    }
}

impl Phase {
    /// The first moment after `now` at which it is a target's turn: one in each interval, at most `jitter` after its place there.
    /// How much after is another fraction of `jitter` each time.
    pub(super) fn next(self, now: Duration, interval: Duration, jitter: Duration) -> Duration {
        let interval = nanos(interval).max(1);
        let place = scaled(self.0, interval);
        let turn = nanos(now).checked_sub(place).map_or(0, |since| since / interval + 1);
        let late = if jitter.is_zero() { 0 } else { scaled(hash((self.0, turn)), nanos(jitter)) };
        Duration::from_nanos((turn * interval).saturating_add(place).saturating_add(late))
    }
}

/// A fraction of a length.
fn scaled(fraction: u64, length: u64) -> u64 {
    ((u128::from(fraction) * u128::from(length)) >> 64) as u64
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
