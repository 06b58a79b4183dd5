//! ICMP errors that say that a backend cannot be reached: which of them count as signals, and those about a SYN that took no entry.

use lb_common::{
    abi::{BackendState, Mode, Signal},
    wire::{ACK, SYN, TCP},
};

use super::icmp::{Error, errors, quote};
use crate::{
    packets::{
        Case, Expect, Fact,
        case::Step,
        scene::{BACKEND, SERVICE, Scene},
        world::{self, SERVERS, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Scene::all().iter().flat_map(signals).collect();
    for scene in Scene::of(TCP).into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(stateless(&scene));
        cases.extend(not_ours(&scene));
    }
    cases
}

/// Type and code of errors that say that a packet leads nowhere.
fn unreachable(family: Family) -> [(u8, u8); 4] {
    match family {
        Family::V4 => [(3, 0), (3, 1), (3, 3), (3, 13)],
        Family::V6 => [(1, 0), (1, 1), (1, 3), (1, 4)],
    }
}

/// Which errors count as signals: those about packets to a backend that say that it cannot be reached.
fn signals(scene: &Scene) -> Vec<Case> {
    use Signal::{RouterUnreachable, Syn, SynAck, Unreachable};
    let router = world::server(scene.family, world::ROUTER);
    let about = || scene.request(ACK);
    let from_both = |kind: (u8, u8)| {
        [scene.backend.ip(), router]
            .map(|from| Error { from, kind, ..Error::to_client(scene, about()) }.passes())
    };
    let to_backend = |kind: (u8, u8)| Error { kind, ..Error::to_backend(scene, scene.answer(ACK)) }.passes();
    let [too_big, exceeded, _, problem] = errors(scene.family);
    let (counted, none): (&[_], &[_]) = if scene.proto == TCP {
        (&[(Syn, 1), (SynAck, 1), (Unreachable, 4), (RouterUnreachable, 4)], &[(Syn, 1), (SynAck, 1)])
    } else {
        (&[(Unreachable, 4), (RouterUnreachable, 4)], &[])
    };
    let case = |what: &str| scene.case(&format!("signals: {what}")).then(scene.established());
    vec![
        case("an ICMP error that says unreachable")
            .then(unreachable(scene.family).into_iter().flat_map(from_both).collect())
            .fact(Fact::Signals(BACKEND, counted)),
        case("another ICMP error is none")
            .then([too_big, exceeded, problem].into_iter().flat_map(from_both).collect())
            .fact(Fact::Signals(BACKEND, none)),
        case("an ICMP error about an answer is none")
            .then(unreachable(scene.family).into_iter().map(to_backend).collect())
            .fact(Fact::Signals(BACKEND, none)),
    ]
}

fn exclusive(scene: &Scene, what: &str) -> Case {
    let case = scene.case(what);
    case.tables.make_exclusive(SERVICE, scene.vip(), TCP);
    case
}

/// About a SYN that took no entry: translated by what is known of the exclusive backend that it went to.
fn stateless(scene: &Scene) -> Vec<Case> {
    use Signal::{RouterUnreachable, Syn, Unreachable};
    let router = world::server(scene.family, world::ROUTER);
    let syn = || scene.forwards(&scene.request(SYN));
    let header = if scene.family == Family::V4 { 20 } else { 40 };
    let mut cases = Vec::new();
    for kind in errors(scene.family).into_iter().chain(unreachable(scene.family)) {
        for (who, from) in [("the backend", scene.backend.ip()), ("a router", router)] {
            let error = Error { from, kind, ..Error::to_client(scene, scene.request(SYN)) };
            let counts = unreachable(scene.family).contains(&kind);
            let signals: &[_] = match (counts, from == router) {
                (true, false) => &[(Syn, 1), (Unreachable, 1)],
                (true, true) => &[(Syn, 1), (RouterUnreachable, 1)],
                (false, _) => &[(Syn, 1)],
            };
            let what = format!("ICMP error {}/{} of {who} about a SYN without entry", kind.0, kind.1);
            // Port unreachable is in both lists.
            if cases.iter().any(|case: &Case| case.name.contains(&what)) {
                continue;
            }
            cases.push(
                exclusive(scene, &what)
                    .then(vec![syn(), error.passes()])
                    .fact(Fact::Count(0, 0))
                    .fact(Fact::Signals(BACKEND, signals)),
            );
        }
    }
    let short = Error { length: header + 8, ..Error::to_client(scene, scene.request(SYN)) };
    cases.push(
        exclusive(scene, "an ICMP error that quotes 8 bytes of a SYN without entry")
            .then(vec![syn(), short.passes()]),
    );
    cases
}

/// Errors about packets that the backend's origin says nothing of: the host gets them.
fn not_ours(scene: &Scene) -> Vec<Case> {
    let own = at(world::own_address(scene.family, SERVERS), 40000);
    let mut probe = Error::to_client(scene, scene.request(SYN)).frame();
    probe.dst = own.ip();
    probe.payload = quote(&scene.forwarded(&scene.request(SYN)).with_source(own), 9999);
    let passed = |error: &Error<'_>| {
        let frame = error.frame().build();
        Step::Frame { ingress: error.ingress(), frame, expect: Expect::Pass }
    };
    let error = || Error::to_client(scene, scene.request(SYN));
    let other_port = scene.with_backend(at(scene.backend.ip(), 9999), SERVERS, scene.backend);
    let shared = exclusive(scene, "an ICMP error about a SYN to a backend that other services have, too");
    shared.tables.share(BACKEND);
    vec![
        exclusive(scene, "an ICMP error about a SYN of this host to a backend")
            .frame(SERVERS, &probe, Expect::Pass)
            .fact(Fact::Signals(BACKEND, &[])),
        exclusive(scene, "an ICMP error about a SYN to another port of a backend")
            .then(vec![passed(&Error::to_client(&other_port, scene.request(SYN)))]),
        shared.then(vec![passed(&error())]),
        exclusive(scene, "an ICMP error about a SYN to a backend whose connections are reset")
            .change(|tables| {
                tables.set_backend_state(BACKEND, BackendState::Down);
                tables.set_backend_reset(BACKEND, true);
            })
            .then(vec![passed(&error())]),
    ]
}
