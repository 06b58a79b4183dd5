//! What packets do to the flow table: states, tiers, time, and the other direction's entry.

use lb_common::{
    abi::{BackendState, DropReason, FlowState},
    host::HostTables,
    tables::Tier,
    wire::{ACK, FIN, RST, SYN, TCP, UDP},
};

use crate::packets::{
    Case, Expect, Fact, Step,
    scene::{BACKEND, SERVICE, Scene},
    world::{self, CLIENTS, NOW, TIMEOUT, at},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(TCP) {
        cases.extend(handshake(&scene));
        cases.extend(picked_up(&scene));
        cases.extend(not_begun(&scene));
        cases.extend(closing(&scene));
        cases.extend(port_reuse(&scene));
    }
    for scene in Scene::of(UDP) {
        cases.extend(datagrams(&scene));
    }
    for scene in Scene::all() {
        cases.extend(time(&scene));
        cases.extend(twins(&scene));
        cases.extend(backends(&scene));
    }
    cases
}

/// Both directions' entries are in this state.
fn both(scene: &Scene, tier: Tier, state: FlowState) -> Vec<Step> {
    vec![
        Step::Fact(Fact::Flow(tier, scene.forward(), state)),
        Step::Fact(Fact::Flow(tier, scene.reverse(), state)),
    ]
}

/// A packet of the client, and one of the backend.
fn c(scene: &Scene, flags: u8) -> Step {
    scene.forwards(&scene.request(flags))
}

fn b(scene: &Scene, flags: u8) -> Step {
    scene.returns(&scene.answer(flags))
}

fn handshake(scene: &Scene) -> Vec<Case> {
    use FlowState::{Closed, Established, FinClient, SynReceived, SynSent};
    use Tier::Embryonic;
    let begun = |what: &str| scene.case(what).then(vec![c(scene, SYN), b(scene, SYN | ACK)]);
    vec![
        scene
            .case("a SYN begins a flow")
            .then(vec![c(scene, SYN)])
            .then(both(scene, Embryonic, SynSent))
            .fact(Fact::Count(2, 0)),
        scene
            .case("a repeated SYN changes nothing")
            .then(vec![c(scene, SYN), c(scene, SYN), c(scene, SYN)])
            .then(both(scene, Embryonic, SynSent))
            .fact(Fact::Count(2, 0)),
        begun("a SYN-ACK alone does not establish").then(both(scene, Embryonic, SynReceived)),
        begun("a repeated SYN-ACK alone does not establish")
            .then(vec![b(scene, SYN | ACK), c(scene, SYN)])
            .then(both(scene, Embryonic, SynReceived))
            .fact(Fact::Count(2, 0)),
        begun("the client's ACK establishes")
            .then(vec![c(scene, ACK)])
            .then(both(scene, Tier::Established, Established))
            .fact(Fact::Count(0, 2)),
        begun("an ACK with FIN establishes a closing connection")
            .then(vec![c(scene, ACK | FIN)])
            .then(both(scene, Tier::Established, FinClient))
            .fact(Fact::Count(0, 2)),
        scene
            .case("an ACK before the SYN-ACK does not establish")
            .then(vec![c(scene, SYN), c(scene, ACK)])
            .then(both(scene, Embryonic, SynSent)),
        scene
            .case("a backend's ACK without SYN does not count as SYN-ACK")
            .then(vec![c(scene, SYN), b(scene, ACK)])
            .then(both(scene, Embryonic, SynSent)),
        scene
            .case("a backend that refuses")
            .then(vec![c(scene, SYN), b(scene, RST | ACK)])
            .then(both(scene, Embryonic, Closed))
            .fact(Fact::Count(2, 0)),
        scene
            .case("a client that gives up")
            .then(vec![c(scene, SYN), c(scene, RST)])
            .then(both(scene, Embryonic, Closed)),
        scene
            .case("a SYN after a refusal begins anew")
            .then(vec![c(scene, SYN), b(scene, RST | ACK)])
            .change(release_ports)
            .then(vec![c(scene, SYN)])
            .then(both(scene, Embryonic, SynSent))
            .fact(Fact::Count(2, 0)),
    ]
}

