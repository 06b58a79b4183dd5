//! What happened to a virtual router: counted, and told.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crate::{
    events::{Attribute, Kind, Notice},
    model::RouterName,
    vrrp::{Accepted, Cause, Roster, Sighting, State, Switchover},
};

/// Between two events about claims of a router's VIPs.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// What is counted, since the start.
#[derive(Clone, Debug, Default)]
pub(in crate::runtime) struct Figures {
    /// Changes to a state, by its label and the cause's.
    pub(in crate::runtime) transitions: BTreeMap<(&'static str, &'static str), u64>,
    /// Adverts that were sent: one to each receiver, in each version.
    pub(in crate::runtime) sent: u64,
    /// Adverts that were taken.
    pub(in crate::runtime) received: u64,
    /// How often the network was told where the addresses are.
    pub(in crate::runtime) announcements: u64,
    /// How often other machines claimed VIPs that were active here.
    pub(in crate::runtime) claims: u64,
    /// How long the last takeover took: from the last advert that was heard to the announcement of the addresses. `None`: there was none, or
    /// nobody was heard before it.
    pub(in crate::runtime) takeover: Option<Duration>,
}

/// The past of one virtual router.
#[derive(Debug)]
pub(super) struct Chronicle {
    name: RouterName,
    state: State,
    switchover: Option<Switchover>,
    roster: Roster,
    /// When an advert was taken last, since the router takes part.
    heard: Option<Duration>,
    /// When a conflict was told last.
    conflict_told: Option<Duration>,
    pub(super) figures: Figures,
}

impl Chronicle {
    pub(super) fn new(name: RouterName) -> Self {
        let (state, switchover) = (State::Initialize, None);
        let (roster, heard, conflict_told) = (Roster::default(), None, None);
        Self { name, state, switchover, roster, heard, conflict_told, figures: Figures::default() }
    }

    /// The same under another name.
    pub(super) fn named(self, name: RouterName) -> Self {
        Self { name, ..self }
    }

    /// Changes of state, all together.
    pub(super) fn transitions(&self) -> u64 {
        self.figures.transitions.values().sum()
    }

    /// The state is another one, or the same as nothing came of what was wanted.
    pub(super) fn changed(&mut self, state: State, cause: Cause) -> Option<Notice> {
        let from = std::mem::replace(&mut self.state, state);
        if from == state {
            return None;
        }
        if matches!(state, State::Initialize | State::Fault) {
            self.heard = None;
        }
        *self.figures.transitions.entry((state.label(), cause.label())).or_default() += 1;
        let notice = self.notice(Kind::VrrpState).with(Attribute::From, from.label());
        let notice = notice.with(Attribute::To, state.label()).with(Attribute::Reason, cause.to_string());
        Some(match cause.router() {
            Some(router) => notice.with(Attribute::Address, router),
            None => notice,
        })
    }

    /// Where a switchover stands.
    pub(super) fn switched(&mut self, switchover: Option<Switchover>) -> Option<Notice> {
        let from = std::mem::replace(&mut self.switchover, switchover);
        let word = |switchover: Option<Switchover>| {
            switchover.map_or_else(|| "none".to_owned(), |switchover| switchover.to_string())
        };
        let notice = || self.notice(Kind::VrrpSwitchover).with(Attribute::From, word(from));
        (from != switchover).then(|| notice().with(Attribute::To, word(switchover)))
    }

    /// The network was told where the addresses are: before the router says that it is active if it has just taken them.
    pub(super) fn announced(&mut self, now: Duration) {
        self.figures.announcements += 1;
        if let (Some(heard), false) = (self.heard, self.state == State::Active) {
            let took = now.saturating_sub(heard);
            self.figures.takeover = Some(took);
            tracing::info!(router = %self.name, milliseconds = took.as_millis(), "VRRP: taken over since the last advert");
        }
    }

    /// An advert was taken.
    pub(super) fn heard(&mut self, now: Duration, router: IpAddr, accepted: &Accepted) -> Option<Notice> {
        self.figures.received += 1;
        self.heard = Some(now);
        let sighting = self.roster.hear(now, router, accepted.priority, accepted.interval)?;
        Some(self.sighted(sighting))
    }

    /// Which other routers were heard.
    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Another machine claimed a VIP: told once a second.
    pub(super) fn claimed(&mut self, now: Duration, vip: IpAddr) -> Option<Notice> {
        self.figures.claims += 1;
        let is_told = self.conflict_told.is_none_or(|told| now >= told + TELL_AGAIN);
        is_told.then(|| {
            self.conflict_told = Some(now);
            tracing::warn!(router = %self.name, %vip, "VRRP: another machine claims a VIP that is active here");
            self.notice(Kind::VrrpConflict).with(Attribute::Address, vip)
        })
    }

