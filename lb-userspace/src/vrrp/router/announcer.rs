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
    /// How often it began.
    begun: u64,
    /// How often it was repeated since.
    repeats: u32,
    /// Packets for the addresses arrive.
    is_heard: bool,
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
            begun: 0,
            repeats: 0,
            is_heard: false,
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
        self.repeats = self.repeats.saturating_add(1);
        let next = now + self.gap;
        if next > self.until || self.is_enough() {
            self.end(now);
        } else {
            self.next = Some(next);
        }
        true
    }

    /// Packets for the addresses arrive. That shows that one neighbour knows where they are: it is repeated as often as it is to be at least.
    pub(super) fn traffic_seen(&mut self) {
        if self.awaits_traffic().is_some() {
            self.is_heard = true;
            if self.is_enough() {
                self.end(self.last);
            }
        }
    }

    /// Whether packets for the addresses would make a difference: another number each time that it begins again.
    pub(super) fn awaits_traffic(&self) -> Option<u64> {
        let is_repeating = self.next.is_some_and(|next| next <= self.until);
        (is_repeating && !self.is_heard).then_some(self.begun)
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.next
    }

    fn begin(&mut self, now: Duration) {
        self.gap = self.announcing.first_gap;
        self.until = now + self.announcing.limit;
        self.next = Some(now + self.gap);
        (self.begun, self.repeats, self.is_heard) = (self.begun + 1, 0, false);
    }

    fn is_enough(&self) -> bool {
        self.is_heard && self.repeats >= self.announcing.least_repeats
    }

    fn end(&mut self, last: Duration) {
        self.until = last;
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
        least_repeats: 0,
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
        announcer.traffic_seen();
        assert_eq!(announcer.poll_timeout(), None);
        let refresh = Some(Duration::from_secs(1));
        let mut announcer = Announcer::new(Duration::ZERO, Announcing { refresh, ..ANNOUNCING });
        announcer.traffic_seen();
        assert_eq!(times(&mut announcer, 3500), [1000, 2000, 3000]);
    }

    #[test]
    fn traffic_of_one_neighbour_does_not_end_the_repetition_before_the_others_had_their_chances() {
        let least = Announcing { least_repeats: 3, refresh: None, ..ANNOUNCING };
        let mut announcer = Announcer::new(Duration::ZERO, least);
        assert_eq!(announcer.awaits_traffic(), Some(1));
        announcer.traffic_seen();
        assert_eq!(announcer.awaits_traffic(), None, "it was told");
        assert_eq!(times(&mut announcer, 100_000), [100, 300, 700]);
        let mut announcer = Announcer::new(Duration::ZERO, least);
        assert_eq!(times(&mut announcer, 1200), [100, 300, 700, 1200]);
        announcer.traffic_seen();
        assert_eq!(announcer.poll_timeout(), None, "it was repeated often enough already");
    }

    #[test]
    fn traffic_before_a_conflict_says_nothing_of_what_comes_after_it() {
        let mut announcer = Announcer::new(Duration::ZERO, ANNOUNCING);
        announcer.traffic_seen();
        assert!(announcer.restart(Duration::from_millis(500)));
        assert_eq!(announcer.awaits_traffic(), Some(2));
        assert_eq!(times(&mut announcer, 1000), [600, 800]);
    }

    #[test]
    fn nobody_is_asked_for_traffic_while_it_is_only_refreshed() {
        let refresh = Some(Duration::from_secs(1));
        let mut announcer = Announcer::new(Duration::ZERO, Announcing { refresh, ..ANNOUNCING });
        assert_eq!(times(&mut announcer, 1700).last(), Some(&1700));
        assert_eq!(
            (announcer.awaits_traffic(), announcer.poll_timeout()),
            (None, Some(Duration::from_millis(2700)))
        );
    }

    #[test]
    fn a_conflict_is_answered_at_once_but_once_in_the_first_gap() {
        let mut announcer = Announcer::new(Duration::ZERO, ANNOUNCING);
        announcer.traffic_seen();
        assert!(announcer.restart(Duration::from_millis(20)));
        assert!(!announcer.restart(Duration::from_millis(30)));
        assert_eq!(times(&mut announcer, 800), [120, 320, 720]);
        assert!(announcer.restart(Duration::from_millis(900)));
        assert_eq!(times(&mut announcer, 1300), [1000, 1200]);
        assert_eq!((1300..1500).filter(|at| announcer.restart(Duration::from_millis(*at))).count(), 2);
    }
}
