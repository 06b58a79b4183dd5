//! Tells of flows that begin and end, while somebody asks for it.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::abi::FlowState;

use crate::{
    api::FlowRecord,
    control::Snapshot,
    events::{Attribute, Bus, Kind, Notice, Topic},
    flows::{FlowMaps, Followed, Follower},
    model::{Keyword as _, Protocol, Timestamp},
};

/// Events that are told after one look at most.
const MOST_TOLD: u64 = 1000;

/// Looks at the tables before dead flows are deleted, if somebody asks; `None`: nobody does, or they cannot be read, which the scan
/// that follows says.
pub(super) fn look(follower: &mut Follower, asked: bool, maps: &FlowMaps, tick: u32) -> Option<Followed> {
    if !asked {
        follower.forget();
        return None;
    }
    follower.look(maps, tick).ok()
}

/// Whether somebody asks.
pub(super) fn is_asked(events: &Bus) -> bool {
    events.asks_for(Topic::Flow)
}

/// Tells what somebody wants of it, as far as there is room, and how much was not told.
pub(super) fn tell(events: &Bus, followed: &Followed, snapshot: &Snapshot, at: Timestamp) {
    let names = Names::of(snapshot);
    let begun = followed.begun.iter().map(|flow| names.began(flow));
    let ended = followed.ended.iter().map(|(flow, end)| names.ended(flow, end.as_str()));
    let (mut told, mut untold) = (0, followed.more);
    for notice in begun.chain(ended) {
        if told < MOST_TOLD {
            told += u64::from(events.publish_wanted(at, notice));
        } else {
            untold += 1;
        }
    }
    if untold > 0 {
        events.publish(at, [Notice::new(Kind::FlowUntold).with(Attribute::Count, untold)]);
    }
}

/// Names by id.
struct Names<'a> {
    services: BTreeMap<u16, &'a str>,
    backends: BTreeMap<u32, (&'a str, IpAddr)>,
}

impl<'a> Names<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let services = snapshot.services.iter().map(|view| (view.id, view.desired.name.as_str()));
        let backends = snapshot
            .backends()
            .map(|(_, view)| (view.id, (view.desired.name.as_str(), view.desired.address)));
        Self { services: services.collect(), backends: backends.collect() }
    }

    fn began(&self, flow: &FlowRecord) -> Notice {
        let state = FlowState::ALL.into_iter().find(|state| *state as u8 == flow.state);
        let notice = self.about(Kind::FlowBegan, flow);
        match state {
            Some(state) => notice.with(Attribute::State, state.as_str()),
            None => notice,
        }
    }

    fn ended(&self, flow: &FlowRecord, how: &'static str) -> Notice {
        self.about(Kind::FlowEnded, flow).with(Attribute::Reason, how)
    }

    fn about(&self, kind: Kind, flow: &FlowRecord) -> Notice {
        let mut notice = Notice::new(kind);
        if let Some(service) = self.services.get(&flow.service) {
            notice = notice.with(Attribute::Service, (*service).to_owned());
        }
        if let Some((backend, address)) = self.backends.get(&flow.backend) {
            notice =
                notice.with(Attribute::Backend, (*backend).to_owned()).with(Attribute::Address, *address);
        }
        let protocol = Protocol::ALL.iter().find(|protocol| protocol.number() == flow.protocol);
        if let Some(protocol) = protocol {
            notice = notice.with(Attribute::Protocol, protocol.as_str());
        }
        let notice = notice.with(Attribute::Client, flow.client.ip());
        notice.with(Attribute::Port, u64::from(flow.client.port()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        control::fixture::{MemoryStore, SharedMaps, control, example},
        events::{
            Subscription,
            tests::{TELLERS, Teller, kinds_of},
        },
        flows::End,
    };

    fn flow(port: u16) -> FlowRecord {
        let at = |text: &str| text.parse().unwrap();
        FlowRecord {
            protocol: 6,
            client: std::net::SocketAddr::from(([198, 51, 100, 7], port)),
            vip: at("203.0.113.10:80"),
            source: at("198.51.100.7:1"),
            destination: at("10.0.0.11:8080"),
            service: 1,
            backend: 1,
            state: FlowState::Established as u8,
            idle_seconds: 0,
        }
    }

    /// What somebody with this filter was told, a line for each event.
    fn told(subscription: &Subscription) -> Vec<String> {
        let events = subscription.take().unwrap_or_default().events;
        let line = |event: &crate::events::Event| {
            event
                .notice
                .attributes()
                .skip(1)
                .map(|(_, value)| value.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        events.iter().map(|event| line(event)).collect()
    }

    fn snapshot() -> std::sync::Arc<Snapshot> {
        control(&MemoryStore::new(example()), &SharedMaps::default()).snapshot()
    }

    #[test]
    fn flows_are_told_to_those_who_ask_for_them_and_have_no_numbers() {
        let (bus, now) = (Bus::new(Timestamp::default()), Timestamp::default());
        let subscribe = |filter: &str| bus.subscribe(&filter.parse().unwrap(), None).unwrap();
        let (everything, of_web) = (subscribe(""), subscribe("service=web"));
        assert!(!is_asked(&bus), "they ask for no topic");
        let (all, some) =
            (subscribe("topic=flow"), subscribe("kind=flow-ended client in 198.51.100.0/24 port in ..1"));
        assert!(is_asked(&bus));
        let next = bus.next();
        let followed = Followed {
            begun: vec![flow(1)],
            ended: vec![(flow(2), End::Expired), (flow(1), End::Closed)],
            more: 5,
        };
        tell(&bus, &followed, &snapshot(), now);
        let began = "flow-began web b1 10.0.0.11 tcp 198.51.100.7 1 established";
        let closed = "flow-ended web b1 10.0.0.11 tcp 198.51.100.7 1 closed";
        let expired = "flow-ended web b1 10.0.0.11 tcp 198.51.100.7 2 expired";
        let lines = told(&all);
        assert_eq!(lines, [began, expired, closed, "flow-untold 5"]);
        assert_eq!(told(&some), [closed, "flow-untold 5"], "what may be missing is told to all who ask");
        assert!(everything.take().is_none() && of_web.take().is_none());
        assert_eq!(bus.next(), next);
        assert!(bus.subscribe(&"topic=flow".parse().unwrap(), Some(0)).unwrap().take().is_none());
        let kinds: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(kinds, kinds_of(Teller::Flows), "{TELLERS}");
        drop((all, some));
        assert!(!is_asked(&bus));
    }

    #[test]
    fn no_more_than_some_are_told_at_once_and_the_others_are_counted() {
        let bus = Bus::new(Timestamp::default());
        let all = bus.subscribe(&"topic=flow".parse().unwrap(), None).unwrap();
        let begun = (0..MOST_TOLD as u16 + 7).map(flow).collect();
        tell(&bus, &Followed { begun, ..Followed::default() }, &snapshot(), Timestamp::default());
        let lines = told(&all);
        assert_eq!(
            (lines.len() as u64, lines.last().map(String::as_str)),
            (MOST_TOLD + 1, Some("flow-untold 7"))
        );
    }
}
