//! Limits of connections: who takes a place, what happens when there is none, and when it is given back.

use lb_common::{
    abi::{BackendState, DropReason, FlowState, Mode, Selector, ServiceFlags, Signal},
    host::{FrameSpec, HostTables},
    tables::{Holder, Tier},
    wire::{ACK, FIN, RST, SYN, TCP, UDP},
};

use super::{resets::reset_of, selection::numbered};
use crate::packets::{
    Case, Expect, Fact, Step,
    scene::{BACKEND, SERVICE, Scene},
    world::{CLIENTS, SERVERS, TIMEOUT, at},
};

const SECOND: u32 = BACKEND + 1;
const THIRD: u32 = BACKEND + 2;

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        cases.extend(full(&scene));
        cases.extend(others(&scene));
        cases.extend(idle(&scene));
    }
    for scene in Scene::of(TCP) {
        cases.extend(ends(&scene));
        cases.extend(losses(&scene));
        cases.extend(refusals(&scene));
        if scene.mode == Mode::Nat {
            cases.extend(stateless(&scene));
        }
    }
    cases
}

/// One backend, with a limit of its service and of its own.
fn case(scene: &Scene, what: &str, service: u32, backend: u32) -> Case {
    let case = scene.case(what);
    case.tables.set_limits(service, &[(BACKEND, backend)]);
    case
}

/// The scene with three backends that may have so many connections, behind three slots.
fn three(scene: &Scene, what: &str, selector: Selector, limits: [u32; 3]) -> Case {
    let tables = scene.tables_with(selector, &[BACKEND, SECOND, THIRD]);
    tables.set_limits(0, &[(BACKEND, limits[0]), (SECOND, limits[1]), (THIRD, limits[2])]);
    Case::new(format!("{what}, {selector:?} ({})", scene.label()), tables)
}

fn places(backend: u32, number: i64) -> Step {
    Step::Fact(Fact::Places(Holder::Backend(backend), number))
}

/// The places of the backend and of its service.
fn both(number: i64) -> Vec<Step> {
    vec![places(BACKEND, number), Step::Fact(Fact::Places(Holder::Service(SERVICE), number))]
}

/// A packet of the client from another port.
fn from_port(scene: &Scene, port: u16, flags: u8) -> FrameSpec {
    scene.request(flags).with_source(at(scene.client().ip(), port))
}

/// A flow from another port begins, which is kept.
fn begins(scene: &Scene, port: u16) -> Step {
    let frame = from_port(scene, port, SYN);
    let expected = scene.forwarded(&frame).with_source(at(scene.seen().ip(), port));
    let expect = Expect::Send { egress: scene.egress.0, frame: expected.build() };
    Step::Frame { ingress: CLIENTS, frame: frame.build(), expect }
}

fn refused(scene: &Scene, port: u16, reason: DropReason) -> Step {
    let frame = from_port(scene, port, SYN).build();
    Step::Frame { ingress: CLIENTS, frame, expect: Expect::Drop(reason) }
}

