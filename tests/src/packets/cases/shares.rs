//! Limits of one source: flows at once, flows that nobody answered, packets in a second.

use lb_common::{
    abi::{Admission, DropReason, Mode, NextHop},
    host::HostTables,
    tables::Tier,
    wire::{ACK, FIN, RST, SYN, TCP, UDP},
};

use super::{
    admission::{admit, unlisted},
    resets::reset_of,
    sources::forwards,
};
use crate::{
    packets::{
        Case, Expect, Fact, Step,
        scene::Scene,
        world::{self, CLIENTS, GENERATION, SERVERS, TIMEOUT, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        cases.extend(full(&scene));
        cases.extend(ends(&scene));
        cases.extend(packets(&scene));
    }
    for scene in Scene::of(UDP) {
        cases.extend(exchanges(&scene));
    }
    for scene in Scene::of(TCP) {
        cases.extend(connections(&scene));
        if scene.mode == Mode::Nat {
            cases.extend(stateless(&scene));
        }
    }
    cases
}

fn limited(scene: &Scene, what: &str, flows: u32, embryonic: u32) -> Case {
    let source_prefix = if scene.family == Family::V4 { 32 } else { 128 };
    let case = scene.case(what);
    admit(
        &case.tables,
        Admission { source_flows: flows, source_embryonic: embryonic, source_prefix, ..Admission::default() },
    );
    case
}

/// All sources together have so many flows, and so many of them without an answer.
fn have(flows: i64, embryonic: i64) -> Step {
    Step::Fact(Fact::Sources(flows, embryonic))
}

fn begins(scene: &Scene, host: u8, port: u16) -> Step {
    let source = at(world::client(scene.family, host), port);
    forwards(scene, &scene.request(SYN).with_source(source), source)
}

fn refused(scene: &Scene, host: u8, port: u16, reason: DropReason) -> Step {
    let frame = scene.request(SYN).with_source(at(world::client(scene.family, host), port));
    Step::Frame { ingress: CLIENTS, frame: frame.build(), expect: Expect::Drop(reason) }
}

fn full(scene: &Scene) -> Vec<Case> {
    let many = DropReason::SourceFull;
    vec![
        limited(scene, "a source never has more flows than it may", 2, 0).then(vec![
            begins(scene, 10, 41001),
            begins(scene, 10, 41002),
            refused(scene, 10, 41003, many),
            begins(scene, 10, 41002),
            begins(scene, 11, 41004),
            have(3, 3),
        ]),
        limited(scene, "a source never has more unanswered flows than it may", 0, 1)
            .then(vec![begins(scene, 10, 40000), refused(scene, 10, 41001, DropReason::SourceEmbryonic)])
            .then(scene.established())
            .then(vec![
                have(1, 0),
                begins(scene, 10, 41001),
                have(2, 1),
                refused(scene, 10, 41002, DropReason::SourceEmbryonic),
            ]),
        limited(scene, "established flows of a source that has enough go on", 1, 1)
            .then(scene.established())
            .then(vec![
                refused(scene, 10, 41001, many),
                scene.forwards(&scene.request(ACK)),
                scene.returns(&scene.answer(ACK)),
                have(1, 0),
            ]),
        limited(scene, "a flow without an entry takes no place of its source", 2, 2)
            .change(|tables| tables.refusals.set(u32::MAX))
            .then(vec![
                refused(
                    scene,
                    10,
                    41001,
                    if scene.mode == Mode::Nat {
                        DropReason::TupleConflict
                    } else {
                        DropReason::PortsExhausted
                    },
                ),
                have(0, 0),
            ])
            .host_only("the kernel's LRU maps take every flow"),
        limited(scene, "a flow that its backend has no place for takes none of its source", 2, 2)
            .change(|tables| tables.set_limits(0, &[(crate::packets::scene::BACKEND, 1)]))
            .then(vec![
                begins(scene, 10, 41001),
                refused(scene, 10, 41002, DropReason::BackendFull),
                have(1, 1),
            ]),
    ]
}

/// Flows that nobody ended.
fn ends(scene: &Scene) -> Vec<Case> {
    let wait = |tables: &HostTables| {
        tables.now.set(tables.now.get() + 2 * TIMEOUT);
        // As `lbd` does when flows ended.
        tables.ports.borrow_mut().clear();
    };
    let again = || vec![scene.forwards(&scene.request(SYN)), have(1, 1)];
    vec![
        limited(scene, "a flow that was idle for too long makes room for the next", 2, 1)
            .then(scene.established())
            .change(wait)
            .then(again()),
        limited(scene, "a flow that nobody answered makes room for the next", 2, 2)
            .then(again())
            .change(wait)
            .then(again()),
    ]
}

fn connections(scene: &Scene) -> Vec<Case> {
    let c = |flags| scene.forwards(&scene.request(flags));
    let b = |flags| scene.returns(&scene.answer(flags));
    let open = |what: &str| limited(scene, what, 1, 1).then(scene.established()).then(vec![have(1, 0)]);
    vec![
        open("the FIN of both sides gives a source's place back, once")
            .then(vec![c(FIN | ACK), have(1, 0), b(FIN | ACK), have(0, 0), b(FIN | ACK), c(ACK), have(0, 0)])
            .then(vec![begins(scene, 10, 41001)]),
        open("a RST gives a source's place back, once").then(vec![
            b(RST | ACK),
            have(0, 0),
            c(RST),
            have(0, 0),
        ]),
        open("a source's place goes when the client's entry was pushed out")
            .change({
                let (src, dst, proto) = scene.forward();
                move |tables| assert!(tables.evict(Tier::Established, src, dst, proto))
            })
            .then(vec![b(RST | ACK), have(0, 0)]),
        limited(scene, "a connection that is refused gives both places back", 1, 1).then(vec![
            c(SYN),
            have(1, 1),
            b(RST | ACK),
            have(0, 0),
        ]),
    ]
}

/// Datagrams: an answer gives a place back, and leaves the flow among those that can be pushed out.
fn exchanges(scene: &Scene) -> Vec<Case> {
    let c = || scene.forwards(&scene.request(0));
    let b = || scene.returns(&scene.answer(0));
    let later = |tables: &HostTables| tables.now.set(tables.now.get() + 2 * TIMEOUT);
    vec![
        limited(scene, "an answer gives the place of an unanswered flow back, once", 2, 1).then(vec![
            c(),
            have(1, 1),
            b(),
            have(1, 0),
            b(),
            have(1, 0),
            begins(scene, 10, 41001),
            have(2, 1),
            c(),
            have(2, 1),
        ]),
        limited(scene, "an answered flow that was idle for too long gives its place back", 1, 1)
            .then(vec![c(), b(), have(1, 0)])
            .change(later)
            .change(|tables| tables.ports.borrow_mut().clear())
            .then(vec![c(), have(1, 1)]),
    ]
}

/// SYNs that take no entry: the places are taken when the backend answers.
fn stateless(scene: &Scene) -> Vec<Case> {
    let c = |flags| scene.forwards(&scene.request(flags));
    let b = |flags| scene.returns(&scene.answer(flags));
    let exclusive = |what: &str, flows, embryonic| {
        let case = limited(scene, what, flows, embryonic);
        case.tables.make_exclusive(crate::packets::scene::SERVICE, scene.vip(), TCP);
        case
    };
    let second = scene.answer(SYN | ACK).with_destination(at(scene.client().ip(), 41001));
    let told = |reason| Expect::Answer { reason, frame: reset_of(&second).build() };
    vec![
        exclusive("a SYN that takes no entry takes no place of its source", 1, 1).then(vec![
            c(SYN),
            begins(scene, 10, 41001),
            have(0, 0),
        ]),
        exclusive("a SYN-ACK takes the source's places, the ACK gives one back", 1, 1).then(vec![
            c(SYN),
            b(SYN | ACK),
            b(SYN | ACK),
            have(1, 1),
            c(ACK),
            have(1, 0),
            refused(scene, 10, 41001, DropReason::SourceFull),
        ]),
        exclusive("a SYN-ACK for a source that has enough flows is answered by a RST", 1, 0)
            .then(vec![begins(scene, 10, 41001), c(SYN), b(SYN | ACK)])
            .frame(SERVERS, &second, told(DropReason::SourceFull))
            .then(vec![have(1, 1)]),
        exclusive("a SYN-ACK for a source that has enough unanswered flows is answered by a RST", 0, 1)
            .then(vec![begins(scene, 10, 41001), c(SYN), b(SYN | ACK)])
            .frame(SERVERS, &second, told(DropReason::SourceEmbryonic))
            .then(vec![have(1, 1)]),
    ]
}

fn packets(scene: &Scene) -> Vec<Case> {
    let bits = if scene.family == Family::V4 { 32 } else { 128 };
    // What the client sends to make a flow established.
    let before = 2;
    let of_source = Admission {
        source_packet_rate: 1,
        source_packet_burst: before + 2,
        source_prefix: bits,
        ..unlisted()
    };
    let of_service = Admission { packet_rate: 1, packet_burst: before + 2, ..unlisted() };
    let metered = |generation| {
        vec![
            Step::Fact(Fact::Egress(Tier::Established, scene.forward(), (scene.egress.0, generation))),
            Step::Fact(Fact::Egress(Tier::Established, scene.reverse(), (CLIENTS, GENERATION))),
        ]
    };
    let c = || scene.forwards(&scene.request(ACK));
    let case = |what: &str, admission| {
        let case = scene.case(what);
        admit(&case.tables, admission);
        case.then(scene.established())
    };
    let too_many = |case: Case, reason| {
        case.then(vec![c(), c()])
            .frame(CLIENTS, &scene.request(ACK), Expect::Drop(reason))
            .then(metered(GENERATION | NextHop::METERED))
            .then(vec![scene.returns(&scene.answer(ACK)), scene.returns(&scene.answer(ACK))])
            .frame(CLIENTS, &scene.request(ACK), Expect::Drop(reason))
    };
    vec![
        too_many(case("packets of a source are limited", of_source), DropReason::SourcePackets)
            .then(vec![begins(scene, 11, 41001)]),
        too_many(case("packets for a service are limited", of_service), DropReason::ServicePackets)
            .then(vec![refused(scene, 11, 41001, DropReason::ServicePackets)]),
        case("flows of a service without a rate of packets take the shortcut", unlisted())
            .change(|tables| {
                let mut settings = tables.settings.get();
                settings.flags |= lb_common::abi::SettingsFlags::PACKET_RATES;
                tables.settings.set(settings);
            })
            .then((0..5).map(|_| c()).collect())
            .then(metered(GENERATION)),
        case("packets of flows that were there are limited from the next generation on", unlisted())
            .change(move |tables| {
                admit(tables, of_source);
                let mut settings = tables.settings.get();
                settings.fib_generation += 1;
                tables.settings.set(settings);
            })
            .then((0..before + 2).map(|_| c()).collect())
            .frame(CLIENTS, &scene.request(ACK), Expect::Drop(DropReason::SourcePackets)),
    ]
}
