//! Whether a service's SYNs are answered by cookies: by the number of its half-open connections, with hysteresis.
//!
//! Nothing is stored of most SYNs, so that half-open connections cannot be counted one by one. They are a level in one number, like a
//! token bucket's (see [`crate::bucket`]): a SYN raises it, the client's ACK lowers it, and what nobody completes drains within the
//! handshake's time-out. While cookies are sent, the level is what it would be without them.

use crate::abi::{SynCookies, TICK_SHIFT};

/// What the level is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// The present tick.
    pub now: u32,
    /// Ticks in which a full level drains: time-out of a handshake.
    pub lifetime: u32,
    /// Half-open connections at which cookies begin; 0: never.
    pub limit: u32,
}

impl Measure {
    /// The present time in nanoseconds, a tick exact.
    #[inline(always)]
    const fn time(self) -> u64 {
        (self.now as u64) << TICK_SHIFT
    }

    /// The full level, in nanoseconds.
    #[inline(always)]
    const fn full(self) -> u64 {
        (self.lifetime as u64) << TICK_SHIFT
    }

    /// What one connection adds; `limit` is not 0.
    #[inline(always)]
    const fn share(self) -> u64 {
        self.full() / self.limit as u64
    }
}

impl SynCookies {
    #[inline(always)]
    const fn drains_in(&self, measure: Measure) -> u64 {
        let level = self.full_at.saturating_sub(measure.time());
        if level > measure.full() { measure.full() } else { level }
    }

    /// Half-open connections.
    #[must_use]
    pub const fn half_open(&self, measure: Measure) -> u32 {
        if measure.limit == 0 || measure.share() == 0 {
            return 0;
        }
        let connections = self.drains_in(measure).div_ceil(measure.share());
        if connections > measure.limit as u64 { measure.limit } else { connections as u32 }
    }

    /// Whether the next SYN will be answered by a cookie.
    #[inline(always)]
    #[must_use]
    pub const fn is_on(&self, measure: Measure) -> bool {
        if measure.limit == 0 {
            return false;
        }
        let level = self.drains_in(measure);
        if self.on != 0 { level > measure.full() / 2 } else { level + measure.share() > measure.full() }
    }

    /// After a SYN; [`Self::on`] says whether it is to be answered by a cookie.
    #[inline(always)]
    #[must_use]
    pub const fn begun(self, measure: Measure) -> Self {
        if measure.limit == 0 {
            return Self { on: 0, ..self };
        }
        let on = self.is_on(measure) as u32;
        let level = self.drains_in(measure) + measure.share();
        let level = if level > measure.full() { measure.full() } else { level };
        Self { full_at: measure.time() + level, on, ..self }
    }

    /// After a client completed its handshake.
    #[inline(always)]
    #[must_use]
    pub const fn completed(self, measure: Measure) -> Self {
        if measure.limit == 0 {
            return self;
        }
        let level = self.drains_in(measure).saturating_sub(measure.share());
        Self { full_at: if level == 0 { 0 } else { measure.time() + level }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u32 = 100;
    const LIFETIME: u32 = 10;

    fn at(now: u32) -> Measure {
        Measure { now, lifetime: LIFETIME, limit: LIMIT }
    }

    fn after(mut state: SynCookies, syns: u32, now: u32) -> SynCookies {
        for _ in 0..syns {
            state = state.begun(at(now));
        }
        state
    }

    #[test]
    fn cookies_begin_when_so_many_connections_are_half_open_and_not_before() {
        let state = after(SynCookies::default(), LIMIT, 1000);
        assert_eq!((state.on, state.half_open(at(1000))), (0, LIMIT));
        assert_eq!(state.begun(at(1000)).on, 1);
    }

    #[test]
    fn they_end_when_half_as_many_are_left_and_not_before() {
        let state = after(SynCookies::default(), 10 * LIMIT, 1000);
        assert_eq!(state.on, 1);
        let until = 1000 + LIFETIME / 2;
        assert!(state.is_on(at(until - 1)));
        assert!(!state.is_on(at(until)));
        assert_eq!(state.begun(at(until)).on, 0);
        // From below they begin at the limit only.
        assert_eq!(after(state.begun(at(until)), LIMIT / 2 - 2, until).on, 0);
    }

    #[test]
    fn they_go_on_for_as_long_as_a_flood_does() {
        let mut state = SynCookies::default();
        for now in 1000..5000 {
            state = after(state, 3 * LIMIT, now);
            assert_eq!(state.on, 1, "tick {now}");
        }
    }

    #[test]
    fn connections_that_complete_never_turn_them_on() {
        let mut state = SynCookies::default();
        for round in 0..100 * LIMIT {
            let now = at(1000 + round / 1000);
            state = after(state, LIMIT / 2, now.now);
            for _ in 0..LIMIT / 2 {
                state = state.completed(now);
            }
            assert_eq!((state.on, state.half_open(now)), (0, 0));
        }
    }

    #[test]
    fn without_a_limit_there_are_none() {
        let measure = Measure { limit: 0, ..at(1000) };
        let state =
            (0..1000).fold(SynCookies { on: 1, ..SynCookies::default() }, |state, _| state.begun(measure));
        assert_eq!((state.on, state.half_open(measure)), (0, 0));
        assert_eq!(state.completed(measure), state);
    }

    proptest! {
        #[test]
        fn the_level_is_never_more_than_the_limit_and_decides_alone(
            steps in prop::collection::vec((0_u32..4, 0_u8..3), 1..400),
            limit in 1_u32..50,
            lifetime in 1_u32..40,
        ) {
            let (mut state, mut now) = (SynCookies::default(), 1_000_000);
            for (wait, what) in steps {
                now += wait / 3;
                let measure = Measure { now, lifetime, limit };
                let before = state;
                let level = state.half_open(measure);
                state = if what < 2 { state.begun(measure) } else { state.completed(measure) };
                prop_assert!(state.half_open(measure) <= limit, "{} of {limit}", state.half_open(measure));
                match (before.on, state.on) {
                    (0, 1) => prop_assert!(level >= limit, "on at {level} of {limit}"),
                    (1, 0) => prop_assert!(level <= limit / 2 + 1, "off at {level} of {limit}"),
                    _ => {}
                }
                // Long enough after everything, nothing is left.
                let later = Measure { now: now + lifetime, ..measure };
                prop_assert_eq!((state.half_open(later), state.is_on(later)), (0, false));
            }
        }
    }
}