fn full(scene: &Scene) -> Vec<Case> {
    let one = || vec![scene.forwards(&scene.request(SYN))];
    vec![
        case(scene, "a flow takes a place of its backend and of its service", 5, 5).then(one()).then(both(1)),
        case(scene, "a first packet that is repeated takes no second place", 5, 5)
            .then(one())
            .then(one())
            .then(both(1)),
        case(scene, "a flow that is established keeps its place", 5, 5)
            .then(scene.established())
            .then(both(1))
            .then(vec![scene.forwards(&scene.request(ACK)), scene.returns(&scene.answer(ACK))])
            .then(both(1)),
        scene
            .case("flows of a backend without a limit take no place")
            .then(scene.established())
            .then(both(0)),
        case(scene, "a backend never has more flows than it may", 0, 2)
            .then(vec![
                begins(scene, 41001),
                begins(scene, 41002),
                refused(scene, 41003, DropReason::BackendFull),
                begins(scene, 41002),
            ])
            .then(both(2))
            .fact(Fact::Count(4, 0)),
        case(scene, "a service never has more flows than it may", 2, 3)
            .then(vec![
                begins(scene, 41001),
                begins(scene, 41002),
                refused(scene, 41003, DropReason::ServiceFull),
            ])
            .then(both(2)),
        case(scene, "established flows go on while their backend is full", 1, 1)
            .then(scene.established())
            .then(vec![refused(scene, 41003, DropReason::ServiceFull)])
            .then(vec![scene.forwards(&scene.request(ACK)), scene.returns(&scene.answer(ACK))]),
        case(scene, "a flow without an entry takes no place", 5, 5)
            .change(|tables| tables.refusals.set(u32::MAX))
            .then(vec![refused(
                scene,
                41001,
                if scene.mode == Mode::Nat { DropReason::TupleConflict } else { DropReason::PortsExhausted },
            )])
            .then(both(0))
            .host_only(REFUSALS),
        case(scene, "a flow whose second entry is refused takes no place", 5, 5)
            .change(|tables| tables.refusals.set(2))
            .then(vec![refused(scene, 40000, DropReason::FlowTableFull)])
            .then(both(0))
            .host_only(REFUSALS),
    ]
}

/// Why a case cannot run in the kernel.
const REFUSALS: &str = "the kernel's LRU maps take every flow";

fn others(scene: &Scene) -> Vec<Case> {
    let at = |number| numbered(scene, number);
    let mut cases = Vec::new();
    for selector in [Selector::FlowHash, Selector::SourceHash, Selector::Rotation, Selector::LeastFlows] {
        cases.push(
            three(scene, "flows go to the backend that has a place", selector, [1, 0, 1])
                .change(|tables| tables.change_all_places(&[BACKEND, THIRD], 1))
                .then((41000..41008).map(|port| begins(&at(1), port)).collect())
                .then(vec![places(SECOND, 8)]),
        );
        cases.push(
            three(scene, "nothing begins when every backend is full", selector, [4, 4, 4])
                .change(|tables| tables.change_all_places(&[BACKEND, SECOND, THIRD], 4))
                .then(vec![refused(scene, 41000, DropReason::BackendFull)])
                .fact(Fact::Count(0, 0)),
        );
        cases.push(
            three(scene, "a place at another service's backend is none", selector, [1, 1, 1])
                .change(|tables| {
                    tables.change_all_places(&[BACKEND, SECOND], 1);
                    // Full, but for its own service.
                    tables.set_slots(SERVICE, &[BACKEND, SECOND]);
                    if let Some(backend) = tables.backends.borrow_mut().get_mut(&THIRD) {
                        backend.service += 1;
                    }
                })
                .then(vec![refused(scene, 41000, DropReason::BackendFull)]),
        );
        cases.push(
            three(scene, "a place at a backend that is down is none", selector, [1, 1, 1])
                .change(|tables| {
                    tables.change_all_places(&[BACKEND, THIRD], 1);
                    tables.set_backend_state(SECOND, BackendState::Down);
                })
                .then(vec![refused(scene, 41000, DropReason::BackendFull)]),
        );
    }
    // One slot of 251: the slots that are tried belong to the first backend.
    let mut slots = vec![BACKEND; 251];
    slots[250] = THIRD;
    let tables = scene.tables_with(Selector::Random, &slots);
    tables.set_limits(0, &[(BACKEND, 1), (SECOND, 1), (THIRD, 1)]);
    tables.change_all_places(&[BACKEND, SECOND], 1);
    // Random numbers of the model begin here: a slot of the first backend.
    cases.push(
        Case::new(format!("a backend with few slots is found as well ({})", scene.label()), tables)
            .then(vec![begins(&at(2), 41000)])
            .then(vec![places(THIRD, 1), refused(scene, 41001, DropReason::BackendFull)]),
    );
    cases
}

