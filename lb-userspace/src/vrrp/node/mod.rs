//! All virtual routers of this machine, and their sync groups.

mod adverts;
mod reconfigure;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use thiserror::Error;

use super::{
    Accepted, Addresses, Afterwards, Command, Ends, Envelope, Impact, InvalidSettings, Reading, Rejection,
    Router, Settings, Standby, Standing, State, Tracked, Tracking, Vrid, tracking::standing,
};
use crate::model::InterfaceName;

/// One virtual router, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where its adverts are sent and heard.
    pub interface: InterfaceName,
    /// How it takes part.
    pub settings: Settings,
    /// What it depends on.
    pub tracking: Tracking,
    /// Its sync group: all members are active together, or none is.
    pub group: Option<String>,
}

/// Names a router of a [`Node`]: its place among the members it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub usize);

/// Why a [`Node`] can't be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidNode {
    /// One router's settings.
    #[error("virtual router {0:?}: {1}")]
    Settings(RouterId, InvalidSettings),
    /// Adverts could not be told apart.
    #[error("virtual routers {0:?} and {1:?} have the same interface, address family and VRID")]
    Duplicate(RouterId, RouterId),
}

#[derive(Debug)]
struct Entry {
    member: Member,
    router: Router,
    /// It is not configured any more: it is forgotten when it has handed over.
    leaves: bool,
    /// It starts when what it tracks is known, or at this moment.
    start_by: Option<Duration>,
    /// Clients connect to its addresses.
    serves: bool,
}

/// How long the start waits for what is tracked to be known.
const PATIENCE: Duration = Duration::from_secs(2);

/// What tells the adverts of virtual routers apart: interface, whether it is IPv4, VRID.
type Place = (InterfaceName, bool, Vrid);

