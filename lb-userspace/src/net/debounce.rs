//! Turns a burst of changes into few actions.

use std::time::Duration;

/// Shortest wait between a change and the action.
const SHORTEST: Duration = Duration::from_millis(20);
/// The wait doubles up to this while changes keep coming.
const LONGEST: Duration = Duration::from_millis(320);

/// Says when to act on changes: 20 ms after the first one of a burst, and less and less often while the burst lasts.
#[derive(Debug)]
pub struct Debounce {
    due: Option<Duration>,
    wait: Duration,
    last: Option<Duration>,
}

impl Default for Debounce {
    fn default() -> Self {
        Self { due: None, wait: SHORTEST, last: None }
    }
}

impl Debounce {
    /// Something changed.
    pub fn handle_change(&mut self, now: Duration) {
        if self.due.is_some() {
            return;
        }
        self.wait = match self.last {
            Some(last) if now < last + self.wait * 2 => (self.wait * 2).min(LONGEST),
            _ => SHORTEST,
        };
        self.due = Some(now + self.wait);
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }

    /// Whether to act now.
    pub fn handle_timeout(&mut self, now: Duration) -> bool {
        if self.due.is_none_or(|due| now < due) {
            return false;
        }
        self.due = None;
        self.last = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_single_change_is_acted_on_after_20_ms() {
        let mut debounce = Debounce::default();
        debounce.handle_change(100 * MS);
        debounce.handle_change(110 * MS);
        assert_eq!(debounce.poll_timeout(), Some(120 * MS));
        assert!(!debounce.handle_timeout(119 * MS));
        assert!(debounce.handle_timeout(120 * MS));
        assert_eq!(debounce.poll_timeout(), None);
        assert!(!debounce.handle_timeout(500 * MS));
    }

    #[test]
    fn a_storm_of_a_second_costs_few_actions_and_quiet_restores_the_short_wait() {
        let mut debounce = Debounce::default();
        let mut actions = 0;
        for ms in 0..1000 {
            debounce.handle_change(ms * MS);
            actions += u32::from(debounce.handle_timeout(ms * MS));
        }
        assert!((3..=8).contains(&actions), "{actions}");
        assert!(debounce.handle_timeout(2000 * MS), "the last change is not lost");
        debounce.handle_change(5000 * MS);
        assert_eq!(debounce.poll_timeout(), Some(5020 * MS));
    }
}
