//! Cases of the decisions, and of the scan against the running kernel.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use lb_common::{
    abi::{Backend, BackendFlags, BackendState, Flow, FlowFlags, FlowKey, FlowState, Mode, Service},
    maps::PORT_WORDS,
};

use super::{Census, Counts, PortPools, Rules, Tier, ending::ResetSince, list::record, pools::Stale};
use crate::{
    api::FlowFilter,
    plan::{NO_POOL, PortRange, address_words},
};

const NOW: u32 = 1000;
const TIMEOUT: u32 = 10;
const RANGE: PortRange = PortRange { min: 1024, max: 32_767 };

fn backend(state: BackendState) -> Backend {
    Backend { state: state as u8, family: 4, service: 1, pool_base: NO_POOL, ..Backend::default() }
}

/// Backend 1 is active, 2 was removed, 3 never existed.
fn rules() -> Rules {
    let backends = vec![
        Backend::default(),
        backend(BackendState::Active),
        backend(BackendState::Unused),
        Backend::default(),
    ];
    Rules { now: NOW, timeouts: [TIMEOUT; 16], backends, reset_since: ResetSince::default() }
}

fn flow(backend: u32, last_seen: u32) -> Flow<u32> {
    Flow { backend, last_seen, service: 1, state: FlowState::Established as u8, ..Flow::default() }
}

#[test]
fn a_flow_dies_when_it_was_idle_for_longer_than_its_timeout() {
    let rules = rules();
    assert!(!rules.is_dead(&flow(1, NOW - TIMEOUT)));
    assert!(rules.is_dead(&flow(1, NOW - TIMEOUT - 1)));
    assert!(!rules.is_dead(&flow(1, NOW + 1)), "touched since the scan began");
}

#[test]
fn the_timeout_is_that_of_the_state() {
    let mut rules = rules();
    rules.timeouts[FlowState::Closed as usize] = 1;
    let closed = Flow { state: FlowState::Closed as u8, ..flow(1, NOW - 2) };
    assert!(rules.is_dead(&closed));
    assert!(!rules.is_dead(&flow(1, NOW - 2)));
}

#[test]
fn flows_of_a_removed_backend_are_dead_at_once() {
    for removed in [0, 2, 3, 4, u32::MAX] {
        assert!(rules().is_dead(&flow(removed, NOW)), "{removed}");
    }
}

#[test]
fn flows_to_be_reset_live_until_their_ends_were_asked_and_what_was_reset_lives_on() {
    let mut rules = rules();
    for state in [BackendState::Unused, BackendState::Down, BackendState::Disabled] {
        rules.backends[2] = Backend { flags: BackendFlags::RESET, ..backend(state) };
        rules.reset_since = ResetSince::default();
        rules.reset_since.update(NOW - 3, &rules.backends);
        assert!(!rules.is_dead(&flow(2, NOW - 5)), "{state:?}");
        rules.reset_since = ResetSince::default();
        rules.reset_since.update(NOW - 4, &rules.backends);
        let closed = Flow { state: FlowState::Closed as u8, ..flow(2, NOW - 5) };
        assert!(rules.is_dead(&flow(2, NOW - 5)) && !rules.is_dead(&closed), "{state:?}");
        assert!(!rules.is_dead(&flow(1, NOW - 5)));
    }
}

#[test]
fn a_flow_counts_once_though_it_has_two_entries() {
    let rules = rules();
    let mut census = Census::new(&rules);
    let forward = flow(1, NOW);
    let reverse = Flow { flags: FlowFlags::REVERSE, ..forward };
    assert!(census.add(&rules, Tier::Established, &forward));
    assert!(census.add(&rules, Tier::Established, &reverse));
    assert!(census.add(&rules, Tier::Embryonic, &forward));
    assert!(!census.add(&rules, Tier::Established, &flow(1, 0)));
    assert_eq!(census.by_owner(&rules), [((1, 1), Counts { established: 1, embryonic: 1, ended: 0 })].into());
    assert_eq!(census.by_backend(&rules), [(1, 2), (2, 0)].into());
}

