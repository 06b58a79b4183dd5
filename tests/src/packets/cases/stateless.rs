//! SYNs that take no flow entry: those to a backend that belongs to one service only.

use lb_common::{
    abi::{DropReason, FlowState, Mode},
    tables::Tier,
    wire::{ACK, FIN, RST, SYN, TCP},
};

use crate::packets::{
    Case, Expect, Fact, Step,
    scene::{BACKEND, SERVICE, Scene},
    world::{self, CLIENTS, SERVERS, at},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(TCP).into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(handshake(&scene));
        cases.extend(refusals(&scene));
        cases.extend(forgotten(&scene));
        cases.extend(conflicts(&scene));
        cases.extend(own(&scene));
        cases.extend(unknown_way_back(&scene));
        cases.extend(routed(&scene));
    }
    cases
}

fn case(scene: &Scene, what: &str) -> Case {
    let case = scene.case(what);
    case.tables.make_exclusive(SERVICE, scene.vip(), TCP);
    case
}

fn c(scene: &Scene, flags: u8) -> Step {
    scene.forwards(&scene.request(flags))
}

fn b(scene: &Scene, flags: u8) -> Step {
    scene.returns(&scene.answer(flags))
}

fn both(scene: &Scene, tier: Tier, state: FlowState) -> Vec<Step> {
    vec![
        Step::Fact(Fact::Flow(tier, scene.forward(), state)),
        Step::Fact(Fact::Flow(tier, scene.reverse(), state)),
    ]
}

fn handshake(scene: &Scene) -> Vec<Case> {
    use FlowState::{Established, SynReceived};
    let begun = |what: &str| case(scene, what).then(vec![c(scene, SYN), b(scene, SYN | ACK)]);
    vec![
        case(scene, "a SYN to an exclusive backend takes no entry")
            .then(vec![c(scene, SYN), c(scene, SYN)])
            .fact(Fact::Count(0, 0)),
        begun("the SYN-ACK of an exclusive backend begins the flow")
            .then(both(scene, Tier::Embryonic, SynReceived))
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND))
            .fact(Fact::Backend(Tier::Embryonic, scene.reverse(), BACKEND))
            .fact(Fact::Count(2, 0)),
        begun("a SYN or SYN-ACK that is repeated changes nothing")
            .then(vec![c(scene, SYN), b(scene, SYN | ACK)])
            .then(both(scene, Tier::Embryonic, SynReceived))
            .fact(Fact::Count(2, 0)),
        begun("a connection with an exclusive backend is established by the client's ACK")
            .then(vec![c(scene, ACK)])
            .then(both(scene, Tier::Established, Established))
            .then(vec![b(scene, ACK), c(scene, ACK), b(scene, FIN | ACK)])
            .fact(Fact::Count(0, 2)),
        case(scene, "a SYN-ACK of an exclusive backend is enough")
            .then(vec![b(scene, SYN | ACK), c(scene, ACK)])
            .then(both(scene, Tier::Established, Established)),
        case(scene, "where SYNs went before does not outlive a change of routes")
            .then(vec![c(scene, SYN)])
            .change(|tables| {
                let mut settings = tables.settings.get();
                settings.fib_generation += 1;
                tables.settings.set(settings);
            })
            .then(vec![c(scene, SYN)])
            .fact(Fact::Count(0, 0)),
    ]
}

fn refusals(scene: &Scene) -> Vec<Case> {
    let other = at(world::server(scene.family, 12), 9999);
    let mut foreign = scene.answer(SYN | ACK).with_source(other);
    foreign.smac = world::host_mac(other.ip());
    vec![
        case(scene, "the RST of an exclusive backend is translated and takes no entry")
            .then(vec![c(scene, SYN), b(scene, RST | ACK)])
            .fact(Fact::Count(0, 0)),
        case(scene, "a SYN-ACK from another port of a backend is not for us")
            .frame(SERVERS, &foreign, Expect::Pass)
            .fact(Fact::Count(0, 0)),
    ]
}

/// Connections of which the backend still knows.
fn forgotten(scene: &Scene) -> Vec<Case> {
    use FlowState::{Closed, Established, PickedUp};
    let picked_up = |what: &str| case(scene, what).then(vec![b(scene, ACK)]);
    vec![
        picked_up("an ACK of an exclusive backend picks its connection up")
            .then(both(scene, Tier::Embryonic, PickedUp))
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND))
            .then(vec![c(scene, ACK), b(scene, ACK)])
            .then(both(scene, Tier::Established, Established)),
        case(scene, "a FIN of an exclusive backend picks its connection up")
            .then(vec![b(scene, FIN | ACK), c(scene, ACK)])
            .then(both(scene, Tier::Embryonic, PickedUp)),
        case(scene, "a client learns from a challenge ACK that its port was in use, and connects")
            .then(vec![c(scene, SYN), b(scene, ACK), c(scene, RST)])
            .then(both(scene, Tier::Embryonic, Closed))
            .then(vec![c(scene, SYN), b(scene, SYN | ACK), c(scene, ACK)])
            .then(both(scene, Tier::Established, Established)),
    ]
}

