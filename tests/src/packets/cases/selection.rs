//! Which service, and which of its backends.

use lb_common::{
    abi::{BackendState, DropReason, Mode, Selector},
    host::{HostTables, ServiceSetup},
    tables::Tier,
    wire::{ACK, SYN},
};

use crate::packets::{
    Case, Expect, Fact, Step,
    case::Tuple,
    scene::{BACKEND, SERVICE, Scene},
    world::{self, CLIENTS, SERVERS, at},
};

const SELECTORS: [Selector; 5] =
    [Selector::FlowHash, Selector::SourceHash, Selector::Rotation, Selector::Random, Selector::LeastFlows];

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        cases.extend(selectors(&scene));
        cases.extend(nobody(&scene));
        cases.push(rotation(&scene));
        cases.push(sources(&scene));
        cases.extend(every_port(&scene));
    }
    cases
}

/// The same scene with backend `BACKEND + number`.
pub(super) fn numbered(scene: &Scene, number: u8) -> Scene {
    let backend = at(world::server(scene.family, 11 + number), 8080);
    scene.with_backend(backend, SERVERS, backend)
}

fn case(scene: &Scene, what: &str, selector: Selector, slots: &[u32]) -> Case {
    Case::new(format!("{what}, {selector:?} ({})", scene.label()), scene.tables_with(selector, slots))
}

/// Every selector, with one backend, and with one that takes flows among others that don't.
fn selectors(scene: &Scene) -> Vec<Case> {
    let second = numbered(scene, 1);
    let mut cases = Vec::new();
    for selector in SELECTORS {
        let request = || vec![scene.forwards(&scene.request(SYN))];
        cases.push(case(scene, "one slot", selector, &[BACKEND]).then(request()));
        cases.push(case(scene, "many slots of one backend", selector, &[BACKEND; 251]).then(request()));
        for state in [BackendState::Draining, BackendState::Down, BackendState::Disabled] {
            // Two slots: with any first slot, the second attempt succeeds.
            let what = format!("a backend that is {state:?} is not selected");
            cases.push(
                case(scene, &what, selector, &[BACKEND, BACKEND + 1])
                    .change(move |tables| tables.set_backend_state(BACKEND, state))
                    .then(vec![second.forwards(&second.request(SYN))])
                    .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND + 1)),
            );
        }
    }
    cases
}

fn nobody(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    let drop = || Expect::Drop(DropReason::NoBackend);
    for selector in SELECTORS {
        for (what, slots) in [
            ("no slots", &[][..]),
            ("an empty slot", &[0]),
            ("a slot of a backend that is not there", &[29]),
            ("a slot of a backend beyond the table", &[1 << 20]),
        ] {
            cases.push(
                case(scene, what, selector, slots)
                    .frame(CLIENTS, &scene.request(SYN), drop())
                    .fact(Fact::Count(0, 0)),
            );
        }
    }
    cases.push(
        scene
            .case("no slot table")
            .change(drop_slots)
            .frame(CLIENTS, &scene.request(SYN), drop())
            .fact(Fact::Count(0, 0)),
    );
    cases.push(
        case(scene, "five slots of a backend that is down", Selector::Rotation, &[BACKEND; 5])
            .change(|tables| tables.set_backend_state(BACKEND, BackendState::Down))
            .frame(CLIENTS, &scene.request(SYN), drop()),
    );
    cases
}

fn drop_slots(tables: &HostTables) {
    tables.slots.borrow_mut().clear();
}

/// Five clients' ports, three slots.
fn rotation(scene: &Scene) -> Case {
    let mut case = case(scene, "slots take turns", Selector::Rotation, &[BACKEND, BACKEND + 1, BACKEND + 2]);
    for number in 0..5 {
        let backend = numbered(scene, number % 3);
        case = case.then(vec![begins(&backend, 41000 + u16::from(number))]);
    }
    case
}

/// Flows of one client with different ports go to one backend: all slots but its own are empty, or none is.
fn sources(scene: &Scene) -> Case {
    let slots: Vec<u32> = (0..16).map(|slot| BACKEND + slot % 3).collect();
    let mut case = case(scene, "flows of one client stay together", Selector::SourceHash, &slots);
    let tables = &case.tables;
    let index = match scene.family {
        crate::topology::Family::V4 => {
            let source = lb_common::host::words(scene.client().ip())[0];
            lb_common::hash::source(tables.settings.get().seed, source, 128)
        }
        crate::topology::Family::V6 => {
            let source = lb_common::host::words(scene.client().ip());
            lb_common::hash::source(tables.settings.get().seed, source, 128)
        }
    };
    let chosen = numbered(scene, (slots[index as usize % 16] - BACKEND) as u8);
    for port in 41000..41005 {
        case = case.then(vec![begins(&chosen, port)]);
    }
    case
}

/// A client's flow from another port, which is kept.
fn begins(scene: &Scene, port: u16) -> Step {
    let frame = scene.request(SYN).with_source(at(scene.client().ip(), port));
    let mut expected = scene.forwarded(&frame);
    expected = expected.with_source(at(scene.seen().ip(), port));
    Step::Frame {
        ingress: CLIENTS,
        frame: frame.build(),
        expect: Expect::Send { egress: scene.egress.0, frame: expected.build() },
    }
}

/// Services of every port; a service of one port comes first.
fn every_port(scene: &Scene) -> Vec<Case> {
    let add = |scene: Scene| {
        move |tables: &HostTables| {
            tables.add_service(&ServiceSetup {
                id: SERVICE + 1,
                address: at(scene.vip().ip(), 0),
                proto: scene.proto,
                mode: Mode::Nat,
                selector: Selector::FlowHash,
                slots: &[BACKEND + 4],
                snat: (0, 0),
            });
            // Port 0: the one the client used.
            let address = at(world::server(scene.family, 13), 0);
            tables.add_backend(BACKEND + 4, address, SERVICE + 1, 0);
        }
    };
    let plain = Scene { mode: Mode::Nat, ..*scene };
    let wild = Scene { backend: at(world::server(scene.family, 13), 8443), ..numbered(&plain, 2) };
    let to_port = |flags| {
        let mut frame = wild.request(flags);
        frame = frame.with_destination(at(scene.vip().ip(), 8443));
        frame
    };
    let answer: Tuple = (wild.backend, wild.client(), wild.proto);
    let returned = wild.returned(&wild.answer(SYN | ACK)).with_source(at(scene.vip().ip(), 8443));
    vec![
        scene
            .case("a service of every port keeps the client's")
            .change(add(*scene))
            .then(vec![wild.forwards(&to_port(SYN))])
            .fact(Fact::Backend(Tier::Embryonic, answer, BACKEND + 4))
            .frame(
                SERVERS,
                &wild.answer(SYN | ACK),
                Expect::Send { egress: CLIENTS, frame: returned.build() },
            )
            .then(vec![wild.forwards(&to_port(ACK))]),
        scene
            .case("a service of one port comes before that of every port")
            .change(add(*scene))
            .then(vec![scene.forwards(&scene.request(SYN))]),
    ]
}
