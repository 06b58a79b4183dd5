//! Affinity with a timeout: a client that comes back gets the backend it had.

use lb_common::{
    abi::{BackendState, DropReason, Mode, Selector},
    host::HostTables,
    wire::{SYN, TCP},
};

use super::selection::numbered;
use crate::{
    packets::{
        Case, Expect, Fact, Step,
        scene::{BACKEND, SERVICE, Scene},
        world::{self, CLIENTS, at},
    },
    topology::Family,
};

const SECOND: u32 = BACKEND + 1;
const THIRD: u32 = BACKEND + 2;
/// Ticks.
const FOR: u32 = 100;

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        for selector in [Selector::FlowHash, Selector::Rotation, Selector::Random, Selector::LeastFlows] {
            cases.extend(returns(&scene, selector));
        }
        cases.extend(gone(&scene));
        cases.extend(limited(&scene));
        cases.extend(prefixes(&scene));
    }
    cases
}

/// A service with affinity whose new clients go to the second backend.
fn case(scene: &Scene, what: &str, selector: Selector) -> Case {
    let tables = scene.tables_with(selector, &[SECOND]);
    let bits = if scene.family == Family::V4 { 32 } else { 128 };
    set(&tables, bits);
    if scene.proto == TCP && scene.mode == Mode::Nat {
        tables.make_exclusive(SERVICE, scene.vip(), TCP);
    }
    Case::new(format!("{what}, {selector:?} ({})", scene.label()), tables)
}

fn set(tables: &HostTables, bits: u8) {
    tables.change_service(SERVICE, |service| {
        service.affinity_timeout = FOR;
        service.affinity_prefix = bits;
    });
}

/// From now on, clients that are not known go to the third backend.
fn reweigh(tables: &HostTables) {
    tables.set_slots(SERVICE, &[THIRD]);
}

fn wait(ticks: u32) -> impl Fn(&HostTables) {
    move |tables| tables.now.set(tables.now.get() + ticks)
}

/// A flow of host `client` from this port begins, at backend `number`.
fn begins(scene: &Scene, client: u8, port: u16, number: u8) -> Step {
    let scene = numbered(scene, number);
    let client = at(world::client(scene.family, client), port);
    let mut frame = scene.request(SYN).with_source(client);
    frame.smac = world::host_mac(client.ip());
    let seen = if scene.mode == Mode::Nat { client } else { at(scene.seen().ip(), port) };
    let expected = scene.forwarded(&frame).with_source(seen);
    let expect = Expect::Send { egress: scene.egress.0, frame: expected.build() };
    Step::Frame { ingress: CLIENTS, frame: frame.build(), expect }
}

fn returns(scene: &Scene, selector: Selector) -> Vec<Case> {
    vec![
        case(scene, "a client that comes back gets the backend it had", selector)
            .then(vec![begins(scene, 10, 41001, 1)])
            .change(reweigh)
            .then(vec![begins(scene, 10, 41002, 1), begins(scene, 11, 41003, 2)])
            .fact(Fact::Affinities(2)),
        case(scene, "each flow of the client begins its time anew", selector)
            .then(vec![begins(scene, 10, 41001, 1)])
            .change(reweigh)
            .change(wait(FOR))
            .then(vec![begins(scene, 10, 41002, 1)])
            .change(wait(FOR))
            .then(vec![begins(scene, 10, 41003, 1)]),
        case(scene, "a client that comes back too late is a client like any other", selector)
            .then(vec![begins(scene, 10, 41001, 1)])
            .change(reweigh)
            .change(wait(FOR + 1))
            .then(vec![begins(scene, 10, 41002, 2), begins(scene, 10, 41003, 2)])
            .fact(Fact::Affinities(1)),
    ]
}

/// A client whose backend takes no flows any more.
fn gone(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    let known = |what: &str| {
        case(scene, what, Selector::FlowHash).then(vec![begins(scene, 10, 41001, 1)]).change(reweigh)
    };
    for state in [BackendState::Down, BackendState::Disabled, BackendState::Unused] {
        cases.push(
            known(&format!("a backend that is {state:?} is not followed"))
                .change(move |tables| tables.set_backend_state(SECOND, state))
                .then(vec![begins(scene, 10, 41002, 2)])
                .change(|tables| tables.set_backend_state(SECOND, BackendState::Active))
                .then(vec![begins(scene, 10, 41003, 2)]),
        );
    }
    cases.push(
        known("a backend that is draining is followed by the clients that it has")
            .change(|tables| tables.set_backend_state(SECOND, BackendState::Draining))
            .then(vec![begins(scene, 10, 41002, 1), begins(scene, 11, 41003, 2)]),
    );
    cases.push(
        known("another backend with the same id is not followed")
            .change(|tables| {
                let mut backends = tables.backends.borrow_mut();
                let third = backends.get(&THIRD).copied();
                if let (Some(second), Some(third)) = (backends.get_mut(&SECOND), third) {
                    (second.addr, second.port) = (third.addr, third.port.swap_bytes());
                }
            })
            .then(vec![begins(scene, 10, 41002, 2)]),
    );
    cases.push(
        known("a backend of another service is not followed")
            .change(|tables| {
                if let Some(backend) = tables.backends.borrow_mut().get_mut(&SECOND) {
                    backend.service += 1;
                }
            })
            .then(vec![begins(scene, 10, 41002, 2)]),
    );
    cases
}

/// A client whose backend has no place goes to another one for that flow, always to the same one.
fn limited(scene: &Scene) -> Vec<Case> {
    let mut case =
        case(scene, "a client whose backend is full comes back once it has a place", Selector::Rotation)
            .change(|tables| tables.set_limits(0, &[(BACKEND, 1), (SECOND, 1), (THIRD, 0)]))
            .then(vec![begins(scene, 10, 41001, 1)])
            .change(|tables| {
                tables.set_slots(SERVICE, &[BACKEND, THIRD]);
                tables.change_all_places(&[BACKEND, SECOND], 1);
            });
    for port in 41002..41006 {
        case = case.then(vec![begins(scene, 10, port, 2)]);
    }
    let case = case
        .fact(Fact::Affinities(1))
        .change(|tables| tables.change_all_places(&[SECOND], -2))
        .then(vec![begins(scene, 10, 41007, 1)]);
    let mut nobody = self::case(scene, "a known client finds no place anywhere", Selector::FlowHash)
        .change(|tables| tables.set_limits(0, &[(SECOND, 1)]))
        .then(vec![begins(scene, 10, 41001, 1)])
        .change(|tables| tables.change_all_places(&[SECOND], 1));
    let refused = scene.request(SYN).with_source(at(scene.client().ip(), 41002));
    nobody = nobody.frame(CLIENTS, &refused, Expect::Drop(DropReason::BackendFull));
    vec![case, nobody]
}

/// Clients that are one by the first bits of their addresses: hosts 10 and 11, but not 80.
fn prefixes(scene: &Scene) -> Vec<Case> {
    let bits = if scene.family == Family::V4 { 28 } else { 124 };
    vec![
        case(scene, "clients with the same prefix are one", Selector::Rotation)
            .change(move |tables| set(tables, bits))
            .then(vec![begins(scene, 10, 41001, 1)])
            .change(reweigh)
            .then(vec![begins(scene, 11, 41002, 1), begins(scene, 80, 41003, 2)])
            .fact(Fact::Affinities(2)),
    ]
}
