//! What counts as a sign of a backend's health: SYNs, and how they are answered. ICMP errors are in `unreachable`.

use lb_common::{
    abi::{DropReason, Mode, Signal},
    host::HostTables,
    wire::{ACK, RST, SYN, TCP},
};

use crate::packets::{
    Case, Expect, Fact, Step,
    scene::{BACKEND, SERVICE, Scene},
    world::{CLIENTS, SERVERS},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(TCP) {
        cases.extend(with("", &scene, false));
        cases.extend(others(&scene));
        if scene.mode == Mode::Nat {
            cases.extend(with("of an exclusive backend: ", &scene, true));
        }
    }
    cases.extend(Scene::all().into_iter().filter(|scene| scene.proto != TCP).map(|scene| datagrams(&scene)));
    cases
}

fn c(scene: &Scene, flags: u8) -> Step {
    scene.forwards(&scene.request(flags))
}

fn b(scene: &Scene, flags: u8) -> Step {
    scene.returns(&scene.answer(flags))
}

fn counted(signals: &'static [(Signal, u64)]) -> Step {
    Step::Fact(Fact::Signals(BACKEND, signals))
}

/// What is the same with entries and without.
fn with(which: &str, scene: &Scene, exclusive: bool) -> Vec<Case> {
    use Signal::{Reset, Syn, SynAck};
    let case = |what: &str| {
        let case = scene.case(&format!("signals {which}{what}"));
        if exclusive {
            case.tables.make_exclusive(SERVICE, scene.vip(), TCP);
        }
        case
    };
    vec![
        case("each SYN counts until there is an answer, which counts once").then(vec![
            c(scene, SYN),
            c(scene, SYN),
            counted(&[(Syn, 2)]),
            b(scene, SYN | ACK),
            counted(&[(Syn, 2), (SynAck, 1)]),
            b(scene, SYN | ACK),
            c(scene, SYN),
            c(scene, ACK),
            b(scene, ACK),
            counted(&[(Syn, 2), (SynAck, 1)]),
        ]),
        case("a RST that acknowledges a SYN counts").then(vec![
            c(scene, SYN),
            b(scene, RST | ACK),
            counted(&[(Syn, 1), (Reset, 1)]),
        ]),
        case("a RST that acknowledges nothing is about another connection").then(vec![
            c(scene, SYN),
            b(scene, RST),
            counted(&[(Syn, 1)]),
        ]),
    ]
}

/// What counts nowhere.
fn others(scene: &Scene) -> Vec<Case> {
    use Signal::{Reset, Syn, SynAck};
    let case = |what: &str| scene.case(&format!("signals: {what}"));
    let detach = |tables: &HostTables| {
        if let Some(interface) = tables.interfaces.borrow_mut().get_mut(&SERVERS) {
            interface.flags = 0;
        }
    };
    vec![
        case("the end of a connection is none")
            .then(scene.established())
            .then(vec![b(scene, RST | ACK), counted(&[(Syn, 1), (SynAck, 1)])]),
        case("a client that ends its connection is none").then(vec![
            c(scene, SYN),
            b(scene, SYN | ACK),
            c(scene, RST | ACK),
            counted(&[(Syn, 1), (SynAck, 1)]),
        ]),
        case("the answer to a connection that was met in its middle is none").then(vec![
            c(scene, ACK),
            b(scene, RST | ACK),
            counted(&[]),
        ]),
        case("a RST that is repeated counts once").then(vec![
            c(scene, SYN),
            b(scene, RST | ACK),
            b(scene, RST | ACK),
            counted(&[(Syn, 1), (Reset, 1)]),
        ]),
        case("a SYN that does not reach the backend is none")
            .change(detach)
            .frame(CLIENTS, &scene.request(SYN), Expect::Drop(DropReason::EgressNotAttached))
            .then(vec![counted(&[])]),
    ]
}

fn datagrams(scene: &Scene) -> Case {
    let case = scene.case("signals: datagrams and their answers are none");
    case.then(vec![c(scene, 0), b(scene, 0), counted(&[])])
}
