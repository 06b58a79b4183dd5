//! The shortcut of established packets gives what the long way gives: verdicts, bytes, flows, counters.

mod common;

use std::{collections::BTreeMap, net::SocketAddr};

use common::{CLIENTS, Look, Plan, SERVERS, endpoints, look, mac, plan};
use lb_common::{
    Verdict,
    abi::{BackendState, Flow, FlowKey},
    host::{self, FrameSpec, HostTables, Side},
    tables::Tier,
    wire::{ACK, FIN, RST, SYN},
};
use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A packet of the client, or of the backend, with TCP flags.
    Packet { from_client: bool, flags: u8, look: Look },
    /// A packet between others.
    Foreign(Look),
    /// Ticks pass.
    Wait(u32),
    /// The first backend's state changes.
    Backend(BackendState),
    /// An entry of the flow is lost.
    Evict { client_side: bool },
}

fn event() -> impl Strategy<Value = Event> {
    let flags = || prop::sample::select(vec![ACK, ACK, ACK, SYN, FIN | ACK, RST, SYN | ACK]);
    let plain = (prop::collection::vec(any::<u8>(), 0..40), 1_u8..5).prop_map(|(payload, hop_limit)| Look {
        payload,
        tags: vec![],
        options: 0,
        hop_limit,
        checksum: true,
    });
    let look = || prop_oneof![3 => plain.clone(), 1 => look()];
    prop_oneof![
        12 => (any::<bool>(), flags(), look())
            .prop_map(|(from_client, flags, look)| Event::Packet { from_client, flags, look }),
        2 => look().prop_map(Event::Foreign),
        3 => prop::sample::select(vec![1, 2, 9, 17, 40, 61]).prop_map(Event::Wait),
        1 => prop::sample::select(vec![BackendState::Active, BackendState::Draining, BackendState::Down])
            .prop_map(Event::Backend),
        1 => any::<bool>().prop_map(|client_side| Event::Evict { client_side }),
    ]
}

fn flows<A: Side>(tables: &HostTables, tier: Tier) -> BTreeMap<String, Flow<A>> {
    let side = A::side(tables);
    let flows = match tier {
        Tier::Established => side.flows.borrow(),
        Tier::Embryonic => side.embryonic.borrow(),
    };
    flows.iter().map(|(key, entry): (&FlowKey<A>, _)| (format!("{key:?}"), entry.0.get())).collect()
}

/// Everything that packets change, as text.
fn state(tables: &HostTables) -> String {
    let sorted = |text: Vec<String>| {
        let mut text = text;
        text.sort();
        text.join("\n")
    };
    let [v4, v6] = [Tier::Embryonic, Tier::Established]
        .map(|tier| (flows::<u32>(tables, tier), flows::<[u32; 4]>(tables, tier)));
    let counters = [
        sorted(tables.service_counters.borrow().iter().map(|entry| format!("{entry:?}")).collect()),
        sorted(tables.backend_counters.borrow().iter().map(|entry| format!("{entry:?}")).collect()),
        sorted(tables.interface_counters.borrow().iter().map(|entry| format!("{entry:?}")).collect()),
        sorted(tables.drops.borrow().iter().map(|entry| format!("{entry:?}")).collect()),
    ];
    format!("{v4:#?}\n{v6:#?}\n{}", counters.join("\n"))
}

type Way = fn(&[u8], u32, &HostTables) -> (Verdict, Vec<u8>);

/// Two equal worlds, one of which takes no shortcuts.
struct Pair {
    worlds: [(HostTables, Way); 2],
    /// Source and destination towards the backend, once a packet was forwarded.
    inside: Option<(SocketAddr, SocketAddr)>,
}

impl Pair {
    fn run(&mut self, spec: &FrameSpec, ingress: u32, remember: bool) {
        let frame = spec.build();
        let [short, long] = [0, 1].map(|world| {
            let (tables, way) = &self.worlds[world];
            way(&frame, ingress, tables)
        });
        assert_eq!(short, long, "for {spec:?}");
        assert_eq!(state(&self.worlds[0].0), state(&self.worlds[1].0), "after {spec:?}");
        if remember && short.0 == Verdict::redirect(SERVERS) {
            self.inside = Some(endpoints(&short.1, spec));
        }
    }

