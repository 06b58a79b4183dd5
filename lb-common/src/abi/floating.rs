//! VIPs that move between machines (VRRP).

use super::Mac;

/// Ticks that a fence lasts after the last claim, about 30 s: who has the address says so again every 10 s.
const FENCE_TICKS: u32 = 28;

/// Element of `FLOATING`: an address that `lbd` holds as the active machine, or held when it ended without a word.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floating {
    /// `CLOCK_MONOTONIC` in nanoseconds until which `lbd` vouches for it: it does so with every advert, for as long as no other machine
    /// would take over.
    pub alive_until: u64,
    /// Tick of the last claim that came when nobody vouched for the address any more; 0: none. `lbd` sets it to 0 when it vouches.
    pub fenced_at: u32,
    /// How many claims there were.
    pub claims: u32,
    /// The MAC address that the VIP is at while it is here, where that is not the interface's own: that of its virtual router. All 0: none.
    pub mac: Mac,
}

impl Floating {
    /// Another machine says, at a time in nanoseconds and a tick, that it has the address.
    #[inline(always)]
    #[must_use]
    pub fn claimed(self, nanos: u64, tick: u32) -> Self {
        let fenced_at = if nanos < self.alive_until {
            self.fenced_at
        } else if tick == 0 {
            1
        } else {
            tick
        };
        Self { fenced_at, claims: self.claims.wrapping_add(1), ..self }
    }

    /// Whether this machine must not answer for the address: its `lbd` is gone, and another machine has taken it.
    #[inline(always)]
    #[must_use]
    pub fn is_fenced(self, tick: u32) -> bool {
        self.fenced_at != 0 && tick.saturating_sub(self.fenced_at) < FENCE_TICKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_claim_that_nobody_alive_answers_fences() {
        let held = Floating { alive_until: 100, ..Floating::default() };
        let claimed = held.claimed(99, 7);
        assert_eq!((claimed.is_fenced(7), claimed.claims), (false, 1));
        let fenced = claimed.claimed(100, 7);
        assert!(
            fenced.is_fenced(7) && fenced.is_fenced(34) && !fenced.is_fenced(35),
            "until no claim is repeated"
        );
        assert!(fenced.claimed(200, 30).is_fenced(57));
        assert!(held.claimed(100, 0).is_fenced(0), "in the first second after boot, too");
    }
}
