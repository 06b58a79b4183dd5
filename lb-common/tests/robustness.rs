//! No frame, however broken, makes the pipeline panic, send what is not to be sent, or change what is not sent.

mod common;

use common::{CLIENTS, Look, Plan, SERVERS, look, mac, plan};
use lb_common::{
    Action,
    host::{FrameSpec, HostTables, run},
    wire::{ACK, SYN},
};
use proptest::prelude::*;

/// Bytes to overwrite, and where to cut.
#[derive(Clone, Debug)]
struct Damage {
    writes: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
}

impl Damage {
    fn apply(&self, frame: &mut Vec<u8>) {
        for (index, value) in &self.writes {
            let at = index.index(frame.len());
            frame[at] = *value;
        }
        if let Some(cut) = self.cut {
            frame.truncate(cut.index(frame.len()));
        }
    }
}

prop_compose! {
    fn damage()(
        writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) -> Damage {
        Damage { writes, cut }
    }
}

/// Runs a frame; what is not sent is unchanged, and no counter misses it.
fn survive(frame: &[u8], ingress: u32, tables: &HostTables) -> Action {
    let (verdict, after) = run(frame, ingress, tables);
    match verdict.action() {
        Action::Pass | Action::Drop => assert_eq!(after, frame, "changed, although not sent"),
        Action::Transmit | Action::Redirect => {}
    }
    assert_eq!(verdict.action() == Action::Drop, verdict.drop_reason().is_some());
    verdict.action()
}

/// A frame of the plan's protocol between hosts that no service knows.
fn foreign(plan: &Plan, look: &Look) -> FrameSpec {
    let mut elsewhere = plan.clone();
    elsewhere.vip = plan.client;
    let mut frame = elsewhere.frame(plan.backends[0], plan.client, SYN, look);
    frame.dmac = mac(CLIENTS);
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn random_bytes_are_never_sent(bytes in prop::collection::vec(any::<u8>(), 0..200), plan in plan()) {
        let tables = plan.tables();
        let action = survive(&bytes, CLIENTS, &tables);
        prop_assert!(matches!(action, Action::Pass | Action::Drop));
    }

    #[test]
    fn random_packets_are_never_sent(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        v6 in any::<bool>(),
        tags in 0usize..3,
        plan in plan(),
    ) {
        let mut frame = mac(CLIENTS).to_vec();
        frame.extend([6; 6]);
        frame.extend([0x81, 0, 0, 1].repeat(tags));
        frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0] });
        let network = frame.len();
        frame.extend(bytes);
        if let Some(version) = frame.get_mut(network) {
            *version = if v6 { 0x60 } else { 0x45 };
        }
        let action = survive(&frame, CLIENTS, &plan.tables());
        prop_assert!(matches!(action, Action::Pass | Action::Drop));
    }

    #[test]
    fn damaged_packets_for_nobody_are_never_sent(plan in plan(), look in look(), damage in damage()) {
        // What an exclusive backend answers to a SYN needs no flow.
        let plan = Plan { exclusive: false, ..plan };
        let spec = foreign(&plan, &look);
        let mut frame = spec.build();
        // Not the destination: damage could make it the VIP.
        let network = spec.network_offset();
        let header = if spec.src.is_ipv4() { network + 16..network + 20 } else { network + 24..network + 40 };
        let destination = frame[header.clone()].to_vec();
        damage.apply(&mut frame);
        if let Some(bytes) = frame.get_mut(header) {
            bytes.copy_from_slice(&destination);
        }
        let action = survive(&frame, CLIENTS, &plan.tables());
        prop_assert!(matches!(action, Action::Pass | Action::Drop));
    }

    #[test]
    fn damaged_packets_of_a_flow_do_no_harm(
        plan in plan(),
        look in look(),
        damages in prop::collection::vec((damage(), any::<bool>(), any::<u8>()), 1..20),
    ) {
        let tables = plan.tables();
        let (_, forwarded) = run(&plan.request(SYN, &look).build(), CLIENTS, &tables);
        let spec = plan.request(SYN, &look);
        let (src, dst) = common::endpoints(&forwarded, &spec);
        for (damage, reverse, flags) in damages {
            let (ingress, mut spec) = if reverse {
                (SERVERS, plan.frame(dst, src, flags, &look))
            } else {
                (CLIENTS, plan.request(flags, &look))
            };
            spec.dmac = mac(ingress);
            let mut frame = spec.build();
            damage.apply(&mut frame);
            survive(&frame, ingress, &tables);
        }
    }

    #[test]
    fn damaged_icmp_errors_do_no_harm(
        plan in plan(),
        look in look(),
        damages in prop::collection::vec((damage(), 0usize..80), 1..20),
    ) {
        let tables = plan.tables();
        let spec = plan.request(ACK, &look);
        let (_, forwarded) = run(&spec.build(), CLIENTS, &tables);
        let (src, _) = common::endpoints(&forwarded, &spec);
        let kind = if plan.vip.is_ipv4() { 3 } else { 1 };
        for (damage, length) in damages {
            let mut error = FrameSpec::icmp(plan.backends[0].ip(), src.ip(), kind, 1, 0);
            error.dmac = mac(SERVERS);
            error.payload = forwarded[spec.network_offset()..].to_vec();
            error.payload.truncate(length);
            let mut frame = error.build();
            damage.apply(&mut frame);
            survive(&frame, SERVERS, &tables);
        }
    }
}
