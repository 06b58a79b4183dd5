//! Datagrams of backends that belong to one service only: their answers need no flow.

use lb_common::{
    abi::{BackendState, FlowState, Mode},
    host::HostTables,
    tables::{Holder, Tier},
    wire::UDP,
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
        } else {
            cases.push(
                scene
                    .case("an answer to a SNAT address that no flow is known of is not for us")
                    .frame(SERVERS, &scene.answer(0), Expect::Pass)
                    .fact(Fact::Count(0, 0)),
            );
        }
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
        answered("a second answer of an exclusive backend establishes the flow")
            .then(vec![c(scene), b(scene)])
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
