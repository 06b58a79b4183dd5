//! Invariants of the flow table and the port pools, under any order of packets.

mod common;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

use common::{CLIENTS, Look, Plan, SERVERS, SERVICE, add_host, endpoints, mac, plan};
use lb_common::{
    Action,
    abi::{BackendState, DropReason, FlowFlags, FlowState, Mode, Selector, Settings, SettingsFlags},
    host::{HostTables, Side, run},
    maps::PORT_WORDS,
    tables::{Holder, Tier},
    wire::{ACK, FIN, RST, SYN, TCP},
};
use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// Client number and port number, TCP flags.
    Request(u8, u8, u8),
    /// An answer to one of the forwarded packets.
    Answer(prop::sample::Index, u8),
    /// Ticks pass.
    Wait(u32),
    /// A backend changes its state.
    Backend(prop::sample::Index, BackendState),
    /// Routes change.
    Reroute,
    /// `lbd` was away too long: all bits of the pools are lost.
    PortsLost,
}

fn event() -> impl Strategy<Value = Event> {
    let flags = || prop::sample::select(vec![SYN, ACK, FIN | ACK, RST, SYN | ACK]);
    prop_oneof![
        8 => (0u8..3, 0u8..3, flags()).prop_map(|(client, port, flags)| Event::Request(client, port, flags)),
        8 => (any::<prop::sample::Index>(), flags()).prop_map(|(index, flags)| Event::Answer(index, flags)),
        2 => prop::sample::select(vec![1, 30, 61]).prop_map(Event::Wait),
        1 => (
            any::<prop::sample::Index>(),
            prop::sample::select(vec![BackendState::Active, BackendState::Draining, BackendState::Down]),
        ).prop_map(|(index, state)| Event::Backend(index, state)),
        1 => Just(Event::Reroute),
        1 => Just(Event::PortsLost),
    ]
}

fn plain() -> Look {
    Look { payload: vec![1, 2, 3], tags: vec![], options: 0, hop_limit: 64, checksum: true }
}

fn client(plan: &Plan, number: u8, port: u8) -> Plan {
    let mut plan = plan.clone();
    let ip = match plan.client.ip() {
        std::net::IpAddr::V4(ip) => std::net::Ipv4Addr::from(u32::from(ip) ^ u32::from(number)).into(),
        std::net::IpAddr::V6(ip) => std::net::Ipv6Addr::from(u128::from(ip) ^ u128::from(number)).into(),
    };
    plan.client = SocketAddr::new(ip, 40000 + u16::from(port));
    plan
}

/// Every entry has its twin in the same tier, and is its twin's twin: packets of a flow never reach another one.
fn consistent<A: Side>(tables: &HostTables, proto: u8) {
    let side = A::side(tables);
    for flows in [&side.flows, &side.embryonic] {
        let flows = flows.borrow();
        for (key, entry) in flows.iter() {
            let flow = entry.0.get();
            let twin = flows.get(&flow.twin_key(proto));
            let twin = twin.unwrap_or_else(|| panic!("{key:?} -> {flow:?} has no twin")).0.get();
            assert_eq!(twin.twin_key(proto), *key, "of {flow:?}");
            assert_eq!(twin.state, flow.state);
            assert_eq!((twin.backend, twin.service), (flow.backend, flow.service));
            assert_eq!(twin.flags ^ flow.flags, FlowFlags::REVERSE);
        }
    }
}

/// Live flows have places, and never more than there are; flows without a limit have none.
fn counted<A: Side>(tables: &HostTables, of_service: u32, of_backend: u32) {
    let side = A::side(tables);
    let mut holders: HashMap<u32, i64> = HashMap::new();
    for flows in [&side.flows, &side.embryonic] {
        for flow in flows.borrow().values().map(|entry| entry.0.get()).filter(|flow| !flow.is_reverse()) {
            let over = flow.state == FlowState::Closing as u8 || flow.state == FlowState::Closed as u8;
            let limited = of_service + of_backend > 0;
            assert_eq!(flow.flags & FlowFlags::COUNTED != 0, limited && !over, "{flow:?}");
            *holders.entry(flow.backend).or_default() += i64::from(limited && !over);
        }
    }
    if holders.is_empty() {
        return;
    }
    let mut all = 0;
    for (backend, flows) in holders {
        all += flows;
        assert_eq!(tables.places_in_use(Holder::Backend(backend)), flows, "of backend {backend}");
        assert!(of_backend == 0 || flows <= i64::from(of_backend), "backend {backend} has {flows}");
    }
    assert_eq!(tables.places_in_use(Holder::Service(SERVICE)), all);
    assert!(of_service == 0 || all <= i64::from(of_service), "the service has {all}");
}

