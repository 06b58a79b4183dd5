//! Filters, the index, the log and what control's states come to.

mod changes;
mod filter;
mod log;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Attribute, Filter, Index, Kind, Notice, Value};
use crate::model::Keyword as _;

/// Who tells of a kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Teller {
    /// Control: [`changes::each_kind_of_event_is_told_and_nothing_else`].
    Control,
    /// The health checks: the tests of `runtime::health`.
    Checks,
    /// The virtual routers: the tests of `runtime::vrrp::chronicle`.
    Routers,
    /// Replication: the tests of `runtime::replication::standing`.
    Replication,
    /// The scan of the flow tables: the tests of `runtime::follow`.
    Flows,
    /// The API: its tests of flows that are ended.
    Api,
    /// The counters of refused packets: the tests of `events::refusals`.
    Refusals,
    /// SYN cookies: the tests of `events::cookies`.
    Cookies,
    /// Captures: the tests with a running daemon.
    Captures,
}

/// What is to be done where these tests fail after a kind was added.
pub(crate) const TELLERS: &str = "each kind of event is told in a test: give it its line in `teller`, and have the test of that teller bring it about";

/// Who tells of it. A kind that is added gets its line here, and has to be told in the test of that teller.
fn teller(kind: Kind) -> Teller {
    match kind {
        Kind::ServiceAdded
        | Kind::ServiceChanged
        | Kind::ServiceRemoved
        | Kind::ServicePool
        | Kind::BackendAdded
        | Kind::BackendChanged
        | Kind::BackendRemoved
        | Kind::BackendState
        | Kind::BackendDrained
        | Kind::BackendDrainExpired
        | Kind::HealthUp
        | Kind::HealthDown
        | Kind::ConfigChanged
        | Kind::ConfigUnconfirmed
        | Kind::ConfigSettled
        | Kind::ConfigProblem
        | Kind::ConfigApplied
        | Kind::DriftRepaired
        | Kind::SourceBlocked
        | Kind::SourceUnblocked
        | Kind::SourcesChanged => Teller::Control,
        Kind::HealthSuspect | Kind::HealthCleared => Teller::Checks,
        Kind::VrrpState
        | Kind::VrrpSwitchover
        | Kind::VrrpPeerActive
        | Kind::VrrpPeerSilent
        | Kind::VrrpConflict => Teller::Routers,
        Kind::ReplicationPeerHeard | Kind::ReplicationPeerSilent | Kind::ReplicationSynced => {
            Teller::Replication
        }
        Kind::FlowBegan | Kind::FlowEnded | Kind::FlowUntold => Teller::Flows,
        Kind::FlowKilled => Teller::Api,
        Kind::AdmissionRefusing | Kind::AdmissionCalm => Teller::Refusals,
        Kind::SynCookiesBegan | Kind::SynCookiesEnded => Teller::Cookies,
        Kind::CaptureBegan | Kind::CaptureEnded => Teller::Captures,
    }
}

/// The kinds that one of them tells of.
pub(crate) fn kinds_of(who: Teller) -> BTreeSet<&'static str> {
    Kind::ALL.iter().filter(|kind| teller(**kind) == who).map(|kind| kind.as_str()).collect()
}

/// A notice of a backend that went down.
fn down(service: &str, backend: &str, address: &str) -> Notice {
    Notice::new(Kind::BackendState)
        .with(Attribute::Service, service.to_owned())
        .with(Attribute::Backend, backend.to_owned())
        .with(Attribute::Address, Value::Address(address.parse().unwrap()))
        .with(Attribute::From, "active")
        .with(Attribute::To, "down")
}

fn repaired(count: u64) -> Notice {
    Notice::new(Kind::DriftRepaired).with(Attribute::Count, count)
}

