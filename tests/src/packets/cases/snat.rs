//! Source addresses and ports towards the backend.

use std::net::SocketAddr;

use lb_common::{
    abi::{DropReason, Mode, Selector, Settings, SettingsFlags},
    host::{FrameSpec, HostTables, ServiceSetup},
    maps::PORT_WORDS,
    tables::Tier,
    wire::{ACK, FIN, RST, SYN, TCP, UDP},
};

use crate::packets::{
    Case, Expect, Fact, Step,
    scene::{BACKEND, POOL, SERVICE, Scene},
    world::{self, CLIENTS, at},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        if scene.mode == Mode::FullNat {
            cases.extend(ports(&scene));
            cases.extend(shared_out(&scene));
            cases.extend(taken_over(&scene));
            cases.extend(exhausted(&scene));
        } else {
            cases.push(kept_conflict(&scene));
        }
        cases.extend(refused(&scene));
    }
    cases
}

/// The word of the pool that the range is narrowed to, and its ports.
const WORD: u16 = 626;
const FIRST: u16 = WORD * 64;

/// Allows only some ports of one word to be allocated; the client's own, 40000, is outside.
fn only(tables: &HostTables, free: &[u16]) {
    let mut settings = tables.settings.get();
    (settings.port_min, settings.port_max) = (FIRST, FIRST + 63);
    tables.settings.set(settings);
    let used = free.iter().fold(u64::MAX, |bits, port| bits & !(1 << (port - FIRST)));
    tables.ports.borrow_mut().insert(POOL * PORT_WORDS + u32::from(WORD), used);
}

/// Marks a port as in use.
fn mark(tables: &HostTables, port: u16) {
    let word = POOL * PORT_WORDS + u32::from(port / 64);
    *tables.ports.borrow_mut().entry(word).or_default() |= 1 << (port % 64);
}

/// A packet of a client that is to leave from another source than the client's port.
fn leaves_from(scene: &Scene, frame: &FrameSpec, port: u16) -> Step {
    let source = at(world::snat(scene.family, 1), port);
    let frame_out = scene.forwarded(frame).with_source(source);
    let expect = Expect::Send { egress: scene.egress.0, frame: frame_out.build() };
    Step::Frame { ingress: CLIENTS, frame: frame.build(), expect }
}

/// The answer to it.
fn comes_back(scene: &Scene, flags: u8, port: u16) -> Step {
    let frame = scene.answer(flags).with_destination(at(world::snat(scene.family, 1), port));
    scene.returns(&frame)
}

fn ports(scene: &Scene) -> Vec<Case> {
    let request = scene.request(SYN);
    let mut low = request.clone().with_source(at(scene.client().ip(), 80));
    low.smac = request.smac;
    vec![
        scene
            .case("the client's port is kept and claimed")
            .then(vec![scene.forwards(&request)])
            .fact(Fact::Port(POOL, 40000, true))
            .fact(Fact::Port(POOL, 40001, false)),
        scene
            .case("a port in use is replaced by the free one")
            .change(|tables| {
                only(tables, &[FIRST + 9]);
                mark(tables, 40000);
            })
            .then(vec![
                leaves_from(scene, &request, FIRST + 9),
                comes_back(scene, SYN | ACK, FIRST + 9),
                leaves_from(scene, &scene.request(ACK), FIRST + 9),
            ])
            .fact(Fact::Flow(Tier::Established, scene.forward(), scene.open()))
            .fact(Fact::Port(POOL, FIRST + 9, true)),
        scene
            .case("the lowest of the free ports is taken")
            .change(|tables| {
                only(tables, &[FIRST + 63, FIRST + 2, FIRST + 30]);
                mark(tables, 40000);
            })
            .then(vec![leaves_from(scene, &request, FIRST + 2)]),
        scene
            .case("a repeated packet keeps its port")
            .change(|tables| {
                only(tables, &[FIRST, FIRST + 1]);
                mark(tables, 40000);
            })
            .then(vec![leaves_from(scene, &request, FIRST), leaves_from(scene, &request, FIRST)])
            .fact(Fact::Port(POOL, FIRST + 1, false)),
        scene
            .case("a client's port outside the range is replaced")
            .change(|tables| {
                only(tables, &[FIRST + 5]);
                mark(tables, 80);
            })
            .then(vec![leaves_from(scene, &low, FIRST + 5)]),
    ]
}

/// Two machines that replicate their flows give different ports away.
fn shared_out(scene: &Scene) -> Vec<Case> {
    const FREE: &[u16] = &[FIRST + 2, FIRST + 3, FIRST + 5];
    const LAST: &[u16] = &[FIRST + 8];
    let request = scene.request(SYN);
    let with = |what: &str, flags: u32, free: &'static [u16]| {
        scene.case(what).change(move |tables| {
            only(tables, free);
            tables.settings.set(Settings { flags, ..tables.settings.get() });
        })
    };
    let (even, odd) = (SettingsFlags::EVEN_PORTS, SettingsFlags::ODD_PORTS);
    vec![
        with("a client's port that is the other machine's is replaced", odd, FREE)
            .then(vec![leaves_from(scene, &request, FIRST + 3)])
            .fact(Fact::Port(POOL, 40000, false)),
        with("a client's port that is this machine's is kept", even, FREE)
            .then(vec![scene.forwards(&request)]),
        with("the lowest of this machine's free ports is taken", even, FREE)
            .change(|tables| mark(tables, 40000))
            .then(vec![leaves_from(scene, &request, FIRST + 2)]),
        with("the other machine's ports are taken when this one's are used up", odd, LAST)
            .then(vec![leaves_from(scene, &request, FIRST + 8)]),
    ]
}