/// A client's entry as `FLOW_EVENTS` names it: source and destination with their ports.
type Ends = ([u32; 4], [u32; 4], u16, u16);

/// Takes in what the data path told, and compares it with the table: which flows there are, and which of them are over.
fn told<A: Side>(tables: &HostTables, known: &mut HashMap<Ends, bool>) {
    let is_over = |state: u8| state == FlowState::Closing as u8 || state == FlowState::Closed as u8;
    for event in tables.flow_events.take() {
        let ends = if event.flags & FlowFlags::REVERSE == 0 {
            (event.src, event.dst, event.sport, event.dport)
        } else {
            (event.new_dst, event.new_src, event.new_dport, event.new_sport)
        };
        known.insert(ends, is_over(event.state));
    }
    for (key, entry) in A::side(tables).flows.borrow().iter() {
        let flow = entry.0.get();
        if !flow.is_reverse() {
            let ends = (key.src.words(), key.dst.words(), key.sport, key.dport);
            assert_eq!(known.get(&ends), Some(&is_over(flow.state)), "{flow:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_two_directions_of_every_flow_stay_together(
        plan in plan(),
        events in prop::collection::vec(event(), 1..60),
        (of_service, of_backend) in (0u32..5, 0u32..3),
    ) {
        let tables = plan.tables();
        let mut known = HashMap::new();
        tables.settings.set(Settings { flags: SettingsFlags::TELL_FLOWS, ..tables.settings.get() });
        if of_service + of_backend > 0 {
            let limits: Vec<_> = (1..=plan.backends.len() as u32).map(|id| (id, of_backend)).collect();
            tables.set_limits(of_service, &limits);
        }
        for number in 0..3 {
            add_host(&tables, client(&plan, number, 0).client.ip(), CLIENTS);
        }
        let mut forwarded: Vec<(SocketAddr, SocketAddr)> = Vec::new();
        for event in events {
            match event {
                Event::Request(number, port, flags) => {
                    let spec = client(&plan, number, port).request(flags, &plain());
                    let (verdict, bytes) = run(&spec.build(), CLIENTS, &tables);
                    if verdict.action() == Action::Redirect {
                        forwarded.push(endpoints(&bytes, &spec));
                    }
                }
                Event::Answer(index, flags) if !forwarded.is_empty() => {
                    let (src, dst) = forwarded[index.index(forwarded.len())];
                    let mut spec = plan.frame(dst, src, flags, &plain());
                    spec.dmac = mac(SERVERS);
                    let _ = run(&spec.build(), SERVERS, &tables);
                }
                Event::Answer(..) => {}
                Event::Wait(ticks) => tables.now.set(tables.now.get() + ticks),
                Event::Backend(index, state) => {
                    tables.set_backend_state(1 + index.index(plan.backends.len()) as u32, state);
                }
                Event::Reroute => {
                    let mut settings = tables.settings.get();
                    settings.fib_generation += 1;
                    tables.settings.set(settings);
                }
                Event::PortsLost => tables.ports.borrow_mut().clear(),
            }
            consistent::<u32>(&tables, plan.proto);
            consistent::<[u32; 4]>(&tables, plan.proto);
            told::<u32>(&tables, &mut known);
            told::<[u32; 4]>(&tables, &mut known);
            counted::<u32>(&tables, of_service, of_backend);
            counted::<[u32; 4]>(&tables, of_service, of_backend);
        }
        // Flows that nobody ended are over when their clients come back after their time.
        tables.now.set(tables.now.get() + 1000);
        tables.backends.borrow_mut().values_mut().for_each(|backend| backend.state = BackendState::Draining as u8);
        for (number, port) in (0..3).flat_map(|number| (0..3).map(move |port| (number, port))) {
            let spec = client(&plan, number, port).request(RST, &plain());
            let _ = run(&spec.build(), CLIENTS, &tables);
        }
        for id in 1..=plan.backends.len() as u32 {
            prop_assert_eq!(tables.places_in_use(Holder::Backend(id)), 0);
        }
        prop_assert_eq!(tables.places_in_use(Holder::Service(SERVICE)), 0);
    }
}

/// A service in full-nat mode with one backend, and many clients.
fn crowded(v6: bool) -> (Plan, HostTables) {
    let at = |host: u8, port| match v6 {
        true => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()], port)),
        false => SocketAddr::from(([10, 0, 0, host], port)),
    };
    let plan = Plan {
        client: at(1, 1),
        vip: at(2, 80),
        backends: vec![at(3, 8080)],
        snat: at(4, 0).ip(),
        proto: TCP,
        mode: Mode::FullNat,
        selector: Selector::FlowHash,
        seed: [0x1234, 0x9876],
        exclusive: false,
    };
    let tables = plan.tables();
    reserve(&tables);
    (plan, tables)
}

