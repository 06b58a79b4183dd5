//! What is translated comes back as it was, whatever the flow looks like.

mod common;

use common::{CLIENTS, Look, Plan, SERVERS, endpoints, look, mac, plan};
use lb_common::{
    Verdict,
    abi::{Mode, Selector},
    host::{FrameSpec, HostTables, checksums, run},
    tables::Tier,
    wire::{ACK, SYN},
};
use proptest::prelude::*;

/// Sends a request through; the frame that left, and who it went from and to.
fn forward(tables: &HostTables, frame: &FrameSpec) -> (Vec<u8>, std::net::SocketAddr, std::net::SocketAddr) {
    let (verdict, bytes) = run(&frame.build(), CLIENTS, tables);
    assert_eq!(verdict, Verdict::redirect(SERVERS));
    checksums(&bytes).expect("checksums of the forwarded frame");
    let (src, dst) = endpoints(&bytes, frame);
    (bytes, src, dst)
}

/// All but addresses, ports, MAC addresses, hop limit and checksums.
fn rest(bytes: &[u8], spec: &FrameSpec) -> Vec<u8> {
    let (network, transport) = (spec.network_offset(), spec.transport_offset());
    let mut rest = bytes.to_vec();
    let v4 = spec.src.is_ipv4();
    let check = transport + if spec.protocol() == 17 { 6 } else { 16 };
    let changed = if v4 {
        vec![0..12, network + 8..network + 9, network + 10..network + 20]
    } else {
        vec![0..12, network + 7..network + 40]
    };
    for range in changed.into_iter().chain([transport..transport + 4, check..check + 2]) {
        rest[range].fill(0);
    }
    rest
}

fn there_and_back(plan: &Plan, request: &Look, answer: &Look) {
    let tables = plan.tables();
    let spec = plan.request(SYN, request);
    let (bytes, src, dst) = forward(&tables, &spec);
    assert!(plan.backends.iter().any(|backend| backend.ip() == dst.ip()));
    let port = if plan.backends[0].port() == 0 { plan.vip.port() } else { plan.backends[0].port() };
    assert_eq!(dst.port(), port);
    match plan.mode {
        Mode::Nat => assert_eq!(src, plan.client),
        Mode::FullNat => assert_eq!(src.ip(), plan.snat),
    }
    assert_eq!(rest(&bytes, &spec), rest(&spec.build(), &spec));

    let mut back = plan.frame(dst, src, SYN | ACK, answer);
    back.dmac = mac(SERVERS);
    let (verdict, bytes) = run(&back.build(), SERVERS, &tables);
    assert_eq!(verdict, Verdict::redirect(CLIENTS));
    checksums(&bytes).expect("checksums of the returned frame");
    assert_eq!(endpoints(&bytes, &back), (plan.vip, plan.client));
    assert_eq!(rest(&bytes, &back), rest(&back.build(), &back));

    // The rest of the connection takes the same way.
    let (_, again_src, again_dst) = forward(&tables, &plan.request(ACK, answer));
    assert_eq!((again_src, again_dst), (src, dst));
    assert_eq!((tables.flow_count(Tier::Embryonic), tables.flow_count(Tier::Established)), (0, 2));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn forward_then_reverse_gives_the_original(plan in plan(), request in look(), answer in look()) {
        there_and_back(&plan, &request, &answer);
    }

    #[test]
    fn a_hashed_flow_always_picks_the_same_backend(plan in plan(), source in any::<bool>(), look in look(), port in 1u16..) {
        let selector = if source { Selector::SourceHash } else { Selector::FlowHash };
        let plan = Plan { selector, mode: Mode::Nat, ..plan };
        let (_, _, first) = forward(&plan.tables(), &plan.request(SYN, &look));
        // On another node, or after the flow was forgotten.
        let (_, _, second) = forward(&plan.tables(), &plan.request(ACK, &look));
        prop_assert_eq!(first, second);
        if source {
            let mut other = plan.clone();
            other.client.set_port(port);
            let (_, _, third) = forward(&plan.tables(), &other.request(SYN, &look));
            prop_assert_eq!(first, third);
        }
    }

    /// `nat`: flows of one client through two VIPs to one backend.
    #[test]
    fn flows_that_meet_at_a_backend_are_told_apart(plan in plan(), look in look()) {
        let plan =
            Plan { mode: Mode::Nat, backends: vec![plan.backends[0]], exclusive: false, ..plan };
        prop_assume!(plan.backends[0].port() != 0);
        let mut other = plan.clone();
        other.vip.set_port(plan.vip.port() ^ 1);
        prop_assume!(other.vip.port() != 0);
        let tables = plan.tables();
        plan.add_service(&tables, 2, other.vip, &[1]);
        let (_, first, backend) = forward(&tables, &plan.request(SYN, &look));
        let (_, second, same) = forward(&tables, &other.request(SYN, &look));
        prop_assert_eq!(backend, same);
        prop_assert_ne!(first, second);
        for (source, vip) in [(first, plan.vip), (second, other.vip)] {
            let mut back = plan.frame(backend, source, SYN | ACK, &look);
            back.dmac = mac(SERVERS);
            let (verdict, bytes) = run(&back.build(), SERVERS, &tables);
            prop_assert_eq!(verdict, Verdict::redirect(CLIENTS));
            prop_assert_eq!(endpoints(&bytes, &back), (vip, plan.client));
        }
    }

    #[test]
    fn of_two_backends_the_one_with_fewer_flows_for_its_weight_is_preferred(plan in plan(), look in look(), weight in 1u32..100) {
        prop_assume!(plan.backends.len() >= 2);
        let plan = Plan { selector: Selector::LeastFlows, mode: Mode::Nat, ..plan };
        let tables = plan.tables();
        plan.add_service(&tables, 1, plan.vip, &[1, 2]);
        for id in [1, 2] {
            tables.backends.borrow_mut().get_mut(&id).expect("a backend").weight = weight;
        }
        tables.backend_flows.borrow_mut().extend([(1, 1000), (2, 0)]);
        let mut counts = [0; 2];
        for port in 1..=64 {
            let mut one = plan.clone();
            one.client.set_port(port);
            let (_, _, backend) = forward(&tables, &one.request(SYN, &look));
            // By address: a backend with port 0 gets the port of the client's choice.
            counts[usize::from(backend.ip() == plan.backends[1].ip())] += 1;
        }
        // Two random slots are the same with a probability of 1/4 each.
        prop_assert!(counts[1] > counts[0], "{:?}", counts);
    }
}
