//! Which other routers are heard to be active: for operators, and for packets that are under way when another one was active until a moment ago.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::{Interval, Priority};

/// Most routers that are remembered; anybody on the link can make some up.
const MOST: usize = 16;

/// A router that was not heard for so many of its intervals may be gone.
const FRESH_INTERVALS: u32 = 2;

/// The routers that one virtual router hears.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    heard: BTreeMap<IpAddr, Heard>,
    /// Who was heard last, also to say that it stops, and until when that is fresh.
    last: Option<(IpAddr, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    priority: Priority,
    until: Duration,
}

/// What is new about another router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It says that it is active.
    Appeared {
        /// Its address.
        router: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// It says that it stops, or was not heard for 4 of its intervals: a whole down interval of whoever listens.
    Vanished {
        /// Its address.
        router: IpAddr,
        /// Its priority while it was heard.
        priority: Priority,
    },
}

impl Roster {
    /// An advert was taken.
    pub fn hear(
        &mut self,
        now: Duration,
        router: IpAddr,
        priority: Priority,
        interval: Interval,
    ) -> Option<Sighting> {
        self.last = Some((router, now + interval.duration() * FRESH_INTERVALS));
        if priority == Priority::STOPS {
            let Heard { priority, .. } = self.heard.remove(&router)?;
            return Some(Sighting::Vanished { router, priority });
        }
        let heard = Heard { priority, until: now + interval.duration() * 4 };
        if let Some(known) = self.heard.get_mut(&router) {
            *known = heard;
            return None;
        }
        if self.heard.len() >= MOST {
            return None;
        }
        self.heard.insert(router, heard);
        Some(Sighting::Appeared { router, priority })
    }

    /// Who was active last, however long ago: where its addresses are now, packets of its flows may still come. It may forward although it is silent.
    #[must_use]
    pub fn predecessor(&self) -> Option<IpAddr> {
        self.last.map(|(router, _)| router)
    }

    /// Who is active beside this router, or was until a moment ago.
    #[must_use]
    pub fn beside(&self, now: Duration) -> Option<IpAddr> {
        self.last.filter(|(_, until)| now < *until).map(|(router, _)| router)
    }

    /// Those that are not heard any more.
    pub fn handle_timeout(&mut self, now: Duration) -> Vec<Sighting> {
        let mut vanished = Vec::new();
        self.heard.retain(|router, heard| {
            let is_heard = now < heard.until;
            if !is_heard {
                vanished.push(Sighting::Vanished { router: *router, priority: heard.priority });
            }
            is_heard
        });
        vanished
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.heard.values().map(|heard| heard.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn hear(roster: &mut Roster, now: u64, router: IpAddr, priority: u8) -> Option<Sighting> {
        roster.hear(ms(now), router, Priority::new(priority), Interval::from_centiseconds(10).unwrap())
    }

    #[test]
    fn a_router_appears_once_and_vanishes_when_it_is_silent_or_stops() {
        let (mut roster, priority) = (Roster::default(), Priority::new(100));
        assert_eq!(hear(&mut roster, 0, ROUTER, 0), None, "who was not heard does not vanish");
        let appeared = Some(Sighting::Appeared { router: ROUTER, priority });
        assert_eq!(hear(&mut roster, 0, ROUTER, 100), appeared);
        assert_eq!(hear(&mut roster, 100, ROUTER, 100), None);
        assert_eq!((roster.handle_timeout(ms(499)), roster.poll_timeout()), (Vec::new(), Some(ms(500))));
        let vanished = Sighting::Vanished { router: ROUTER, priority };
        assert_eq!(roster.handle_timeout(ms(500)), [vanished]);
        assert_eq!(hear(&mut roster, 600, ROUTER, 100), appeared);
        assert_eq!(hear(&mut roster, 650, ROUTER, 0), Some(vanished));
        assert_eq!(roster.poll_timeout(), None);
    }

    #[test]
    fn who_stops_was_beside_and_who_is_silent_is_the_predecessor_still() {
        let mut roster = Roster::default();
        assert_eq!((roster.beside(ms(0)), roster.predecessor()), (None, None));
        hear(&mut roster, 0, ROUTER, 100);
        assert_eq!((roster.beside(ms(199)), roster.beside(ms(200))), (Some(ROUTER), None));
        hear(&mut roster, 250, ROUTER, 0);
        assert_eq!((roster.beside(ms(449)), roster.beside(ms(450))), (Some(ROUTER), None));
        assert_eq!(roster.predecessor(), Some(ROUTER));
    }

    #[test]
    fn who_makes_routers_up_takes_no_memory() {
        let mut roster = Roster::default();
        let made_up =
            (0..200).filter(|last| hear(&mut roster, 0, IpAddr::from([10, 0, 1, *last]), 100).is_some());
        assert_eq!(made_up.count(), MOST);
    }
}