fn ends(scene: &Scene) -> Vec<Case> {
    let c = |flags| scene.forwards(&scene.request(flags));
    let b = |flags| scene.returns(&scene.answer(flags));
    let open = |what: &str| case(scene, what, 1, 1).then(scene.established()).then(both(1));
    let next = || vec![begins(scene, 41001), places(BACKEND, 1)];
    let mut cases = vec![
        open("the FIN of one side keeps the place").then(vec![c(FIN | ACK), b(ACK)]).then(both(1)),
        open("the FIN of both sides gives the place back, once")
            .then(vec![c(FIN | ACK), b(FIN | ACK)])
            .then(both(0))
            .then(vec![c(FIN | ACK), b(FIN | ACK), c(ACK)])
            .then(both(0))
            .then(next()),
        open("the FIN of both sides gives the place back, the backend's first")
            .then(vec![b(FIN | ACK), c(FIN | ACK)])
            .then(both(0))
            .then(next()),
        open("a RST after both FINs gives nothing back").then(vec![
            c(FIN | ACK),
            b(FIN | ACK),
            c(RST | ACK),
            places(BACKEND, 0),
        ]),
        open("a SYN on a connection that is over takes a place again")
            .then(vec![c(RST)])
            .change(free_ports)
            .then(vec![c(SYN)])
            .then(both(1))
            .fact(Fact::Flow(Tier::Embryonic, scene.forward(), FlowState::SynSent)),
    ];
    for (who, from_client) in [("client", true), ("backend", false)] {
        let rst = || if from_client { c(RST | ACK) } else { b(RST | ACK) };
        cases.push(
            open(&format!("a RST of the {who} gives the place back, once"))
                .then(vec![rst()])
                .then(both(0))
                .then(vec![rst()])
                .then(both(0))
                .then(next()),
        );
    }
    cases
}

/// Ends that no FIN and no RST of both sides tells.
fn losses(scene: &Scene) -> Vec<Case> {
    let c = |flags| scene.forwards(&scene.request(flags));
    let b = |flags| scene.returns(&scene.answer(flags));
    let open = |what: &str| case(scene, what, 1, 1).then(scene.established()).then(both(1));
    vec![
        open("the place goes when the client's entry was pushed out")
            .change(evict(scene.forward()))
            .then(vec![b(RST | ACK)])
            .then(both(0)),
        open("the place goes when the backend's entry was pushed out")
            .change(evict(scene.reverse()))
            .then(vec![c(RST | ACK)])
            .then(both(0)),
        case(scene, "a connection that is refused gives its place back", 1, 1)
            .then(vec![c(SYN), b(RST | ACK)])
            .then(both(0)),
        open("the place goes with the backend")
            .change(|tables| {
                tables.set_slots(SERVICE, &[SECOND]);
                tables.set_backend_state(BACKEND, BackendState::Down);
                // Pools of its own.
                if let Some(backend) = tables.backends.borrow_mut().get_mut(&SECOND) {
                    backend.pool_base = 0;
                }
            })
            .then(vec![numbered(scene, 1).forwards(&scene.request(ACK)), places(BACKEND, 0)]),
        open("a connection that is reset gives its place back")
            .change(|tables| {
                tables.set_backend_reset(BACKEND, true);
                tables.set_backend_state(BACKEND, BackendState::Disabled);
            })
            .frame(CLIENTS, &scene.request(ACK), answered(&scene.request(ACK), DropReason::FlowReset))
            .then(both(0))
            .frame(SERVERS, &scene.answer(ACK), answered(&scene.answer(ACK), DropReason::FlowReset))
            .then(both(0)),
    ]
}

fn evict(tuple: crate::packets::case::Tuple) -> impl Fn(&HostTables) {
    move |tables| assert!(tables.evict(Tier::Established, tuple.0, tuple.1, tuple.2))
}

fn answered(frame: &FrameSpec, reason: DropReason) -> Expect {
    Expect::Answer { reason, frame: reset_of(frame).build() }
}

/// As `lbd` does when flows ended.
fn free_ports(tables: &HostTables) {
    tables.ports.borrow_mut().clear();
}

