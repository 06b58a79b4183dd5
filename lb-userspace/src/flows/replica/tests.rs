//! Cases against the running kernel.

use std::net::IpAddr;

use lb_common::abi::{Backend, BackendState, FlowEvent, FlowFlags, FlowState, Mode, Service, ServiceKey};

use super::{index::Found, *};
use crate::{
    flows::Tier,
    plan::{address_words, family_of},
    replication::{Flow as Named, Phase},
    sys::bpf::{
        MapShape,
        tests::{HASH, map},
    },
};

fn table() -> Option<Table> {
    let (key_size, value_size) = (size_of::<FlowKey<u32>>() as u32, size_of::<Flow<u32>>() as u32);
    let map = map(&MapShape { key_size, value_size, ..HASH })?;
    Some(Table { name: "FLOWS_V4", tier: Tier::Established, is_v6: false, map })
}

fn index() -> Index {
    let mut index = Index::default();
    let mut service = |vip: &str, port: u16, id: u16, mode: Mode| {
        let service = Service { id, mode: mode as u8, ..Service::default() };
        match vip.parse().unwrap() {
            IpAddr::V4(vip) => {
                let addr = u32::from_ne_bytes(vip.octets());
                index.add_service(&ServiceKey { addr, port: port.to_be(), proto: 6, pad: 0 }, &service);
            }
            vip @ IpAddr::V6(_) => {
                let addr = address_words(vip);
                index.add_service(&ServiceKey { addr, port: port.to_be(), proto: 6, pad: 0 }, &service);
            }
        }
    };
    service("203.0.113.10", 80, 7, Mode::Nat);
    service("203.0.113.11", 0, 8, Mode::FullNat);
    service("2001:db8::10", 80, 9, Mode::Nat);
    let mut backend = |id, address: &str, port: u16, service| {
        let address: IpAddr = address.parse().unwrap();
        let (addr, family) = (address_words(address), family_of(address));
        let state = BackendState::Active as u8;
        let port = port.to_be();
        index.add_backend(id, &Backend { addr, port, state, family, service, ..Backend::default() });
    };
    backend(40, "10.0.0.1", 8080, 7);
    backend(41, "10.0.0.1", 0, 8);
    backend(42, "2001:db8:1::1", 80, 9);
    index
}

fn end(text: &str) -> (IpAddr, u16) {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    (socket.ip(), socket.port())
}

fn named(client: &str, vip: &str, source: &str, backend: &str) -> Named {
    Named {
        protocol: 6,
        client: end(client),
        vip: end(vip),
        source: end(source),
        backend: end(backend),
        phase: Phase::ESTABLISHED,
        is_port_allocated: false,
        began_with_cookie: false,
        last_seen: 100,
    }
}

fn nat() -> Named {
    named("198.51.100.1:40000", "203.0.113.10:80", "198.51.100.1:40000", "10.0.0.1:8080")
}

fn put(table: &Table, flow: &Named, mark: u16) -> Outcome {
    let (key, entry) = convert::entry::<u32>(flow, index().find(flow).unwrap());
    store(table, &key, entry, mark).unwrap()
}

fn entries(table: &Table) -> Vec<(FlowKey<u32>, Flow<u32>)> {
    let mut entries = table.map.entries::<FlowKey<u32>, Flow<u32>>().unwrap();
    entries.sort_by_key(|(_, flow)| flow.is_reverse());
    entries
}

#[test]
fn a_flow_belongs_to_the_service_and_backend_of_its_addresses() {
    let index = index();
    let full = named("198.51.100.1:40000", "203.0.113.11:443", "10.0.0.9:1025", "10.0.0.1:443");
    assert_eq!(index.find(&nat()), Ok(Found { service: 7, backend: 40 }));
    assert_eq!(index.find(&full), Ok(Found { service: 8, backend: 41 }), "every port");
    let v6 = "[2001:db8:c::1]:40000";
    let v6 = named(v6, "[2001:db8::10]:80", v6, "[2001:db8:1::1]:80");
    assert_eq!(index.find(&v6), Ok(Found { service: 9, backend: 42 }));
    for (flow, expected) in [
        (Named { vip: end("203.0.113.10:81"), ..nat() }, Outcome::UnknownService),
        (Named { protocol: 17, ..nat() }, Outcome::UnknownService),
        (Named { source: end("10.0.0.9:40000"), ..nat() }, Outcome::UnknownService),
        (Named { backend: end("10.0.0.2:8080"), ..nat() }, Outcome::UnknownBackend),
        (Named { backend: end("10.0.0.1:8081"), ..nat() }, Outcome::UnknownBackend),
    ] {
        assert_eq!(index.find(&flow), Err(expected), "{flow:?}");
    }
}

