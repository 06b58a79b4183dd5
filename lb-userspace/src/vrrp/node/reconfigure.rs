//! Another configuration of a machine that goes on.

use std::time::Duration;

use super::{Entry, InvalidNode, Member, Node, RouterId};
use crate::vrrp::{Addresses, Afterwards, State};

impl Node {
    /// Goes on with other virtual routers. One is the same as before if interface, address family and VRID are: it keeps its state, and only what is
    /// new about it changes. The others of before hand over and then stop; new ones wait for [`Self::start`]. Returns who each router was, in
    /// their new order: those that are configured come first, those that leave behind them.
    ///
    /// # Errors
    /// The first thing that is wrong; all is as it was then.
    pub fn reconfigure(
        &mut self,
        now: Duration,
        members: impl IntoIterator<Item = Member>,
    ) -> Result<Vec<Option<RouterId>>, InvalidNode> {
        let mut fresh = Self::new(members)?;
        fresh
            .rejected
            .extend(self.rejected.iter().filter(|((id, _), _)| id.is_none()).map(|(key, n)| (*key, *n)));
        let mut before: Vec<Option<Entry>> =
            std::mem::take(&mut self.entries).into_iter().map(Some).collect();
        let mut origins = Vec::new();
        for (index, entry) in fresh.entries.iter_mut().enumerate() {
            let place = place(&entry.member);
            let origin = before
                .iter()
                .position(|old| old.as_ref().is_some_and(|old| self::place(&old.member) == place));
            match origin.and_then(|origin| Some((origin, before[origin].take()?))) {
                Some((origin, old)) => {
                    entry.member.tracking.adopt(&old.member.tracking);
                    if old.router.state() != State::Initialize {
                        entry.member.tracking.assume();
                    }
                    let (settings, in_group) = (entry.member.settings.clone(), entry.member.group.is_some());
                    entry.router = old.router;
                    entry.router.reconfigure(now, settings, in_group);
                    let of_old = self.rejected.iter().filter(|((id, _), _)| *id == Some(RouterId(origin)));
                    fresh
                        .rejected
                        .extend(of_old.map(|((_, label), n)| ((Some(RouterId(index)), *label), *n)));
                    origins.push(Some(RouterId(origin)));
                }
                None => origins.push(None),
            }
        }
        for (origin, mut old) in before.into_iter().enumerate().filter_map(|(at, old)| Some((at, old?))) {
            old.leaves = true;
            old.start_by = None;
            old.router.leave_group();
            old.router.hand_over(now, Afterwards::Stop);
            fresh.places.insert(place(&old.member), RouterId(fresh.entries.len()));
            fresh.entries.push(old);
            origins.push(Some(RouterId(origin)));
        }
        *self = fresh;
        self.follow_standings(now);
        Ok(origins)
    }

    /// Forgets the routers that have left and have nothing more to do; returns how many remain: they keep their numbers.
    pub fn forget_stopped(&mut self) -> usize {
        let has_left = |entry: &Entry| entry.leaves && entry.router.state() == State::Initialize;
        while self.entries.last().is_some_and(has_left) {
            if let Some(entry) = self.entries.pop() {
                self.places.remove(&place(&entry.member));
            }
        }
        self.entries.len()
    }

    /// Whether a router is not configured any more.
    #[must_use]
    pub fn leaves(&self, id: RouterId) -> bool {
        self.entries.get(id.0).is_none_or(|entry| entry.leaves)
    }
}

fn place(member: &Member) -> super::Place {
    let is_v4 = matches!(member.settings.addresses, Addresses::V4(_));
    (member.interface.clone(), is_v4, member.settings.vrid)
}
