//! Where packets leave: next hops, their cache, egress interfaces, MTUs; and the ICMP errors that a router owes.

use std::net::IpAddr;

use lb_common::{
    abi::{DropReason, Mode},
    host::{FrameSpec, HostTables, Piece},
    tables::{FibResult, Tier},
    wire::{ACK, SYN},
};

use crate::{
    packets::{
        Case, Expect, Fact, Step,
        case::Tuple,
        scene::Scene,
        world::{self, BARE, CLIENTS, GENERATION, NARROW, PLAIN, SERVERS, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        cases.extend(new_flows(&scene));
        cases.extend(stale_next_hops(&scene));
        cases.extend(egress(&scene));
        cases.extend(time_exceeded(&scene));
        cases.extend(packet_too_big(&scene));
    }
    cases
}

fn elsewhere(scene: &Scene, backend: IpAddr, ifindex: u32, neighbour: IpAddr) -> Scene {
    scene.with_backend(at(backend, 8080), ifindex, at(neighbour, 0))
}

fn new_flows(scene: &Scene) -> Vec<Case> {
    let family = scene.family;
    let router = world::server(family, world::ROUTER);
    let routed = elsewhere(scene, world::routed(family), SERVERS, router);
    let one_arm = elsewhere(scene, world::client(family, 80), CLIENTS, world::client(family, 80));
    let request = scene.request(SYN);
    let dropped = |what: &str, scene: Scene, reason| {
        scene.case(what).frame(CLIENTS, &request, Expect::Drop(reason)).fact(Fact::Count(0, 0))
    };
    let silent = |backend| elsewhere(scene, backend, SERVERS, backend);
    vec![
        routed.case("a backend behind a router").then(routed.established()),
        one_arm.case("a backend on the clients' network").then(one_arm.established()),
        dropped(
            "a backend whose MAC address is not known",
            silent(world::server(family, world::SILENT)),
            DropReason::NeighbourMissing,
        ),
        dropped(
            "a backend behind a router whose MAC address is not known",
            silent(world::silently_routed(family)),
            DropReason::NeighbourMissing,
        ),
        dropped("a backend without route", silent(world::lost(family)), DropReason::NoRoute),
    ]
}

/// Changes the answer of the routing table for one destination, and says that something changed.
fn reroute(tables: &HostTables, destination: IpAddr, answer: Option<FibResult>) {
    match answer {
        Some(answer) => tables.add_route(destination, answer),
        None => tables.add_route(destination, FibResult::NoRoute),
    }
    next_generation(tables);
}

fn next_generation(tables: &HostTables) {
    let mut settings = tables.settings.get();
    settings.fib_generation += 1;
    tables.settings.set(settings);
}

fn stale_next_hops(scene: &Scene) -> Vec<Case> {
    let forward = scene.forward();
    let forget_next_hop = move |tables: &HostTables| spoil(tables, forward);
    vec![
        scene
            .case("a next hop of an older generation is looked up again")
            .then(scene.established())
            .change(next_generation)
            .change(forget_next_hop)
            .then(vec![scene.forwards(&scene.request(ACK)), scene.returns(&scene.answer(ACK))])
            .fact(Fact::Egress(Tier::Established, scene.forward(), (SERVERS, GENERATION + 1))),
        scene
            .case("an embryonic next hop of an older generation is looked up again")
            .then(vec![scene.forwards(&scene.request(SYN))])
            .change(next_generation)
            .then(vec![scene.forwards(&scene.request(SYN))])
            .fact(Fact::Egress(Tier::Embryonic, scene.forward(), (SERVERS, GENERATION + 1))),
        {
            let silent = world::server(scene.family, world::SILENT);
            let silenced = elsewhere(scene, silent, SERVERS, silent);
            silenced
                .case("a next hop whose MAC address is no longer known is used on")
                .change(move |tables| {
                    tables.add_route(silent, FibResult::NextHop(world::next_hop(silent, SERVERS)));
                })
                .host_only("permanent neighbours of the namespace do not come and go")
                .then(silenced.established())
                .change(move |tables| {
                    let gateway = lb_common::host::words(silent);
                    reroute(tables, silent, Some(FibResult::NeighbourMissing { ifindex: SERVERS, gateway }));
                })
                .then(vec![silenced.forwards(&silenced.request(ACK))])
        },
        scene
            .case("a route that went away")
            .host_only("the routes of the namespace stay")
            .then(scene.established())
            .change({
                let backend = scene.backend.ip();
                move |tables| reroute(tables, backend, None)
            })
            .frame(CLIENTS, &scene.request(ACK), Expect::Drop(DropReason::NoRoute))
            .then(vec![scene.returns(&scene.answer(ACK))]),
    ]
}

/// Overwrites the MAC address in a flow's next hop.
fn spoil(tables: &HostTables, tuple: Tuple) {
    assert!(tables.change_next_hop(Tier::Established, tuple, |next_hop| next_hop.dmac = [0xde; 6]));
}

fn egress(scene: &Scene) -> Vec<Case> {
    let plain = elsewhere(scene, world::plain(scene.family), PLAIN, world::plain(scene.family));
    let unattached = || Expect::Drop(DropReason::EgressNotAttached);
    vec![
        plain.case("a backend behind an interface we are not attached to").frame(
            CLIENTS,
            &plain.request(SYN),
            unattached(),
        ),
        scene
            .case("answers, when the clients' interface was detached")
            .then(scene.established())
            .change(|tables| {
                if let Some(interface) = tables.interfaces.borrow_mut().get_mut(&CLIENTS) {
                    interface.flags = 0;
                }
            })
            .frame(SERVERS, &scene.answer(ACK), unattached()),
    ]
}

/// Our ICMP error about a frame that arrived at an interface.
fn error(frame: &FrameSpec, family: Family, ingress: u32, kind: (u8, u8), rest: u32) -> FrameSpec {
    let from = world::own_address(family, ingress);
    let mut error = FrameSpec::icmp(from, frame.src, kind.0, kind.1, rest);
    (error.dmac, error.smac) = (frame.smac, frame.dmac);
    error.tags.clone_from(&frame.tags);
    error.id = 0;
    let room = if family == Family::V4 { 548 } else { 1232 };
    let mut quote = frame.packet();
    quote.truncate(room.min(quote.len() & !3));
    error.payload = quote;
    error
}

/// As bytes; IPv4 errors have the precedence of network control.
fn error_bytes(error: &FrameSpec, family: Family) -> Vec<u8> {
    let mut bytes = error.build();
    if family == Family::V4 {
        let at = error.network_offset();
        bytes[at + 1] = 0xc0;
        let check = u16::from_be_bytes([bytes[at + 10], bytes[at + 11]]);
        // 0xc0 more in one word of the sum.
        let (sum, carry) = (!check).overflowing_add(0xc0);
        bytes[at + 10..at + 12].copy_from_slice(&(!(sum + u16::from(carry))).to_be_bytes());
    }
    bytes
}

pub(super) fn answered(scene: &Scene, frame: &FrameSpec, ingress: u32, reason: DropReason, mtu: u32) -> Step {
    let kind = match (reason, scene.family) {
        (DropReason::TtlExceeded, Family::V4) => (11, 0),
        (DropReason::TtlExceeded, Family::V6) => (3, 0),
        (_, Family::V4) => (3, 4),
        (_, Family::V6) => (2, 0),
    };
    let answer = error(frame, scene.family, ingress, kind, mtu);
    let expect = Expect::Answer { reason, frame: error_bytes(&answer, scene.family) };
    Step::Frame { ingress, frame: frame.build(), expect }
}

fn time_exceeded(scene: &Scene) -> Vec<Case> {
    let with = |mut frame: FrameSpec, hop_limit, size: usize, tags: usize| {
        frame.hop_limit = hop_limit;
        frame.payload = vec![0x5a; size];
        frame.tags = vec![(0x8100, 9); tags];
        frame
    };
    let exceeded = |frame: &FrameSpec, ingress| answered(scene, frame, ingress, DropReason::TtlExceeded, 0);
    let mut cases = Vec::new();
    for (hop_limit, size, tags) in
        [(1, 0, 0), (0, 0, 0), (1, 1, 0), (1, 15, 1), (1, 100, 2), (1, 1400, 0), (1, 1400, 2), (1, 8000, 0)]
    {
        let what = format!("TTL {hop_limit}, {size} bytes, {tags} VLAN tags");
        let request = with(scene.request(SYN), hop_limit, size, tags);
        let data = with(scene.request(ACK), hop_limit, size, tags);
        let answer = with(scene.answer(ACK), hop_limit, size, tags);
        cases.push(
            scene
                .case(&format!("{what}: first packet"))
                .then(vec![exceeded(&request, CLIENTS)])
                .fact(Fact::Count(0, 0)),
        );
        cases.push(
            scene
                .case(&format!("{what}: established"))
                .then(scene.established())
                .then(vec![exceeded(&data, CLIENTS), exceeded(&answer, SERVERS)]),
        );
    }
    let mut bare = with(scene.request(SYN), 1, 20, 0);
    bare.dmac = world::mac(BARE);
    cases.push(scene.case("TTL 1 at an interface without address").frame(
        BARE,
        &bare,
        Expect::Drop(DropReason::TtlExceeded),
    ));
    cases.extend(exceeded_fragments(scene));
    if scene.family == Family::V4 {
        cases.push(exceeded_with_wrong_checksum(scene));
    }
    cases
}

/// What is quoted is as wrong as it came, and the message about it right.
fn exceeded_with_wrong_checksum(scene: &Scene) -> Case {
    let mut request = scene.request(SYN);
    request.hop_limit = 1;
    let mut answer = error(&request, scene.family, CLIENTS, (11, 0), 0);
    answer.payload[10] ^= 0xff;
    let mut frame = request.build();
    frame[request.network_offset() + 10] ^= 0xff;
    let expect =
        Expect::Answer { reason: DropReason::TtlExceeded, frame: error_bytes(&answer, scene.family) };
    scene.case("TTL 1 and a wrong header checksum").bytes(CLIENTS, frame, expect)
}

/// An error is sent about a first fragment, but not about later ones.
fn exceeded_fragments(scene: &Scene) -> Vec<Case> {
    let piece = |offset, hop_limit| {
        let mut frame = scene.request(ACK);
        frame.hop_limit = hop_limit;
        frame.payload = vec![0x5a; 600];
        frame.fragment = Some(Piece { offset, length: 400 });
        frame
    };
    vec![
        scene.case("TTL 1 in a later fragment").then(vec![scene.forwards(&piece(0, 64))]).frame(
            CLIENTS,
            &piece(400, 1),
            Expect::Drop(DropReason::TtlExceeded),
        ),
        scene
            .case("TTL 1 in a first fragment")
            .then(vec![answered(scene, &piece(0, 1), CLIENTS, DropReason::TtlExceeded, 0)])
            .frame(CLIENTS, &piece(400, 64), Expect::Drop(DropReason::FragmentWithoutFirst)),
    ]
}

fn packet_too_big(scene: &Scene) -> Vec<Case> {
    let narrow = elsewhere(scene, world::narrow(scene.family), NARROW, world::narrow(scene.family));
    let of_length = |mut frame: FrameSpec, length: usize| {
        frame.payload.clear();
        frame.payload = vec![0xa7; length - frame.packet().len()];
        frame
    };
    let too_big = |frame: &FrameSpec| answered(&narrow, frame, CLIENTS, DropReason::PacketTooBig, 1280);
    let mut tagged = of_length(narrow.request(ACK), 1400);
    tagged.tags = vec![(0x8100, 9)];
    let mut padded = of_length(narrow.request(ACK), 1280);
    padded.trailer = vec![0; 40];
    let mut cases = vec![
        narrow
            .case("a packet as large as the egress MTU")
            .then(narrow.established())
            .then(vec![narrow.forwards(&of_length(narrow.request(ACK), 1280))]),
        narrow
            .case("a packet as large as the egress MTU, with padding")
            .then(narrow.established())
            .then(vec![narrow.forwards(&padded)]),
        narrow
            .case("a packet larger than the egress MTU")
            .then(narrow.established())
            .then(vec![
                too_big(&of_length(narrow.request(ACK), 1281)),
                too_big(&of_length(narrow.request(ACK), 8000)),
                too_big(&tagged),
            ])
            .fact(Fact::Flow(Tier::Established, narrow.forward(), narrow.open())),
        narrow
            .case("a first packet larger than the egress MTU")
            .then(vec![too_big(&of_length(narrow.request(SYN), 1300))]),
    ];
    if scene.mode == Mode::Nat {
        let mut bare = of_length(narrow.request(ACK), 1300);
        bare.dmac = world::mac(BARE);
        cases.push(
            narrow
                .case("a packet larger than the egress MTU, from an interface without address")
                .then(narrow.established())
                .frame(BARE, &bare, Expect::Drop(DropReason::PacketTooBig)),
        );
    }
    cases
}