#[test]
fn a_flow_that_both_sides_closed_or_one_reset_has_ended() {
    let rules = rules();
    let mut census = Census::new(&rules);
    for state in [FlowState::Established, FlowState::FinClient, FlowState::Closing, FlowState::Closed] {
        let forward = Flow { state: state as u8, ..flow(1, NOW) };
        census.add(&rules, Tier::Established, &forward);
        census.add(&rules, Tier::Established, &Flow { flags: FlowFlags::REVERSE, ..forward });
    }
    let counts = census.by_owner(&rules)[&(1, 1)];
    assert_eq!((counts.established, counts.ended, counts.open()), (4, 2, 2));
}

#[test]
fn a_removed_backends_id_is_released_by_a_scan_that_saw_none_of_its_flows() {
    let rules = rules();
    let mut census = Census::new(&rules);
    census.add(&rules, Tier::Established, &flow(2, NOW));
    assert_eq!(census.released(&rules), [0; 0]);
    assert_eq!(Census::new(&rules).released(&rules), [2]);
}

/// Backend 1 of a full-NAT service with two SNAT addresses, pools 3 and 4.
fn pools() -> PortPools {
    let backends = [Backend::default(), Backend { pool_base: 3, ..backend(BackendState::Active) }];
    let service =
        Service { id: 1, mode: Mode::FullNat as u8, snat_base: 1, snat_count: 2, ..Service::default() };
    let addresses = [[0; 4], [11, 0, 0, 0], [12, 0, 0, 0]];
    PortPools::new(RANGE, &backends, &HashMap::from([(1, service)]), &addresses, &words())
}

fn words() -> Vec<AtomicU64> {
    (0..5 * PORT_WORDS).map(|index| AtomicU64::new(RANGE.initial_word(index % PORT_WORDS))).collect()
}

fn bit(words: &[AtomicU64], pool: usize, port: usize) -> bool {
    words[pool * PORT_WORDS as usize + port / 64].load(Ordering::Relaxed) >> (port % 64) & 1 == 1
}

fn set(words: &[AtomicU64], pool: usize, port: usize) {
    words[pool * PORT_WORDS as usize + port / 64].fetch_or(1 << (port % 64), Ordering::Relaxed);
}

/// The two entries of a flow of backend 1 from `address`:`port`.
fn entries(address: u32, port: u16) -> [(FlowKey<u32>, Flow<u32>); 2] {
    let allocated = Flow { flags: FlowFlags::PORT_ALLOCATED, ..flow(1, NOW) };
    let forward = (FlowKey::default(), Flow { src: address, sport: port.to_be(), ..allocated });
    let reverse = (
        FlowKey { dst: address, dport: port.to_be(), ..FlowKey::default() },
        Flow { flags: FlowFlags::PORT_ALLOCATED | FlowFlags::REVERSE, ..allocated },
    );
    [forward, reverse]
}

fn scan(words: &[AtomicU64], flows: &[(FlowKey<u32>, Flow<u32>)], last: &Stale) -> (Vec<u32>, Stale) {
    let mut pools = pools();
    pools.read(words);
    for (key, flow) in flows {
        pools.add(key, flow);
    }
    let (uses, stale) = pools.settle(words, last);
    (uses.iter().map(|pool| pool.in_use).collect(), stale)
}

#[test]
fn a_port_without_a_flow_is_given_back_by_the_second_scan() {
    let words = words();
    set(&words, 3, 2000);
    set(&words, 4, 2000);
    set(&words, 2, 2000);
    let (uses, stale) = scan(&words, &[], &Stale::default());
    assert_eq!(uses, [1, 1]);
    assert!(bit(&words, 3, 2000));
    let (uses, _) = scan(&words, &[], &stale);
    assert_eq!(uses, [0, 0]);
    assert!(!bit(&words, 3, 2000) && !bit(&words, 4, 2000));
    assert!(bit(&words, 2, 2000), "a pool that nobody uses is left alone");
}

#[test]
fn either_entry_of_a_flow_keeps_its_port() {
    for entry in entries(12, 2000) {
        let words = words();
        set(&words, 4, 2000);
        let (_, stale) = scan(&words, &[entry], &Stale::default());
        let (uses, stale) = scan(&words, &[entry], &stale);
        assert_eq!(uses, [0, 1]);
        assert!(bit(&words, 4, 2000));
        let (_, stale) = scan(&words, &[], &stale);
        assert!(bit(&words, 4, 2000), "it was live a scan ago");
        let _ = scan(&words, &[], &stale);
        assert!(!bit(&words, 4, 2000));
    }
}