/// Clients behind a router: it is looked up for the first of them.
fn routed(scene: &Scene) -> Vec<Case> {
    let client = at(world::far_client(scene.family), 40000);
    let router = world::host_mac(world::client(scene.family, world::ROUTER));
    let mut request = scene.request(SYN).with_source(client);
    request.smac = router;
    let mut forwarded = request.clone().with_destination(scene.backend);
    (forwarded.dmac, forwarded.smac) = (world::host_mac(scene.backend.ip()), world::mac(SERVERS));
    forwarded.hop_limit -= 1;
    let sent = || Expect::Send { egress: SERVERS, frame: forwarded.build() };
    let answer = scene.answer(SYN | ACK).with_destination(client);
    let mut returned = answer.clone().with_source(scene.vip());
    (returned.dmac, returned.smac) = (router, world::mac(CLIENTS));
    returned.hop_limit -= 1;
    vec![
        case(scene, "a SYN from behind a router takes no entry")
            .frame(CLIENTS, &request, sent())
            .frame(CLIENTS, &request, sent())
            .fact(Fact::Count(0, 0))
            .frame(SERVERS, &answer, Expect::Send { egress: CLIENTS, frame: returned.build() })
            .fact(Fact::Count(2, 0)),
    ]
}

/// A client that the routing table knows no way to: what its SYN tells is kept.
fn unknown_way_back(scene: &Scene) -> Vec<Case> {
    let gone = case(scene, "a SYN of a client whose link-layer address is not known takes an entry");
    gone.tables.forget_route(scene.client().ip());
    vec![gone.then(vec![c(scene, SYN), c(scene, SYN)]).fact(Fact::Count(2, 0)).host_only(ROUTES)]
}

/// Why a case cannot run in the kernel.
const ROUTES: &str = "the namespace has the neighbours of all cases";

/// Clients and destinations that are addresses of ours.
fn own(scene: &Scene) -> Vec<Case> {
    let client = at(world::server(scene.family, 13), 40000);
    let mut request = scene.request(SYN).with_source(client);
    request.smac = world::host_mac(client.ip());
    let mut forwarded = request.clone().with_destination(scene.backend);
    (forwarded.dmac, forwarded.smac) = (world::host_mac(scene.backend.ip()), world::mac(SERVERS));
    forwarded.hop_limit -= 1;
    let sent = Expect::Send { egress: SERVERS, frame: forwarded.build() };
    let answer = scene.answer(SYN | ACK).with_destination(client);
    let here = at(world::own_address(scene.family, SERVERS), 40000);
    let to_us = |flags| scene.answer(flags).with_destination(here);
    let lost = case(scene, "a SYN-ACK of a backend that other services have, too, is not for us");
    lost.tables.share(BACKEND);
    vec![
        case(scene, "a SYN of a backend takes an entry")
            .frame(CLIENTS, &request, sent)
            .fact(Fact::Count(2, 0)),
        case(scene, "a SYN-ACK to an address of ours begins nothing").frame(SERVERS, &answer, Expect::Pass),
        lost.frame(SERVERS, &scene.answer(SYN | ACK), Expect::Pass),
        case(scene, "a SYN-ACK, RST or ACK to this host is not for us")
            .frame(SERVERS, &to_us(SYN | ACK), Expect::Pass)
            .frame(SERVERS, &to_us(RST | ACK), Expect::Pass)
            .frame(SERVERS, &to_us(ACK), Expect::Pass)
            .fact(Fact::Count(0, 0)),
    ]
}

fn conflicts(scene: &Scene) -> Vec<Case> {
    let late = at(world::server(scene.family, 12), 8080);
    let mut second = scene.answer(SYN | ACK).with_source(late);
    second.smac = world::host_mac(late.ip());
    vec![
        case(scene, "a second backend's SYN-ACK for the same connection is dropped")
            .then(vec![c(scene, SYN), b(scene, SYN | ACK)])
            .frame(SERVERS, &second, Expect::Drop(DropReason::TupleConflict))
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND))
            .fact(Fact::Count(2, 0)),
    ]
}