/// Flows that nobody ended.
fn idle(scene: &Scene) -> Vec<Case> {
    let wait = |tables: &HostTables| {
        tables.now.set(tables.now.get() + 2 * TIMEOUT);
        free_ports(tables);
    };
    vec![
        case(scene, "a flow that was idle for too long gives its place to the next", 1, 1)
            .then(scene.established())
            .change(wait)
            .then(vec![scene.forwards(&scene.request(SYN))])
            .then(both(1)),
        case(scene, "a flow that nobody answered gives its place to the next", 1, 1)
            .then(vec![scene.forwards(&scene.request(SYN))])
            .change(wait)
            .then(vec![scene.forwards(&scene.request(SYN))])
            .then(both(1)),
    ]
}

/// With the policy `reset`, TCP clients are told.
fn refusals(scene: &Scene) -> Vec<Case> {
    let tell = |tables: &HostTables| {
        tables.change_service(SERVICE, |service| service.flags |= ServiceFlags::RESET_WHEN_FULL);
    };
    let told = |flags, reason| {
        let frame = from_port(scene, 41001, flags);
        let expect = answered(&frame, reason);
        Step::Frame { ingress: CLIENTS, frame: frame.build(), expect }
    };
    let udp = Scene { proto: UDP, ..*scene };
    vec![
        case(scene, "a SYN for a full backend is answered by a RST", 0, 1)
            .change(tell)
            .then(scene.established())
            .then(vec![told(SYN, DropReason::BackendFull), told(ACK, DropReason::BackendFull)])
            .then(both(1)),
        case(scene, "a SYN for a full service is answered by a RST", 1, 0)
            .change(tell)
            .then(scene.established())
            .then(vec![told(SYN, DropReason::ServiceFull)])
            .then(both(1)),
        case(&udp, "a datagram for a full backend is dropped whatever the policy", 0, 1)
            .change(tell)
            .then(udp.established())
            .then(vec![refused(&udp, 41001, DropReason::BackendFull)]),
    ]
}

/// SYNs that take no entry: the place is taken when the backend answers.
fn stateless(scene: &Scene) -> Vec<Case> {
    let c = |flags| scene.forwards(&scene.request(flags));
    let b = |flags| scene.returns(&scene.answer(flags));
    let exclusive = |what: &str, service, backend| {
        let case = case(scene, what, service, backend);
        case.tables.make_exclusive(SERVICE, scene.vip(), TCP);
        case
    };
    let second = |flags| scene.answer(flags).with_destination(at(scene.client().ip(), 41001));
    let one_too_many = |what: &str, limits: (u32, u32), reason| {
        exclusive(what, limits.0, limits.1)
            .then(vec![begins(scene, 41001), c(SYN), b(SYN | ACK)])
            .then(both(1))
            .frame(SERVERS, &second(SYN | ACK), answered(&second(SYN | ACK), reason))
            .then(both(1))
            .fact(Fact::Signals(BACKEND, &[(Signal::Syn, 2), (Signal::SynAck, 2)]))
            .fact(Fact::Count(2, 0))
    };
    vec![
        exclusive("a SYN that takes no entry takes no place", 1, 1)
            .then(vec![c(SYN), c(SYN), begins(scene, 41001)])
            .then(both(0)),
        exclusive("a SYN-ACK takes the place, once", 1, 1)
            .then(vec![c(SYN), b(SYN | ACK), b(SYN | ACK)])
            .then(both(1))
            .then(vec![c(ACK), refused(scene, 41001, DropReason::ServiceFull)])
            .then(both(1)),
        exclusive("a RST instead of a SYN-ACK takes no place", 1, 1)
            .then(vec![c(SYN), b(RST | ACK)])
            .then(both(0)),
        one_too_many("a backend's SYN-ACK too many is answered by a RST", (0, 1), DropReason::BackendFull),
        one_too_many("a service's SYN-ACK too many is answered by a RST", (1, 0), DropReason::ServiceFull),
        exclusive("a SYN-ACK whose flow is refused takes no place", 1, 1)
            .change(|tables| tables.refusals.set(2))
            .then(vec![c(SYN)])
            .frame(SERVERS, &scene.answer(SYN | ACK), Expect::Drop(DropReason::FlowTableFull))
            .then(both(0))
            .host_only(REFUSALS),
    ]
}