/// A connection met in its middle, as after a failover.
fn picked_up(scene: &Scene) -> Vec<Case> {
    use FlowState::{Established, PickedUp};
    vec![
        scene.case("an ACK without flow is picked up").then(vec![c(scene, ACK)]).then(both(
            scene,
            Tier::Embryonic,
            PickedUp,
        )),
        scene.case("a FIN without flow is picked up").then(vec![c(scene, FIN | ACK)]).then(both(
            scene,
            Tier::Embryonic,
            PickedUp,
        )),
        scene
            .case("what was picked up is established by the backend's ACK")
            .then(vec![c(scene, ACK), c(scene, ACK), b(scene, ACK)])
            .then(both(scene, Tier::Established, Established))
            .fact(Fact::Count(0, 2)),
        scene
            .case("what was picked up is closed by the backend's RST")
            .then(vec![c(scene, ACK), b(scene, RST)])
            .then(both(scene, Tier::Embryonic, FlowState::Closed)),
    ]
}

fn not_begun(scene: &Scene) -> Vec<Case> {
    let drop = |what: &str, flags, reason| {
        scene.case(what).frame(CLIENTS, &scene.request(flags), Expect::Drop(reason)).fact(Fact::Count(0, 0))
    };
    vec![
        drop("a RST begins no flow", RST, DropReason::RstWithoutFlow),
        drop("a RST with ACK begins no flow", RST | ACK, DropReason::RstWithoutFlow),
        drop("a RST with SYN begins no flow", RST | SYN, DropReason::RstWithoutFlow),
        drop("a SYN-ACK begins no flow", SYN | ACK, DropReason::SynAckWithoutFlow),
    ]
}

fn closing(scene: &Scene) -> Vec<Case> {
    use FlowState::{Closed, Closing, FinBackend, FinClient};
    let open = |what: &str| scene.case(what).then(scene.established());
    let end = |case: Case, state| case.then(both(scene, Tier::Established, state)).fact(Fact::Count(0, 2));
    vec![
        end(open("the client closes").then(vec![c(scene, FIN | ACK), b(scene, ACK)]), FinClient),
        end(open("the backend closes").then(vec![b(scene, FIN | ACK), c(scene, ACK)]), FinBackend),
        end(open("a repeated FIN").then(vec![c(scene, FIN | ACK), c(scene, FIN | ACK)]), FinClient),
        end(
            open("both close, the client first").then(vec![c(scene, FIN | ACK), b(scene, FIN | ACK)]),
            Closing,
        ),
        end(
            open("both close, the backend first").then(vec![b(scene, FIN | ACK), c(scene, FIN | ACK)]),
            Closing,
        ),
        end(
            open("the last ACK of a closed connection").then(vec![
                c(scene, FIN | ACK),
                b(scene, FIN | ACK),
                c(scene, ACK),
            ]),
            Closing,
        ),
        end(open("the client resets").then(vec![c(scene, RST)]), Closed),
        end(open("the backend resets").then(vec![b(scene, RST | ACK)]), Closed),
        end(open("a RST after FIN").then(vec![c(scene, FIN | ACK), b(scene, RST)]), Closed),
        end(open("a FIN after RST does not reopen").then(vec![c(scene, RST), b(scene, FIN | ACK)]), Closed),
    ]
}

/// A SYN on a connection that is over begins a new one; on one that is not, it doesn't.
fn port_reuse(scene: &Scene) -> Vec<Case> {
    let begins = |what: &str, ends: Vec<Step>| {
        scene
            .case(what)
            .then(scene.established())
            .then(ends)
            .change(release_ports)
            .then(vec![c(scene, SYN)])
            .then(both(scene, Tier::Embryonic, FlowState::SynSent))
            .fact(Fact::Count(2, 0))
            .then(vec![b(scene, SYN | ACK), c(scene, ACK)])
            .then(both(scene, Tier::Established, FlowState::Established))
    };
    let closed = vec![c(scene, FIN | ACK), b(scene, FIN | ACK)];
    vec![
        scene
            .case("a SYN on an open connection goes to its backend")
            .then(scene.established())
            .then(vec![c(scene, SYN)])
            .then(both(scene, Tier::Established, FlowState::Established)),
        begins("a SYN after both FINs begins anew", closed),
        begins("a SYN after RST begins anew", vec![b(scene, RST)]),
    ]
}