/// The virtual routers. The contract is that of [`Router`].
#[derive(Debug)]
pub struct Node {
    entries: Vec<Entry>,
    places: BTreeMap<Place, RouterId>,
    groups: Vec<Vec<usize>>,
    rejected: BTreeMap<(Option<RouterId>, &'static str), u64>,
}

impl Node {
    /// Nothing is started.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Result<Self, InvalidNode> {
        let mut node = Self {
            entries: Vec::new(),
            places: BTreeMap::new(),
            groups: Vec::new(),
            rejected: BTreeMap::new(),
        };
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, member) in members.into_iter().enumerate() {
            let id = RouterId(index);
            let mut router =
                Router::new(member.settings.clone()).map_err(|invalid| InvalidNode::Settings(id, invalid))?;
            let is_v4 = matches!(member.settings.addresses, Addresses::V4(_));
            let place = (member.interface.clone(), is_v4, member.settings.vrid);
            if let Some(other) = node.places.insert(place, id) {
                return Err(InvalidNode::Duplicate(other, id));
            }
            if let Some(group) = &member.group {
                router.join_group();
                groups.entry(group.clone()).or_default().push(index);
            }
            node.entries.push(Entry { member, router, leaves: false, start_by: None, serves: false });
        }
        node.groups = groups.into_values().collect();
        Ok(node)
    }

    /// Starts all that do not run. `holds` says which of them have their addresses already, from before a restart. Those start at once, and
    /// so do others whose groups run; the rest when it is known what they track, or soon.
    pub fn start(&mut self, now: Duration, holds: impl Fn(RouterId) -> bool) {
        let runs = |entry: &Entry| entry.router.state() != State::Initialize;
        let were_running: Vec<bool> = self.entries.iter().map(runs).collect();
        for index in 0..self.entries.len() {
            if self.entries[index].leaves || were_running[index] {
                continue;
            }
            let companions = self.companions(RouterId(index));
            if companions.into_iter().any(|other| holds(RouterId(other)) || were_running[other]) {
                self.entries[index].member.tracking.assume();
                self.begin(now, index, holds(RouterId(index)));
            } else {
                self.entries[index].start_by = Some(now + PATIENCE);
            }
        }
        self.follow_tracking(now);
    }

    /// Stops them all at once.
    pub fn stop(&mut self) {
        for entry in &mut self.entries {
            entry.start_by = None;
            entry.router.stop();
        }
    }

    /// A packet arrived at an interface.
    ///
    /// # Errors
    /// Why it was not taken; it is counted, and changes nothing else.
    pub fn handle_packet(
        &mut self,
        now: Duration,
        interface: &InterfaceName,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<(RouterId, Accepted), Rejection> {
        let id = self.addressee(interface, envelope, message);
        let result = match id {
            Ok(id) => self.entries[id.0].router.handle_packet(now, envelope, message),
            Err(rejection) => Err(rejection),
        };
        match (id, result) {
            (Ok(id), Ok(accepted)) => {
                if accepted.is_conflict {
                    // The other machine had all of the group: packets go the same way on all of its networks, or astray.
                    self.companions(id)
                        .into_iter()
                        .for_each(|index| self.address_claimed(now, RouterId(index)));
                }
                self.settle(now);
                Ok((id, accepted))
            }
            (id, Err(rejection)) | (id @ Err(rejection), Ok(_)) => {
                *self.rejected.entry((id.ok(), rejection.label())).or_default() += 1;
                Err(rejection)
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.entries.iter_mut().for_each(|entry| entry.member.tracking.handle_timeout(now));
        let before = self.adverts_at();
        self.entries.iter_mut().for_each(|entry| entry.router.handle_timeout(now));
        self.join_adverts(now, &before);
        self.follow_tracking(now);
    }

    /// What was found of something that routers may track.
    pub fn take_reading(&mut self, now: Duration, name: &str, reading: &Reading) {
        for entry in &mut self.entries {
            entry.member.tracking.take(now, name, reading.clone());
        }
        self.follow_tracking(now);
    }

    /// The address that adverts of a router come from ([`Router::set_source`]).
    pub fn set_source(&mut self, now: Duration, id: RouterId, source: Option<IpAddr>) {
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.router.set_source(now, source);
        }
        self.settle(now);
    }

    /// Whether this machine has the flows of the others ([`Router::set_sync_wait`]).
    pub fn set_sync_wait(&mut self, wait: Option<Duration>) {
        self.entries.iter_mut().for_each(|entry| entry.router.set_sync_wait(wait));
    }

    /// Lets another machine be active for a router and all of its sync group; true: that is under way.
    pub fn hand_over(&mut self, now: Duration, id: RouterId, then: Afterwards) -> bool {
        let mut is_under_way = false;
        for index in self.companions(id) {
            if then == Afterwards::Stop {
                self.entries[index].start_by = None;
            }
            is_under_way |= self.entries[index].router.hand_over(now, then);
        }
        self.settle(now);
        is_under_way
    }

    /// Ends what [`Self::hand_over`] began for a router and all of its sync group.
    pub fn resume(&mut self, now: Duration, id: RouterId) {
        for index in self.companions(id) {
            self.entries[index].router.resume(now);
        }
        self.settle(now);
    }

    /// Takes up what was said of a router before a restart; to be called before [`Self::start`].
    pub fn restore(&mut self, id: RouterId, standby: Standby) {
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.router.restore(standby);
        }
    }

    /// Whether a router and all of its sync group wait only for their time to become active, or are active already, but not all.
    #[must_use]
    pub fn is_about_to_claim(&self, id: RouterId) -> bool {
        let routers = || self.companions(id).into_iter().map(|index| &self.entries[index].router);
        routers().any(Router::is_about_to_claim)
            && routers().all(|router| router.is_about_to_claim() || router.state() == State::Active)
    }

    /// Packets for the addresses of a router arrive.
    pub fn traffic_seen(&mut self, id: RouterId) {
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.router.traffic_seen();
        }
    }

    /// Another machine said that an address of a router is there.
    pub fn address_claimed(&mut self, now: Duration, id: RouterId) {
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.router.address_claimed(now);
        }
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let due = |entry: &Entry| {
            let tracking = &entry.member.tracking;
            [entry.start_by, entry.router.poll_timeout(), tracking.poll_timeout()].into_iter().flatten().min()
        };
        self.entries.iter().filter_map(due).min()
    }

    /// Whether clients connect to addresses of a router.
    pub fn set_serving(&mut self, id: RouterId, serves: bool) {
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.serves = serves;
        }
    }

    /// The next thing to do, and for which router. All addresses are taken before any is announced, and then those of all networks at
    /// once: a request that comes by one way while the answer goes by another is lost. What backends answer to is announced before what clients
    /// connect to: no question comes here whose answer would go to the machine that had the addresses.
    pub fn poll_command(&mut self) -> Option<(RouterId, Command)> {
        let order = |entry: &Entry| match entry.router.next_command()? {
            Command::Take { .. } => Some(0),
            Command::Announce if !entry.serves => Some(1),
            Command::Announce => Some(2),
            Command::Send { .. } => Some(3),
            Command::Release | Command::Changed { .. } => Some(4),
        };
        let next = |(index, entry): (usize, &Entry)| Some((order(entry)?, index));
        let (_, index) = self.entries.iter().enumerate().filter_map(next).min()?;
        Some((RouterId(index), self.entries[index].router.poll_command()?))
    }

    /// The routers, in the order they were given.
    pub fn routers(&self) -> impl ExactSizeIterator<Item = (&Member, &Router)> {
        self.entries.iter().map(|entry| (&entry.member, &entry.router))
    }

    /// All that a router tracks, and then what others of its group track and it has to go by.
    pub fn tracked(&self, id: RouterId) -> impl Iterator<Item = (&str, &Tracked, Impact)> {
        let own = self.entries.get(id.0).map(|entry| &entry.member.tracking);
        let others = self.companions(id).into_iter().filter(move |other| *other != id.0);
        let mut seen: BTreeSet<&str> =
            own.into_iter().flat_map(Tracking::iter).map(|(name, ..)| name).collect();
        let of_others = others.flat_map(|other| self.entries[other].member.tracking.iter());
        let counting = of_others
            .filter(move |(name, _, impact)| !matches!(impact, Impact::Priority(0)) && seen.insert(name));
        own.into_iter().flat_map(Tracking::iter).chain(counting)
    }

    /// How many packets were rejected, by router and [label](Rejection::label); `None`: for no router that there is.
    #[must_use]
    pub fn rejected(&self) -> &BTreeMap<(Option<RouterId>, &'static str), u64> {
        &self.rejected
    }

    /// Whose packet it is.
    fn addressee(
        &self,
        interface: &InterfaceName,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<RouterId, Rejection> {
        let [_, vrid, ..] = *message else {
            return Err(Rejection::Length { found: message.len(), expected: 8 });
        };
        let unknown = Rejection::Vrid { found: vrid };
        let is_v4 = matches!(envelope.ends, Ends::V4(..));
        let place = (interface.clone(), is_v4, Vrid::new(vrid).ok_or(unknown)?);
        self.places.get(&place).copied().ok_or(unknown)
    }

    /// A router and the others of its group, in the order they were given.
    #[must_use]
    pub fn companions(&self, id: RouterId) -> Vec<usize> {
        let group = self.groups.iter().find(|group| group.contains(&id.0));
        let alone = || self.entries.get(id.0).map(|_| id.0).into_iter().collect();
        group.cloned().unwrap_or_else(alone)
    }

    /// Tells the routers what comes of what they track, and starts those that waited for it.
    fn follow_tracking(&mut self, now: Duration) {
        self.follow_standings(now);
        for index in 0..self.entries.len() {
            let companions = self.companions(RouterId(index));
            let knows = |other: &usize| !self.entries[*other].member.tracking.is_incomplete();
            let is_time = |start_by| start_by <= now || companions.iter().all(knows);
            if self.entries[index].start_by.is_some_and(is_time) {
                self.begin(now, index, false);
            }
        }
        self.settle(now);
    }

    fn follow_standings(&mut self, now: Duration) {
        for index in 0..self.entries.len() {
            let standing = self.standing(index);
            self.entries[index].router.set_standing(now, standing);
        }
    }

    fn begin(&mut self, now: Duration, index: usize, holds: bool) {
        let standing = self.standing(index);
        let entry = &mut self.entries[index];
        entry.start_by = None;
        entry.router.set_standing(now, standing);
        entry.router.start(now, holds);
    }

    /// What comes of what a router tracks. In a group, weights that one member has count for all, each thing once: priorities that differ
    /// by network would have one machine win on one and the other on the other, and neither would be active.
    fn standing(&self, index: usize) -> Standing {
        let Member { settings, tracking, .. } = &self.entries[index].member;
        let mut impacts: BTreeMap<&str, Impact> = BTreeMap::new();
        for other in self.companions(RouterId(index)) {
            let of_other = self.entries[other].member.tracking.iter();
            let weights =
                of_other.filter(|(_, _, impact)| matches!(impact, Impact::Priority(amount) if *amount != 0));
            for (name, _, impact) in weights {
                impacts.entry(name).or_insert(impact);
            }
        }
        let own_fault =
            tracking.iter().map(|(_, _, impact)| impact).filter(|impact| *impact == Impact::Fault);
        standing(settings.priority, impacts.into_values().chain(own_fault))
    }

    /// Brings the members of each group together: a fault of one is a fault of all, they claim when all may, and give up when one
    /// does.
    fn settle(&mut self, now: Duration) {
        for group in &self.groups {
            let faulty: Vec<usize> = group
                .iter()
                .copied()
                .filter(|index| self.entries[*index].router.has_fault_itself())
                .collect();
            for index in group {
                let of_another = faulty.iter().any(|other| other != index);
                self.entries[*index].router.follow_group_fault(now, of_another);
            }
            let all = |is: fn(&Router) -> bool| group.iter().all(|index| is(&self.entries[*index].router));
            let (claims, waits) = (all(Router::may_be_active), all(Router::may_become_active));
            for index in group {
                let router = &mut self.entries[*index].router;
                if claims {
                    router.follow_claim(now);
                } else if !waits {
                    router.follow_yield(now);
                }
            }
        }
    }
}
