//! What becomes of a flow that the other machine names.
//!
//! A flow is **own** where a packet of it passed here after it came from the other machine, or where it began here; else it is **kept** for the
//! other machine, with the number of the sweep by which it was named last. Whoever saw the later packet is right.

/// Ticks by which both machines may disagree about when a packet passed.
const SLACK: u32 = 1;

/// A flow that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Tick of its last packet.
    pub last_seen: u32,
    /// It has ended.
    pub is_over: bool,
    /// It is own.
    pub is_own: bool,
    /// It is translated as the other machine says.
    pub is_same: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Store what the other machine says, as kept for it.
    Store,
    /// It is known already: remember that it was named.
    Remark,
    /// Leave what is here.
    Ignore,
}

/// Decides about a flow whose last packet the other machine saw at the tick `last_seen`, of this machine's.
#[must_use]
pub fn decide(here: Option<Kept>, last_seen: u32, is_over: bool) -> Decision {
    let Some(here) = here else {
        return if is_over { Decision::Ignore } else { Decision::Store };
    };
    let ends = is_over && !here.is_over && here.is_same;
    let stores = if here.is_own {
        last_seen > here.last_seen.saturating_add(SLACK)
            || ends && last_seen.saturating_add(SLACK) >= here.last_seen
    } else {
        let reopens = here.is_over && !is_over && last_seen <= here.last_seen;
        !reopens && (last_seen > here.last_seen || !here.is_same || ends && last_seen == here.last_seen)
    };
    match stores {
        true if is_over && !here.is_same => Decision::Ignore,
        true => Decision::Store,
        false if here.is_own || !here.is_same => Decision::Ignore,
        false => Decision::Remark,
    }
}

/// The number of the other machine's sweep, as this machine counts them: each flow that is kept has the one by which it was named last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u16);

impl Mark {
    /// Before the first sweep. Flows of a former run should have other numbers: any random one will do.
    #[must_use]
    pub fn new(start: u16) -> Self {
        Self(start)
    }

    /// A sweep begins.
    pub fn begin_sweep(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }

    /// The number of flows that are named now. Flows with another one are over when the sweep has ended: it did not name them.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(is_own: bool, last_seen: u32, is_over: bool) -> Option<Kept> {
        Some(Kept { last_seen, is_over, is_own, is_same: true })
    }

    #[test]
    fn an_unknown_flow_is_stored_unless_it_is_over() {
        assert_eq!(decide(None, 5, false), Decision::Store);
        assert_eq!(decide(None, 5, true), Decision::Ignore);
    }

    #[test]
    fn whoever_saw_the_later_packet_is_right() {
        assert_eq!(decide(here(true, 10, false), 11, false), Decision::Ignore, "clocks are not that exact");
        assert_eq!(decide(here(true, 10, false), 12, false), Decision::Store);
        assert_eq!(decide(here(false, 10, false), 11, false), Decision::Store);
        assert_eq!(decide(here(false, 10, false), 10, false), Decision::Remark);
        assert_eq!(decide(here(false, 10, false), 9, false), Decision::Remark);
    }

    #[test]
    fn an_end_is_taken_at_once_and_not_taken_back_by_what_was_said_before_it() {
        assert_eq!(decide(here(true, 10, false), 10, true), Decision::Store);
        assert_eq!(decide(here(true, 10, false), 8, true), Decision::Ignore, "a packet passed here since");
        assert_eq!(decide(here(false, 10, false), 10, true), Decision::Store);
        assert_eq!(decide(here(false, 10, true), 10, false), Decision::Remark);
        assert_eq!(decide(here(false, 10, true), 11, false), Decision::Store, "a new connection");
    }

    #[test]
    fn the_end_of_another_flow_with_the_same_ends_is_none_of_this_one() {
        for is_own in [true, false] {
            let other = Kept { last_seen: 1, is_over: false, is_own, is_same: false };
            assert_eq!(decide(Some(other), 100, true), Decision::Ignore);
            assert_eq!(decide(Some(other), 100, false), Decision::Store);
        }
    }
}