fn datagrams(scene: &Scene) -> Vec<Case> {
    use FlowState::{UdpAnswered, UdpEstablished, UdpNew};
    let answered = |what: &str| scene.case(what).then(vec![c(scene, 0), b(scene, 0)]);
    vec![
        scene.case("a datagram begins a flow").then(vec![c(scene, 0)]).then(both(
            scene,
            Tier::Embryonic,
            UdpNew,
        )),
        scene
            .case("datagrams without answer establish nothing")
            .then(vec![c(scene, 0), c(scene, 0), c(scene, 0)])
            .then(both(scene, Tier::Embryonic, UdpNew)),
        answered("an answer establishes nothing: the question may be forged")
            .then(both(scene, Tier::Embryonic, UdpAnswered))
            .fact(Fact::Count(2, 0)),
        answered("a client that goes on after an answer establishes")
            .then(vec![c(scene, 0)])
            .then(both(scene, Tier::Established, UdpEstablished))
            .fact(Fact::Count(0, 2))
            .then(vec![b(scene, 0), c(scene, 0)]),
        answered("an answer in several datagrams establishes nothing")
            .then(vec![b(scene, 0), b(scene, 0)])
            .then(both(scene, Tier::Embryonic, UdpAnswered)),
        answered("a backend that goes on in a later tick establishes")
            .change(|tables| age(tables, 1))
            .then(vec![b(scene, 0)])
            .then(both(scene, Tier::Established, UdpEstablished))
            .fact(Fact::Count(0, 2)),
        scene
            .case("a late answer is an answer")
            .then(vec![c(scene, 0)])
            .change(|tables| age(tables, 1))
            .then(vec![b(scene, 0)])
            .then(both(scene, Tier::Embryonic, UdpAnswered)),
        answered("an answered flow lives for its own timeout")
            .change(|tables| age(tables, TIMEOUT + UdpAnswered as u32))
            .then(vec![c(scene, 0)])
            .then(both(scene, Tier::Established, UdpEstablished)),
        answered("an answered flow that was idle for longer begins anew")
            .change(|tables| age(tables, TIMEOUT + UdpAnswered as u32 + 1))
            .change(release_ports)
            .then(vec![c(scene, 0)])
            .then(both(scene, Tier::Embryonic, UdpNew)),
        answered("the client's entry of an answered flow was pushed out: an answer makes it again")
            .change({
                let (src, dst, proto) = scene.forward();
                move |tables| assert!(tables.evict(Tier::Embryonic, src, dst, proto))
            })
            .then(vec![b(scene, 0)])
            .then(both(scene, Tier::Embryonic, UdpAnswered))
            .then(vec![c(scene, 0)])
            .then(both(scene, Tier::Established, UdpEstablished)),
    ]
}

/// Makes all flows older.
fn age(tables: &HostTables, ticks: u32) {
    let age = |last_seen: &mut u32| *last_seen -= ticks;
    for flows in [&tables.v4.flows, &tables.v4.embryonic] {
        for entry in flows.borrow().values() {
            let mut flow = entry.0.get();
            age(&mut flow.last_seen);
            entry.0.set(flow);
        }
    }
    for flows in [&tables.v6.flows, &tables.v6.embryonic] {
        for entry in flows.borrow().values() {
            let mut flow = entry.0.get();
            age(&mut flow.last_seen);
            entry.0.set(flow);
        }
    }
}

fn time(scene: &Scene) -> Vec<Case> {
    let limit = |state: FlowState| TIMEOUT + state as u32;
    let (open, fresh) = (scene.open(), scene.fresh());
    let seen = |tuple| Fact::LastSeen(Tier::Established, tuple, NOW);
    vec![
        scene
            .case("a packet moves last_seen of both directions")
            .then(scene.established())
            .change(move |tables| age(tables, limit(open)))
            .then(vec![c(scene, ACK)])
            .fact(seen(scene.forward()))
            .fact(seen(scene.reverse())),
        scene
            .case("an answer moves last_seen of both directions")
            .then(scene.established())
            .change(move |tables| age(tables, 1))
            .then(vec![b(scene, ACK)])
            .fact(seen(scene.forward()))
            .fact(seen(scene.reverse())),
        scene
            .case("an answer to a flow that was idle for too long is not for us")
            .then(scene.established())
            .change(move |tables| age(tables, limit(open) + 1))
            .frame(scene.egress.0, &scene.answer(ACK), Expect::Pass)
            .fact(Fact::Count(0, 0)),
        scene
            .case("an embryonic flow lives until its timeout")
            .then(vec![c(scene, SYN)])
            .change(move |tables| age(tables, limit(fresh)))
            .then(vec![c(scene, SYN)])
            .fact(Fact::LastSeen(Tier::Embryonic, scene.reverse(), NOW)),
        scene
            .case("a tick of another CPU that lies ahead does no harm")
            .then(scene.established())
            .change(|tables| tables.now.set(NOW - 1))
            .then(vec![c(scene, ACK)])
            .fact(Fact::LastSeen(Tier::Established, scene.forward(), NOW - 1)),
        scene
            .case("a flow that was idle for too long begins anew")
            .then(scene.established())
            .change(move |tables| age(tables, limit(open) + 1))
            .change(release_ports)
            .then(vec![c(scene, SYN)])
            .then(both(scene, Tier::Embryonic, fresh))
            .fact(Fact::Count(2, 0)),
        scene
            .case("an embryonic flow that was idle for too long begins anew")
            .then(vec![c(scene, SYN)])
            .change(move |tables| age(tables, limit(fresh) + 1))
            .change(release_ports)
            .then(vec![c(scene, SYN)])
            .fact(Fact::LastSeen(Tier::Embryonic, scene.reverse(), NOW))
            .fact(Fact::Count(2, 0)),
    ]
}

