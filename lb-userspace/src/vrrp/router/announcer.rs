//! When the network is told where the addresses are.

use std::time::Duration;

use crate::vrrp::Announcing;

/// The schedule of the announcements of an active router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcer {
    announcing: Announcing,
    last: Duration,
    restarted: Option<Duration>,
    /// A conflict is answered by what is announced next.
    owes: bool,
    next: Option<Duration>,
    gap: Duration,
    until: Duration,
}

impl Announcer {
    /// Announced right now, and again from then on.
    pub(super) fn new(now: Duration, announcing: Announcing) -> Self {
        let mut announcer = Self {
            announcing,
            last: now,
            restarted: None,
            owes: false,
            next: None,
            gap: announcing.first_gap,
            until: now,
        };
        announcer.begin(now);
        announcer
    }

    /// Begins again, as somebody else said that the addresses were there; true: announce now. However often that happens, it is
    /// answered once in `first_gap`.
    pub(super) fn restart(&mut self, now: Duration) -> bool {
        let earliest = self.restarted.map_or(now, |restarted| restarted + self.announcing.first_gap);
        let is_now = now >= earliest;
        self.begin(now);
        if is_now {
            self.restarted = Some(now);
            self.last = now;
        } else {
            self.next = Some(earliest);
        }
        self.owes = !is_now;
        is_now
    }

    /// Whether it is time to announce.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        if self.next.is_none_or(|next| now < next) {
            return false;
        }
        self.last = now;
        if std::mem::take(&mut self.owes) {
            self.restarted = Some(now);
        }
        self.gap = (self.gap * 2).min(self.announcing.longest_gap);
        let next = now + self.gap;
        if next > self.until {
            self.end(now);
        } else {
            self.next = Some(next);
        }
        true
    }

    /// Packets for the addresses arrive.
    pub(super) fn traffic_seen(&mut self, now: Duration) {
        self.until = now;
        self.end(self.last);
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.next
    }

    fn begin(&mut self, now: Duration) {
        self.gap = self.announcing.first_gap;
        self.until = now + self.announcing.limit;
        self.next = Some(now + self.gap);
    }

    fn end(&mut self, last: Duration) {
        self.next = self.announcing.refresh.map(|refresh| last + refresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCING: Announcing = Announcing {
        first_gap: Duration::from_millis(100),
        longest_gap: Duration::from_millis(500),
        limit: Duration::from_millis(2000),
        refresh: None,
    };

    /// When it announces after the first time, in milliseconds.
    fn times(announcer: &mut Announcer, until: u64) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(next) = announcer.poll_timeout()
            && next <= Duration::from_millis(until)
        {
            assert!(!announcer.handle_timeout(next - Duration::from_nanos(1)), "not too early");
            assert!(announcer.handle_timeout(next));
            times.push(next.as_millis() as u64);
        }
        times
    }

    #[test]
    fn gaps_double_until_the_limit() {
        let mut announcer = Announcer::new(Duration::ZERO, ANNOUNCING);
        assert_eq!(times(&mut announcer, 100_000), [100, 300, 700, 1200, 1700]);
    }

    #[test]
    fn traffic_ends_the_repetition_but_not_the_refresh() {
        let mut announcer = Announcer::new(Duration::ZERO, ANNOUNCING);
        assert_eq!(times(&mut announcer, 150), [100]);
        announcer.traffic_seen(Duration::from_millis(150));
        assert_eq!(announcer.poll_timeout(), None);
        let refresh = Some(Duration::from_secs(1));
        let mut announcer = Announcer::new(Duration::ZERO, Announcing { refresh, ..ANNOUNCING });
        announcer.traffic_seen(Duration::from_millis(50));
        assert_eq!(times(&mut announcer, 3500), [1000, 2000, 3000]);
    }

    #[test]
    fn a_conflict_is_answered_at_once_but_once_in_the_first_gap() {
        let mut announcer = Announcer::new(Duration::ZERO, ANNOUNCING);
        announcer.traffic_seen(Duration::from_millis(10));
        assert!(announcer.restart(Duration::from_millis(20)));
        assert!(!announcer.restart(Duration::from_millis(30)));
        assert_eq!(times(&mut announcer, 800), [120, 320, 720]);
        assert!(announcer.restart(Duration::from_millis(900)));
        assert_eq!(times(&mut announcer, 1300), [1000, 1200]);
        assert_eq!((1300..1500).filter(|at| announcer.restart(Duration::from_millis(*at))).count(), 2);
    }
}
