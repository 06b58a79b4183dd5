//! Answers that no flow is known of: datagrams of backends that belong to one service only, and what is passed on to the machine that had a SNAT address.

use lb_common::{
    abi::{BackendState, FlowState, Mac, Mode, Relay},
    host::{FrameSpec, HostTables, words},
    tables::{Holder, Tier},
    wire::{ACK, SYN, UDP},
};

use crate::packets::{
    Case, Expect, Fact, Step,
    scene::{BACKEND, SERVICE, Scene},
    world::{self, CLIENTS, SERVERS, TIMEOUT, at},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(UDP) {
        if scene.mode == Mode::Nat {
            cases.extend(unknown(&scene));
            cases.extend(not_stored(&scene));
            cases.extend(not_ours(&scene));
        }
    }
    for scene in Scene::all().into_iter().filter(|scene| scene.mode == Mode::FullNat) {
        cases.extend(relayed(&scene));
        cases.extend(not_relayed(&scene));
    }
    cases
}

/// The machine that had the SNAT address.
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// A case in which the SNAT address came here a moment ago.
fn moved(scene: &Scene, what: &str, relay: Relay) -> Case {
    let case = scene.case(what);
    case.tables.relays.borrow_mut().insert(words(scene.seen().ip()), relay);
    case
}

fn to_other() -> Relay {
    Relay { until: u64::MAX, mac: Mac::new(OTHER), ifindex: SERVERS, reserved: 0 }
}

/// An answer goes on to the other machine.
fn goes_on(answer: &FrameSpec) -> Step {
    let mut frame = answer.clone();
    (frame.dmac, frame.smac) = (OTHER, world::mac(SERVERS));
    frame.hop_limit -= 1;
    let expect = Expect::Send { egress: SERVERS, frame: frame.build() };
    Step::Frame { ingress: SERVERS, frame: answer.build(), expect }
}

fn relayed(scene: &Scene) -> Vec<Case> {
    let to_the_other = |what: &str| moved(scene, what, to_other());
    vec![
        to_the_other("an answer to a SNAT address that moved goes on to the machine that knows its flow")
            .then(vec![goes_on(&scene.answer(ACK))])
            .fact(Fact::Count(0, 0)),
        to_the_other("an answer to a SNAT address that moved, of a flow that is known, reaches the client")
            .then(scene.established())
            .then(vec![scene.returns(&scene.answer(ACK))]),
    ]
}

fn not_relayed(scene: &Scene) -> Vec<Case> {
    let passes = |what: &str, relay: Relay, answer: &FrameSpec| {
        moved(scene, what, relay).frame(SERVERS, answer, Expect::Pass).fact(Fact::Count(0, 0))
    };
    let answer = scene.answer(ACK);
    let mut of_other = answer.clone();
    of_other.smac = OTHER;
    let mut worn = answer.clone();
    worn.hop_limit = 1;
    let stranger = answer.clone().with_source(at(world::server(scene.family, 77), 8080));
    let low = answer.clone().with_destination(at(scene.seen().ip(), 53));
    let mut cases = vec![
        scene
            .case("an answer to a SNAT address that no flow is known of is not for us")
            .frame(SERVERS, &answer, Expect::Pass)
            .fact(Fact::Count(0, 0)),
        passes("what the other machine passes on does not go back to it", to_other(), &of_other),
        passes("answers go on for a while only", Relay { until: 0, ..to_other() }, &answer),
        passes(
            "answers go on where the address moved only",
            Relay { ifindex: CLIENTS, ..to_other() },
            &answer,
        ),
        passes("what is no backend's does not go on", to_other(), &stranger),
        passes("what is for no port of a flow does not go on", to_other(), &low),
        passes("an answer whose hops are used up does not go on", to_other(), &worn),
    ];
    if scene.proto != UDP {
        let what = "a SYN-ACK does not go on: the client's ACK would come here";
        cases.push(passes(what, to_other(), &scene.answer(SYN | ACK)));
    }
    cases
}

fn case(scene: &Scene, what: &str) -> Case {
    let case = scene.case(what);
    case.tables.make_exclusive(SERVICE, scene.vip(), UDP);
    case
}