/// The LRU may drop one of the two entries.
fn twins(scene: &Scene) -> Vec<Case> {
    let evict = |tier, tuple: crate::packets::case::Tuple| {
        move |tables: &HostTables| assert!(tables.evict(tier, tuple.0, tuple.1, tuple.2))
    };
    let later = |tables: &HostTables| age(tables, 1);
    vec![
        scene
            .case("a client's packet of a later tick makes the answers' entry again")
            .then(scene.established())
            .change(evict(Tier::Established, scene.reverse()))
            .change(later)
            .then(vec![c(scene, ACK)])
            .then(both(scene, Tier::Established, scene.open()))
            .then(vec![b(scene, ACK)]),
        scene
            .case("an answer of a later tick makes the client's entry again")
            .then(scene.established())
            .change(evict(Tier::Established, scene.forward()))
            .change(later)
            .then(vec![b(scene, ACK)])
            .then(both(scene, Tier::Established, scene.open()))
            .then(vec![c(scene, ACK)]),
        scene
            .case("a packet of the same tick leaves the other entry alone")
            .then(scene.established())
            .change(evict(Tier::Established, scene.reverse()))
            .then(vec![c(scene, ACK)])
            .fact(Fact::NoFlow(Tier::Established, scene.reverse())),
        scene
            .case("the first packet's repetition makes the answers' entry again")
            .then(vec![c(scene, SYN)])
            .change(evict(Tier::Embryonic, scene.reverse()))
            .then(vec![c(scene, SYN)])
            .then(both(scene, Tier::Embryonic, scene.fresh()))
            .then(vec![b(scene, SYN | ACK)]),
    ]
}

/// Flows of backends that changed their state.
fn backends(scene: &Scene) -> Vec<Case> {
    let other = BACKEND + 1;
    let moved = scene.with_backend(
        at(world::server(scene.family, 12), 8080),
        scene.egress.0,
        at(world::server(scene.family, 12), 8080),
    );
    let set = |state| move |tables: &HostTables| tables.set_backend_state(BACKEND, state);
    let mut cases = Vec::new();
    for (what, state) in [
        ("removed", BackendState::Unused),
        ("down", BackendState::Down),
        ("disabled", BackendState::Disabled),
    ] {
        cases.push(
            scene
                .case(&format!("flows of a backend that is {what} select another"))
                .then(scene.established())
                .change(set(state))
                .change(move |tables| tables.set_slots(SERVICE, &[other]))
                .change(release_ports)
                .then(vec![c(&moved, SYN)])
                .fact(Fact::Backend(Tier::Embryonic, scene.forward(), other))
                .fact(Fact::Count(2, 0)),
        );
        cases.push(
            scene
                .case(&format!("answers of a backend that is {what} still pass"))
                .then(scene.established())
                .change(set(state))
                .then(vec![b(scene, ACK)]),
        );
        cases.push(
            scene
                .case(&format!("an embryonic flow of a backend that is {what} selects another"))
                .then(vec![c(scene, SYN)])
                .change(set(state))
                .change(move |tables| tables.set_slots(SERVICE, &[other]))
                .change(release_ports)
                .then(vec![c(&moved, SYN)])
                .fact(Fact::Backend(Tier::Embryonic, scene.forward(), other)),
        );
    }
    cases.push(
        scene
            .case("flows of a draining backend stay")
            .then(scene.established())
            .change(set(BackendState::Draining))
            .change(move |tables| tables.set_slots(SERVICE, &[other]))
            .then(vec![c(scene, ACK), b(scene, ACK)])
            .fact(Fact::Backend(Tier::Established, scene.forward(), BACKEND)),
    );
    cases
}

/// Gives all ports back, as `lbd` does for flows that ended.
fn release_ports(tables: &HostTables) {
    tables.ports.borrow_mut().clear();
}