#[test]
fn what_the_data_path_tells_of_either_direction_is_the_same_flow() {
    let wanted = Named { last_seen: 9, is_port_allocated: true, began_with_cookie: true, ..nat() };
    let (key, mut flow) = convert::entry::<u32>(&wanted, Found { service: 1, backend: 1 });
    let twin_key = flow.twin_key(6);
    let event = |key, flow: &Flow<u32>| FlowEvent::new(key, flow, FlowState::Established as u8, 9);
    assert_eq!(told(&event(&key, &flow)), Some(wanted));
    turn(&key, &mut flow);
    assert_eq!(flow.flags & FlowFlags::REVERSE, FlowFlags::REVERSE);
    assert_eq!(told(&event(&twin_key, &flow)), Some(wanted));
    let half_open = FlowEvent { state: FlowState::SynSent as u8, ..event(&key, &flow) };
    assert_eq!(told(&half_open), None);
}

#[test]
fn a_flow_that_is_named_gets_both_entries_without_next_hops() {
    let Some(table) = table() else { return };
    assert_eq!(put(&table, &nat(), 5), Outcome::Stored);
    let [(key, forward), (twin_key, twin)] = entries(&table)[..] else { panic!() };
    assert_eq!(forward.twin_key(6), twin_key);
    assert_eq!(twin.twin_key(6), key);
    assert_eq!((forward.service, forward.backend, twin.backend), (7, 40, 40));
    assert_eq!((forward.next_hop.ifindex, forward.next_hop.generation), (0, 0));
    assert_eq!(Stamp::of(&forward), Some(Stamp { mark: 5, last_seen: 100 }));
    let mut expected = forward;
    set_deltas(&key, &mut expected);
    assert_eq!(forward, expected, "the packets' checksums will be right");
    assert_eq!(put(&table, &nat(), 6), Outcome::Known);
    assert_eq!(Stamp::of(&entries(&table)[0].1).unwrap().mark, 6);
}

#[test]
fn a_flow_with_a_packet_here_is_own_until_the_other_machine_had_a_later_one() {
    let Some(table) = table() else { return };
    put(&table, &nat(), 5);
    let (key, forward) = entries(&table)[0];
    let resolved = NextHop { dmac: [2; 6], ifindex: 3, generation: 9 };
    table.map.update(&key, &Flow { next_hop: resolved, ..forward }).unwrap();
    assert_eq!(put(&table, &nat(), 6), Outcome::Left, "no later packet");
    assert_eq!(put(&table, &Named { last_seen: 103, ..nat() }, 7), Outcome::Stored);
    assert_eq!(Stamp::of(&entries(&table)[0].1), Some(Stamp { mark: 7, last_seen: 103 }));
    // A packet from the backend moves the tick only.
    table.map.update(&key, &Flow { last_seen: 104, ..entries(&table)[0].1 }).unwrap();
    assert_eq!(Stamp::of(&entries(&table)[0].1), None);
}

#[test]
fn an_end_is_stored_and_an_unknown_one_is_not() {
    let Some(table) = table() else { return };
    let ended = Named { phase: Phase::CLOSING, ..nat() };
    assert_eq!(put(&table, &ended, 5), Outcome::Left);
    put(&table, &nat(), 5);
    assert_eq!(put(&table, &ended, 5), Outcome::Stored);
    assert!(entries(&table).iter().all(|(_, flow)| flow.state == FlowState::Closing as u8));
}

#[test]
fn no_two_flows_share_a_port_towards_a_backend() {
    let Some(table) = table() else { return };
    let flow = |client: &str| named(client, "203.0.113.11:443", "10.0.0.9:1025", "10.0.0.1:443");
    assert_eq!(put(&table, &flow("198.51.100.1:40000"), 5), Outcome::Stored);
    assert_eq!(put(&table, &flow("198.51.100.2:40000"), 5), Outcome::Conflict);
    assert_eq!(entries(&table).len(), 2);
    // Another connection of the same client, by another port: the former one's entry goes.
    let later = Named { source: end("10.0.0.9:1026"), last_seen: 200, ..flow("198.51.100.1:40000") };
    assert_eq!(put(&table, &later, 5), Outcome::Stored);
    assert_eq!(entries(&table).len(), 2);
}

#[test]
fn a_sweep_that_does_not_name_a_flow_ends_it_unless_it_is_own() {
    let Some(table) = table() else { return };
    let client = |number: u16| format!("198.51.100.1:{number}");
    for number in 1..=10 {
        let client = end(&client(number));
        put(&table, &Named { client, source: client, ..nat() }, 5);
    }
    let (key, own) = entries(&table)[0];
    table.map.update(&key, &Flow { last_seen: 101, ..own }).unwrap();
    let mut mark = Mark::new(5);
    assert_eq!(forget::<u32>(&table, mark).unwrap(), 0, "they were named since");
    mark.begin_sweep();
    assert_eq!(forget::<u32>(&table, mark).unwrap(), 9);
    assert_eq!(entries(&table).len(), 2);
}

#[test]
fn what_the_other_machine_may_have_lost_is_own_and_stays() {
    let Some(table) = table() else { return };
    put(&table, &nat(), 5);
    assert_eq!(adopt::<u32>(&table).unwrap(), 1);
    assert_eq!(adopt::<u32>(&table).unwrap(), 0, "it is own");
    assert_eq!(forget::<u32>(&table, Mark::new(6)).unwrap(), 0);
    assert_eq!(entries(&table)[0].1.last_seen, 100);
}
