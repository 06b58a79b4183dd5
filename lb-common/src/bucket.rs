//! Token buckets, each in one number: the generic cell rate algorithm (ITU-T I.371 annex A).

/// What a second is in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A rate, as the data path reckons with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that one token takes to come.
    pub interval: u64,
    /// How far ahead of its time a token may be taken, in nanoseconds.
    pub ahead: u64,
}

impl Rate {
    /// So many tokens a second (not 0), of which `burst` may be taken at once.
    #[inline(always)]
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        let interval = SECOND / per_second as u64;
        Self { interval, ahead: interval * burst.saturating_sub(1) as u64 }
    }

    /// Takes a token at the time `now`. `full_at` is the time at which the bucket is full again (0: it always was); the same after the token
    /// was taken, or `None` if there is none.
    #[inline(always)]
    #[must_use]
    pub const fn take(self, full_at: u64, now: u64) -> Option<u64> {
        let from = if full_at > now { full_at } else { now };
        if from - now > self.ahead { None } else { Some(from + self.interval) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tokens are taken when one is asked for at each of these times.
    fn taken(rate: Rate, times: impl Iterator<Item = u64>) -> usize {
        let mut full_at = 0;
        times
            .filter(|now| {
                let next = rate.take(full_at, *now);
                full_at = next.unwrap_or(full_at);
                next.is_some()
            })
            .count()
    }

    #[test]
    fn a_burst_and_then_the_rate_are_let_through() {
        let rate = Rate::new(1000, 50);
        assert_eq!(taken(rate, (0..200).map(|_| SECOND)), 50, "at once");
        // 10 s with 10 000 a second.
        let times = (0..100_000).map(|step| SECOND + step * SECOND / 10_000);
        assert_eq!(taken(rate, times), 50 + 10_000 - 1);
    }

    #[test]
    fn a_bucket_that_was_left_alone_is_full_and_not_more_than_full() {
        let rate = Rate::new(10, 3);
        let times = [0, 0, 0, 0, 100 * SECOND, 100 * SECOND, 100 * SECOND, 100 * SECOND];
        assert_eq!(taken(rate, times.into_iter()), 6);
    }

    #[test]
    fn a_burst_of_none_is_one() {
        assert_eq!(taken(Rate::new(1, 0), [5, 5, 5 + SECOND].into_iter()), 2);
    }
}