fn constraint() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..4_u8).prop_map(|n| format!("service=web-{n}")),
        (0..4_u8).prop_map(|n| format!("backend={n}")),
        Just("service^=web".to_owned()),
        Just("service^=\"\"".to_owned()),
        (0..4_u8).prop_map(|n| format!("service^=web-{n}")),
        Just("service^=wéb".to_owned()),
        (0..33_u8).prop_map(|bits| format!("address in 10.0.0.0/{bits}")),
        (0..129_u8).prop_map(|bits| format!("address in 2001:db8::/{bits}")),
        Just("address = 10.0.0.2".to_owned()),
        Just("topic = backend".to_owned()),
        Just("kind=drift-repaired".to_owned()),
        (0..5_u64, 0..5_u64).prop_map(|(least, more)| format!("count in {least}..{}", least + more)),
        (0..5_u64).prop_map(|most| format!("count in ..{most}")),
        (0..5_u64).prop_map(|count| format!("count={count}")),
        Just("to=down".to_owned()),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    let all_of = prop::collection::vec(constraint(), 1..4).prop_map(|all| all.join(" "));
    let any_of = prop::collection::vec(all_of, 1..4).prop_map(|any| any.join(" or "));
    (any_of, prop::option::of(constraint())).prop_map(|(any, more)| match more {
        Some(more) => format!("({any}) and {more}"),
        None => any,
    })
}

fn notice() -> impl Strategy<Value = Notice> {
    let address = prop_oneof![
        Just("10.0.0.1"),
        Just("10.0.0.2"),
        Just("10.200.0.1"),
        Just("192.0.2.1"),
        Just("2001:db8::1"),
        Just("2001:db8:8000::1"),
        Just("::1"),
    ];
    let service =
        prop_oneof![(0..5_u8).prop_map(|n| format!("web-{n}")), Just("wéb".to_owned()), Just("w".to_owned())];
    prop_oneof![
        (service, 0..5_u8, address).prop_map(|(service, backend, address)| down(
            &service,
            &backend.to_string(),
            address
        )),
        (0..9_u64).prop_map(repaired),
        Just(Notice::new(Kind::ConfigSettled)),
    ]
}

proptest! {
    #[test]
    fn the_index_finds_whom_asking_each_would_find(
        filters in prop::collection::vec(filter(), 0..12),
        gone in prop::collection::vec(any::<bool>(), 12),
        notices in prop::collection::vec(notice(), 1..12),
    ) {
        let mut index = Index::default();
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        for (number, filter) in (0..).zip(&filters) {
            index.insert(number, filter);
        }
        let number = |number: usize| u64::try_from(number).unwrap();
        for (subscription, _) in filters.iter().enumerate().filter(|(number, _)| gone[*number]) {
            index.remove(number(subscription));
        }
        for notice in &notices {
            let wanted = filters.iter().enumerate().filter(|(number, filter)| !gone[*number] && filter.matches(notice));
            let wanted: Vec<u64> = wanted.map(|(subscription, _)| number(subscription)).collect();
            let mut found: Vec<u64> = index.matching(notice).into_iter().collect();
            found.sort_unstable();
            prop_assert_eq!(&found, &wanted);
        }
    }

    #[test]
    fn no_text_is_too_strange_for_a_filter(text in ".{0,60}") {
        let _ = text.parse::<Filter>();
    }

    #[test]
    fn no_words_are_too_strange_for_a_filter(words in prop::collection::vec(
        prop_oneof![
            Just("("), Just(")"), Just("or"), Just("and"), Just("in"), Just("="), Just("^="), Just("\""), Just("service"),
            Just("count"), Just("address"), Just("1..2"), Just("10.0.0.0/8"), Just("web"), Just("^"),
        ],
        0..12,
    )) {
        let _ = words.join(" ").parse::<Filter>();
    }
}

#[test]
fn nothing_is_left_of_subscriptions_that_ended() {
    let mut index = Index::default();
    let filter: Filter = "service^=w or address in 10.0.0.0/8 or to=down or count in 1..".parse().unwrap();
    for number in 0..3 {
        index.insert(number, &filter);
    }
    for number in 0..3 {
        index.remove(number);
    }
    assert_eq!(format!("{index:?}"), format!("{:?}", Index::default()));
}