#[test]
fn a_live_flow_without_a_bit_gets_it_back() {
    let words = words();
    assert_eq!(scan(&words, &entries(11, 2000), &Stale::default()).0, [1, 0]);
    assert!(bit(&words, 3, 2000));
}

#[test]
fn ports_outside_the_range_stay_taken() {
    let words: Vec<AtomicU64> = (0..5 * PORT_WORDS).map(|_| AtomicU64::new(0)).collect();
    let mut stale = Stale::default();
    for _ in 0..3 {
        let (uses, next) = scan(&words, &[], &stale);
        assert_eq!(uses, [0, 0]);
        stale = next;
        for port in [0, 1023, 32_768, 65_535] {
            assert!(bit(&words, 3, port), "{port}");
        }
        assert!(!bit(&words, 3, 1024) && !bit(&words, 3, 32_767));
    }
}

#[test]
fn a_record_shows_both_sides_and_the_filter_picks() {
    let word = |text: &str| address_words(text.parse().unwrap())[0];
    let key = FlowKey {
        src: word("198.51.100.7"),
        dst: word("203.0.113.10"),
        sport: 40_000_u16.to_be(),
        dport: 80_u16.to_be(),
        proto: 6,
        pad: [0; 3],
    };
    let forward = Flow {
        src: word("192.0.2.1"),
        dst: word("10.0.0.1"),
        sport: 1025_u16.to_be(),
        dport: 8080_u16.to_be(),
        ..flow(1, NOW - 7)
    };
    let record = record(&rules(), &key, &forward);
    assert_eq!(record.client.to_string(), "198.51.100.7:40000");
    assert_eq!(record.vip.to_string(), "203.0.113.10:80");
    assert_eq!(record.source.to_string(), "192.0.2.1:1025");
    assert_eq!(record.destination.to_string(), "10.0.0.1:8080");
    assert_eq!(record.idle_seconds, 7);

    let wants = |change: &dyn Fn(&mut FlowFilter)| {
        let mut filter = FlowFilter::default();
        change(&mut filter);
        filter.wants(&record)
    };
    assert!(wants(&|_| {}));
    assert!(wants(&|filter| (filter.service, filter.backends) = (Some(1), Some(vec![1]))));
    assert!(!wants(&|filter| filter.service = Some(2)));
    assert!(!wants(&|filter| filter.backends = Some(vec![])));
    for (network, wanted) in
        [("198.51.100.7/32", true), ("198.51.100.0/29", true), ("198.51.100.8/32", false)]
    {
        assert_eq!(wants(&|filter| filter.client = network.parse().ok()), wanted, "{network}");
    }
    assert!(wants(&|filter| filter.protocol = Some(6)) && !wants(&|filter| filter.protocol = Some(17)));
    let (open, closed) = (FlowState::Established as u8, FlowState::Closed as u8);
    assert!(wants(&|filter| filter.states = Some(vec![closed, open])));
    assert!(!wants(&|filter| filter.states = Some(vec![closed])));
    assert!(wants(&|filter| (filter.idle_min, filter.idle_max) = (Some(7), Some(7))));
    assert!(!wants(&|filter| filter.idle_min = Some(8)) && !wants(&|filter| filter.idle_max = Some(6)));
}

#[test]
fn a_flow_that_was_ended_lives_until_its_ends_were_asked_and_what_was_reset_lives_on() {
    let rules = rules();
    let ended = |last_seen, state: FlowState| Flow {
        flags: FlowFlags::RESET,
        state: state as u8,
        ..flow(1, last_seen)
    };
    assert!(!rules.is_dead(&ended(NOW - 3, FlowState::Established)));
    assert!(rules.is_dead(&ended(NOW - 4, FlowState::Established)));
    assert!(!rules.is_dead(&ended(NOW - 4, FlowState::Closed)));
    assert!(rules.is_reset(&ended(NOW, FlowState::Established)) && !rules.is_reset(&flow(1, NOW)));
}