    /// Those that are not heard any more.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> Vec<Notice> {
        let vanished = self.roster.handle_timeout(now);
        vanished.into_iter().map(|sighting| self.sighted(sighting)).collect()
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.roster.poll_timeout()
    }

    fn sighted(&self, sighting: Sighting) -> Notice {
        let (kind, router, priority) = match sighting {
            Sighting::Appeared { router, priority } => (Kind::VrrpPeerActive, router, priority),
            Sighting::Vanished { router, priority } => (Kind::VrrpPeerSilent, router, priority),
        };
        let notice = self.notice(kind).with(Attribute::Address, router);
        notice.with(Attribute::Priority, u64::from(priority.number()))
    }

    fn notice(&self, kind: Kind) -> Notice {
        Notice::new(kind).with(Attribute::Router, self.name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::tests::{TELLERS, Teller, kinds_of},
        model::Keyword as _,
        vrrp::{Interval, Priority, Standby},
    };

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3));

    fn chronicle() -> Chronicle {
        Chronicle::new(RouterName::new("outside").unwrap())
    }

    fn told(notice: Option<Notice>) -> String {
        let Some(notice) = notice else { return String::new() };
        let attributes = notice.attributes().skip(1).map(|(_, value)| value.to_string());
        attributes.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_change_of_state_is_counted_by_cause_and_told() {
        let mut chronicle = chronicle();
        let begun = told(chronicle.changed(State::Backup, Cause::Started));
        assert_eq!(begun, "vrrp-state outside initialize backup started");
        chronicle.changed(State::Active, Cause::Silence);
        let better = Cause::Better { router: PEER, priority: Priority::new(200) };
        let yielded = told(chronicle.changed(State::Backup, better));
        assert!(yielded.starts_with("vrrp-state outside active backup 192.0.2.3 is active"), "{yielded}");
        assert!(yielded.ends_with(" 192.0.2.3"), "{yielded}");
        assert_eq!(chronicle.figures.transitions[&("active", "silence")], 1);
        assert_eq!(chronicle.transitions(), 3);
    }

    #[test]
    fn what_comes_to_nothing_is_no_change_of_state() {
        let mut chronicle = chronicle();
        chronicle.changed(State::Active, Cause::Silence);
        assert_eq!(chronicle.changed(State::Active, Cause::NoSuccessor), None);
        assert_eq!(chronicle.transitions(), 1);
    }

    #[test]
    fn each_step_of_a_switchover_is_told_once() {
        let mut chronicle = chronicle();
        assert_eq!(chronicle.switched(None), None);
        let begun = told(chronicle.switched(Some(Switchover::HandingOver)));
        assert_eq!(begun, "vrrp-switchover outside none handing-over");
        assert_eq!(chronicle.switched(Some(Switchover::HandingOver)), None);
        let ended = told(chronicle.switched(Some(Switchover::Standby(Standby::Yielding))));
        assert_eq!(ended, "vrrp-switchover outside handing-over standby");
    }

    #[test]
    fn claims_are_counted_and_told_once_a_second() {
        let mut chronicle = chronicle();
        let told = [0, 500, 999, 1000].map(|at| chronicle.claimed(Duration::from_millis(at), PEER).is_some());
        assert_eq!((told, chronicle.figures.claims), ([true, false, false, true], 4));
    }

    const ACCEPTED: Accepted = Accepted {
        priority: Priority::new(150),
        interval: Interval::LONGEST_V3,
        interval_differs: false,
        addresses_differ: false,
        two_owners: false,
        is_conflict: false,
    };

    #[test]
    fn a_takeover_is_measured_from_the_last_advert_to_the_announcement() {
        let at = Duration::from_millis;
        let mut chronicle = chronicle();
        chronicle.changed(State::Backup, Cause::Started);
        chronicle.announced(at(5));
        assert_eq!(chronicle.figures.takeover, None, "nobody was heard before");
        chronicle.heard(at(100), PEER, &ACCEPTED);
        chronicle.heard(at(200), PEER, &ACCEPTED);
        chronicle.announced(at(540));
        chronicle.changed(State::Active, Cause::Silence);
        assert_eq!(chronicle.figures.takeover, Some(at(340)));
        chronicle.announced(at(640));
        assert_eq!(chronicle.figures.takeover, Some(at(340)), "that one only repeats it");
        assert_eq!(chronicle.figures.announcements, 3);
        chronicle.changed(State::Fault, Cause::Fault);
        chronicle.changed(State::Backup, Cause::Recovered);
        chronicle.announced(at(99_000));
        assert_eq!(chronicle.figures.takeover, Some(at(340)), "meanwhile nothing could be heard");
    }

    #[test]
    fn each_kind_of_event_of_virtual_routers_is_told() {
        let mut chronicle = chronicle();
        let mut told: Vec<Notice> = Vec::new();
        told.extend(chronicle.changed(State::Backup, Cause::Started));
        told.extend(chronicle.switched(Some(Switchover::HandingOver)));
        told.extend(chronicle.heard(Duration::ZERO, PEER, &ACCEPTED));
        told.extend(chronicle.claimed(Duration::ZERO, PEER));
        told.extend(chronicle.handle_timeout(chronicle.poll_timeout().unwrap()));
        let kinds = told.iter().map(|notice| notice.kind.as_str()).collect();
        assert_eq!(kinds_of(Teller::Routers), kinds, "{TELLERS}");
    }

    #[test]
    fn peers_appear_and_fall_silent() {
        let mut chronicle = chronicle();
        let appeared = told(chronicle.heard(Duration::ZERO, PEER, &ACCEPTED));
        assert_eq!(appeared, "vrrp-peer-active outside 192.0.2.3 150");
        assert_eq!(chronicle.heard(Duration::ZERO, PEER, &ACCEPTED), None);
        let silent = chronicle.handle_timeout(chronicle.poll_timeout().unwrap()).pop();
        assert_eq!(told(silent), "vrrp-peer-silent outside 192.0.2.3 150");
        assert_eq!(chronicle.figures.received, 2);
    }
}