/// Ports outside the range are in use for ever, as `lbd` marks them.
fn reserve(tables: &HostTables) {
    let (min, max) = (tables.settings.get().port_min, tables.settings.get().port_max);
    for port in (0..min).chain(max..=u16::MAX).filter(|port| *port < min || *port > max) {
        *tables.ports.borrow_mut().entry(u32::from(port / 64)).or_default() |= 1 << (port % 64);
    }
}

/// Begins a flow of client `number`; the source it got.
fn begin(plan: &Plan, tables: &HostTables, number: u32, port: u16) -> Result<SocketAddr, DropReason> {
    let mut one = plan.clone();
    let ip = match one.client.ip() {
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::from(0x0b00_0000 + number).into(),
        std::net::IpAddr::V6(ip) => {
            std::net::Ipv6Addr::from(u128::from(ip) + (u128::from(number) << 32)).into()
        }
    };
    one.client = SocketAddr::new(ip, port);
    let spec = one.request(SYN, &plain());
    let (verdict, bytes) = run(&spec.build(), CLIENTS, tables);
    match verdict.drop_reason() {
        None => Ok(endpoints(&bytes, &spec).0),
        Some(reason) => Err(reason),
    }
}

/// Fills a pool to the last port. Below 95 % use nothing fails; no port is given twice; at the end all are used.
#[test]
fn a_pool_can_be_used_up() {
    for v6 in [false, true] {
        // All clients have the same port: nearly all flows have to search.
        for ports in [1, 1000] {
            let (plan, tables) = crowded(v6);
            let range = 65536 - 1024;
            let mut seen = HashSet::new();
            for number in 0..range * 95 / 100 {
                let source = begin(&plan, &tables, number, 40000 + (number % ports) as u16);
                let source = source.unwrap_or_else(|reason| panic!("{reason:?} after {number} flows"));
                assert!(source.port() >= 1024);
                assert!(seen.insert(source), "{source} was given to two flows");
            }
        }
    }
}

/// The same with a pool whose used ports lie side by side, as those of clients that kept their ports do.
#[test]
fn a_pool_that_is_used_from_one_end_still_has_ports() {
    for from_top in [false, true] {
        let (plan, tables) = crowded(false);
        let range = 65536 - 1024;
        let kept = range * 94 / 100;
        for index in 0..kept {
            let port = if from_top { 65535 - index } else { 1024 + index } as u16;
            assert_eq!(begin(&plan, &tables, index, port).map(|source| source.port()), Ok(port));
        }
        let port = if from_top { 60000 } else { 2000 };
        let failures =
            (kept..range * 95 / 100).filter(|number| begin(&plan, &tables, *number, port).is_err());
        assert_eq!(failures.count(), 0, "of {} flows, from_top: {from_top}", range / 100);
    }
}

#[test]
fn a_full_pool_of_live_flows_is_exhausted() {
    let (plan, tables) = crowded(false);
    let mut settings = tables.settings.get();
    (settings.port_min, settings.port_max) = (2000, 2999);
    tables.settings.set(settings);
    tables.ports.borrow_mut().clear();
    reserve(&tables);
    let mut sources = HashSet::new();
    for number in 0..1000 {
        let source = begin(&plan, &tables, number, 2000).unwrap_or_else(|reason| {
            panic!("{reason:?} after {number} flows of 1000");
        });
        assert!((2000..3000).contains(&source.port()) && sources.insert(source));
    }
    assert_eq!(begin(&plan, &tables, 1000, 2000), Err(DropReason::PortsExhausted));
    let full = |index: u32| tables.ports.borrow().get(&index).copied() == Some(u64::MAX);
    assert!((0..PORT_WORDS).all(full));
    assert_eq!(tables.flow_count(Tier::Embryonic), 2000);
}