/// Another client with the same port.
fn second(scene: &Scene) -> SocketAddr {
    at(world::client(scene.family, 11), 40000)
}

/// Ports whose bit lies: the flow table decides.
fn taken_over(scene: &Scene) -> Vec<Case> {
    let request = scene.request(SYN).with_source(second(scene));
    let begin = |what: &str| {
        scene.case(what).then(scene.established()).change(|tables| {
            tables.ports.borrow_mut().clear();
            only(tables, &[FIRST + 1]);
        })
    };
    let tuple = (second(scene), scene.vip(), scene.proto);
    let mut cases = vec![
        begin("a port that is free by mistake is not given to a second flow")
            .then(vec![leaves_from(scene, &request, FIRST + 1)])
            .fact(Fact::Flow(Tier::Established, scene.forward(), scene.open()))
            .fact(Fact::Port(POOL, 40000, true)),
        begin("a port that is free by mistake goes to a second flow once the first was idle for too long")
            .change(|tables| tables.now.set(tables.now.get() + 100))
            .then(vec![leaves_from(scene, &request, 40000)])
            .fact(Fact::NoFlow(Tier::Established, scene.forward()))
            .fact(Fact::Flow(Tier::Embryonic, tuple, scene.fresh()))
            .fact(Fact::Count(2, 0)),
    ];
    if scene.proto == TCP {
        let over = [
            (
                "both sides sent FIN",
                vec![scene.forwards(&scene.request(FIN)), scene.returns(&scene.answer(FIN))],
            ),
            ("a RST passed", vec![scene.returns(&scene.answer(RST))]),
        ];
        for (what, steps) in over {
            let case = begin(&format!("a port whose bit was cleared goes to a second flow after {what}"));
            cases.push(
                case.then(steps)
                    .then(vec![leaves_from(scene, &request, 40000)])
                    .fact(Fact::NoFlow(Tier::Established, scene.forward()))
                    .fact(Fact::Count(2, 0)),
            );
        }
    }
    cases
}

fn exhausted(scene: &Scene) -> Vec<Case> {
    let second = scene.request(SYN).with_source(second(scene));
    let drop = || Expect::Drop(DropReason::PortsExhausted);
    let one_port = |tables: &HostTables| {
        only(tables, &[FIRST]);
        let mut settings = tables.settings.get();
        (settings.port_min, settings.port_max) = (FIRST, FIRST);
        tables.settings.set(settings);
        mark(tables, 40000);
    };
    vec![
        scene
            .case("the pool's last port is in use")
            .change(one_port)
            .then(vec![leaves_from(scene, &scene.request(SYN), FIRST)])
            .frame(CLIENTS, &second, drop())
            .fact(Fact::Count(2, 0)),
        scene
            .case("a service without SNAT address")
            .change(|tables| {
                for service in tables.v4.services.borrow_mut().values_mut() {
                    service.snat_base = 100;
                }
                for service in tables.v6.services.borrow_mut().values_mut() {
                    service.snat_base = 100;
                }
            })
            .frame(CLIENTS, &second, drop())
            .fact(Fact::Count(0, 0)),
    ]
}

/// `nat`: flows of one client to two VIPs of one backend can't both keep the client's port.
fn kept_conflict(scene: &Scene) -> Case {
    let mut other = scene.request(SYN).with_destination(at(world::vip(scene.family, 101), 80));
    other.payload.clear();
    scene
        .case("a flow of the same client through another VIP of the same backend finds no port")
        .host_only("which ports are tried is left to chance")
        .then(vec![scene.forwards(&scene.request(SYN))])
        .change({
            let (vip, proto) = (at(world::vip(scene.family, 101), 80), scene.proto);
            move |tables| {
                tables.add_service(&ServiceSetup {
                    id: SERVICE + 1,
                    address: vip,
                    proto,
                    mode: Mode::Nat,
                    selector: Selector::FlowHash,
                    slots: &[BACKEND],
                    snat: (0, 0),
                });
                // The kept port is in the way; the four others are refused.
                tables.refusals.set(0b1111);
            }
        })
        .frame(CLIENTS, &other, Expect::Drop(DropReason::TupleConflict))
        .fact(Fact::Flow(Tier::Embryonic, scene.forward(), scene.fresh()))
}

/// A flow table that takes nothing. No state is left behind.
fn refused(scene: &Scene) -> Vec<Case> {
    let why = "the kernel's LRU maps take every flow";
    let case = |what: &str, refusals: u32, reason| {
        scene
            .case(what)
            .host_only(why)
            .change(move |tables| tables.refusals.set(refusals))
            .frame(CLIENTS, &scene.request(SYN), Expect::Drop(reason))
            .change(|tables| tables.refusals.set(0))
            .fact(Fact::Count(0, 0))
    };
    let reason = if scene.mode == Mode::Nat { DropReason::TupleConflict } else { DropReason::PortsExhausted };
    vec![
        case("the flow table refuses the client's entry", 0b10, DropReason::FlowTableFull),
        case("the flow table refuses the answers' entry", u32::MAX, reason),
        scene
            .case("the flow table refuses to establish: the flow stays embryonic")
            .host_only(why)
            .then(vec![scene.forwards(&scene.request(SYN))])
            .then(if scene.proto == UDP { vec![] } else { vec![scene.returns(&scene.answer(SYN | ACK))] })
            .change(|tables| tables.refusals.set(0b1))
            .then(vec![if scene.proto == UDP {
                scene.returns(&scene.answer(0))
            } else {
                scene.forwards(&scene.request(ACK))
            }])
            .fact(Fact::Count(2, 0)),
    ]
}