fn c(scene: &Scene) -> Step {
    scene.forwards(&scene.request(0))
}

fn b(scene: &Scene) -> Step {
    scene.returns(&scene.answer(0))
}

fn both(scene: &Scene, tier: Tier, state: FlowState) -> Vec<Step> {
    vec![
        Step::Fact(Fact::Flow(tier, scene.forward(), state)),
        Step::Fact(Fact::Flow(tier, scene.reverse(), state)),
    ]
}

/// Of a question that went another way.
fn unknown(scene: &Scene) -> Vec<Case> {
    let answered = |what: &str| case(scene, what).then(vec![b(scene)]);
    vec![
        answered("an answer of an exclusive backend begins the flow")
            .then(both(scene, Tier::Embryonic, FlowState::UdpNew))
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND))
            .fact(Fact::Backend(Tier::Embryonic, scene.reverse(), BACKEND))
            .fact(Fact::Count(2, 0)),
        answered("a second answer of an exclusive backend is the flow's first one")
            .then(vec![c(scene), b(scene)])
            .then(both(scene, Tier::Embryonic, FlowState::UdpAnswered))
            .then(vec![c(scene)])
            .then(both(scene, Tier::Established, FlowState::UdpEstablished))
            .fact(Fact::Count(0, 2)),
        answered("a client goes on with the exclusive backend that answered it")
            .change(|tables| tables.set_slots(SERVICE, &[BACKEND + 1]))
            .then(vec![c(scene)]),
        case(scene, "an answer that is later than the time-out begins the flow again")
            .then(scene.established())
            .change(|tables| tables.now.set(tables.now.get() + TIMEOUT + 100))
            .then(vec![b(scene)])
            .then(both(scene, Tier::Embryonic, FlowState::UdpNew))
            .fact(Fact::Count(2, 0)),
        case(scene, "an exclusive backend that is down is heard to the end")
            .change(|tables| tables.set_backend_state(BACKEND, BackendState::Down))
            .then(vec![b(scene)]),
    ]
}

/// Answers whose flow cannot be stored.
fn not_stored(scene: &Scene) -> Vec<Case> {
    let late = at(world::server(scene.family, 12), 8080);
    let mut second = scene.answer(0).with_source(late);
    second.smac = world::host_mac(late.ip());
    let returned = Expect::Send { egress: CLIENTS, frame: scene.returned(&second).build() };
    let full = |tables: &HostTables| {
        tables.set_limits(0, &[(BACKEND, 1)]);
        tables.change_all_places(&[BACKEND], 1);
    };
    vec![
        case(scene, "the late answer of another exclusive backend reaches the client, and the flow stays")
            .then(vec![c(scene)])
            .frame(SERVERS, &second, returned)
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND))
            .fact(Fact::Count(2, 0)),
        case(
            scene,
            "an answer of an exclusive backend without a place reaches the client, and begins nothing",
        )
        .change(full)
        .then(vec![b(scene)])
        .fact(Fact::Places(Holder::Backend(BACKEND), 1))
        .fact(Fact::Count(0, 0)),
    ]
}

/// Datagrams of backends that are no answers.
fn not_ours(scene: &Scene) -> Vec<Case> {
    let to = |address| scene.answer(0).with_destination(at(address, 40000));
    let shared = case(scene, "an answer of a backend that other services have, too, is not for us");
    shared.tables.share(BACKEND);
    vec![
        shared.frame(SERVERS, &scene.answer(0), Expect::Pass).fact(Fact::Count(0, 0)),
        case(scene, "a datagram of an exclusive backend to this host, or to another one, is not for us")
            .frame(SERVERS, &to(world::own_address(scene.family, SERVERS)), Expect::Pass)
            .frame(SERVERS, &to(world::server(scene.family, 13)), Expect::Pass)
            .fact(Fact::Count(0, 0)),
        case(scene, "a datagram from another port of an exclusive backend is not for us")
            .frame(SERVERS, &scene.answer(0).with_source(at(scene.backend.ip(), 9999)), Expect::Pass)
            .fact(Fact::Count(0, 0)),
    ]
}