    fn change(&self, change: impl Fn(&HostTables)) {
        self.worlds.iter().for_each(|(tables, _)| change(tables));
    }
}

fn happen(pair: &mut Pair, plan: &Plan, event: Event) {
    match event {
        Event::Packet { from_client: true, flags, look } => {
            pair.run(&plan.request(flags, &look), CLIENTS, true);
        }
        Event::Packet { from_client: false, flags, look } => {
            let Some((src, dst)) = pair.inside else { return };
            let mut spec = plan.frame(dst, src, flags, &look);
            spec.dmac = mac(SERVERS);
            pair.run(&spec, SERVERS, false);
        }
        Event::Foreign(look) => {
            let other = SocketAddr::new(plan.client.ip(), 7);
            let mut spec = plan.frame(other, plan.client, ACK, &look);
            spec.dmac = mac(CLIENTS);
            pair.run(&spec, CLIENTS, false);
        }
        Event::Wait(ticks) => pair.change(|tables| tables.now.set(tables.now.get() + ticks)),
        Event::Backend(state) => pair.change(|tables| tables.set_backend_state(1, state)),
        Event::Evict { client_side } => {
            let Some((src, dst)) = pair.inside else { return };
            let (src, dst) = if client_side { (plan.client, plan.vip) } else { (dst, src) };
            pair.change(|tables| {
                tables.evict(Tier::Established, src, dst, plan.proto);
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_shortcut_and_the_long_way_agree(plan in plan(), events in prop::collection::vec(event(), 1..40)) {
        let mut pair = Pair {
            worlds: [(plan.tables(), host::run), (plan.tables(), host::run_long_way)],
            inside: None,
        };
        let plain = Look { payload: vec![0; 20], tags: vec![], options: 0, hop_limit: 64, checksum: true };
        let handshake = [(true, SYN), (false, SYN | ACK), (true, ACK), (false, ACK), (true, ACK)];
        let handshake = handshake
            .map(|(from_client, flags)| Event::Packet { from_client, flags, look: plain.clone() });
        for event in handshake.into_iter().chain(events) {
            happen(&mut pair, &plan, event);
        }
    }
}

/// The comparison above is worth nothing if no packet takes the shortcut.
#[test]
fn an_established_packet_takes_the_shortcut() {
    let plan = Plan {
        client: SocketAddr::from(([10, 1, 0, 1], 4000)),
        vip: SocketAddr::from(([10, 2, 0, 1], 80)),
        backends: vec![SocketAddr::from(([10, 3, 0, 1], 8080))],
        snat: SocketAddr::from(([10, 4, 0, 1], 0)).ip(),
        proto: 6,
        mode: lb_common::abi::Mode::Nat,
        selector: lb_common::abi::Selector::FlowHash,
        seed: [1, 2],
        exclusive: true,
    };
    let tables = plan.tables();
    let plain = Look { payload: vec![], tags: vec![], options: 0, hop_limit: 64, checksum: true };
    let shortcut = |spec: &FrameSpec, ingress| {
        let mut frame = host::HostFrame::new(spec.build(), ingress);
        lb_common::shortcut_v4(&mut frame, &tables)
    };
    let answer = |flags| {
        let mut spec = plan.frame(plan.backends[0], plan.client, flags, &plain);
        spec.dmac = mac(SERVERS);
        spec
    };
    assert_eq!(shortcut(&plan.request(SYN, &plain), CLIENTS), None);
    for (spec, ingress) in [
        (plan.request(SYN, &plain), CLIENTS),
        (answer(SYN | ACK), SERVERS),
        (plan.request(ACK, &plain), CLIENTS),
    ] {
        assert_ne!(host::run(&spec.build(), ingress, &tables).0, Verdict::PASS);
    }
    // The first packet of a direction may still have to find its next hop.
    for _ in 0..2 {
        let _ = host::run(&plan.request(ACK, &plain).build(), CLIENTS, &tables);
        let _ = host::run(&answer(ACK).build(), SERVERS, &tables);
    }
    assert_eq!(shortcut(&plan.request(ACK, &plain), CLIENTS), Some(Verdict::redirect(SERVERS)));
    assert_eq!(shortcut(&answer(ACK), SERVERS), Some(Verdict::redirect(CLIENTS)));
}
