//! Connections of a backend that was taken out, where they are to be reset.

use lb_common::{
    abi::{BackendState, DropReason, FlowState, Mode},
    host::{Extension, FrameSpec, HostTables, Piece, Transport},
    tables::Tier,
    wire::{ACK, DESTINATION_OPTIONS, FIN, RST, SYN, TCP},
};

use super::icmp::Error;
use crate::{
    packets::{
        Case, Expect, Fact, Step,
        scene::{BACKEND, SERVICE, Scene},
        world::{self, CLIENTS, SERVERS, at},
    },
    topology::Family,
};

/// States in which a backend takes no packets.
const OUT: [BackendState; 3] = [BackendState::Down, BackendState::Disabled, BackendState::Unused];

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(TCP) {
        cases.extend(states(&scene));
        cases.extend(segments(&scene));
        cases.extend(shapes(&scene));
        cases.extend(ends(&scene));
        cases.extend(handshakes(&scene));
        cases.extend(without_flow(&scene));
        cases.extend(ended(&scene));
    }
    for scene in Scene::all().into_iter().filter(|scene| scene.proto != TCP) {
        cases.extend(datagrams(&scene));
    }
    cases
}

/// An established flow whose backend is then taken out.
pub(super) fn taken_out(scene: &Scene, what: &str, state: BackendState) -> Case {
    let case = Case::new(format!("{what} ({})", scene.label()), scene.tables());
    case.then(scene.established()).change(move |tables| {
        tables.set_backend_reset(BACKEND, true);
        tables.set_backend_state(BACKEND, state);
    })
}

/// All new flows go to the second backend, whose ports are its own.
fn leave_to_second(tables: &HostTables) {
    tables.set_slots(SERVICE, &[BACKEND + 1]);
    if let Some(backend) = tables.backends.borrow_mut().get_mut(&(BACKEND + 1)) {
        backend.pool_base = 0;
    }
}

/// The RST that a frame is answered with: its numbers are of RFC 9293 section 3.10.7.1.
pub(super) fn reset_of(frame: &FrameSpec) -> FrameSpec {
    let Transport::Tcp { sport, dport, flags, numbers: (seq, ack, _), .. } = &frame.transport else {
        panic!("only TCP is reset")
    };
    let length = frame.payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let (numbers, answer) =
        if flags & ACK != 0 { ((*ack, 0, 0), RST) } else { ((0, seq.wrapping_add(length), 0), RST | ACK) };
    let mut reset = FrameSpec::tcp(at(frame.dst, *dport), at(frame.src, *sport), answer);
    if let Transport::Tcp { numbers: of_reset, .. } = &mut reset.transport {
        *of_reset = numbers;
    }
    (reset.dmac, reset.smac) = (frame.smac, frame.dmac);
    reset.tags.clone_from(&frame.tags);
    reset.id = 0;
    let (arrived, leaves) = (frame.build().len(), reset.build().len());
    reset.trailer = vec![0; if arrived < 60 { 0 } else { 60_usize.saturating_sub(leaves) }];
    reset
}

fn answered(ingress: u32, frame: &FrameSpec) -> Step {
    let expect = Expect::Answer { reason: DropReason::FlowReset, frame: reset_of(frame).build() };
    Step::Frame { ingress, frame: frame.build(), expect }
}

pub(super) fn from_client(scene: &Scene, flags: u8) -> Step {
    answered(CLIENTS, &scene.request(flags))
}

fn from_backend(scene: &Scene, flags: u8) -> Step {
    answered(SERVERS, &scene.answer(flags))
}

fn closed(scene: &Scene) -> Vec<Step> {
    vec![
        Step::Fact(Fact::Flow(Tier::Established, scene.forward(), FlowState::Closed)),
        Step::Fact(Fact::Flow(Tier::Established, scene.reverse(), FlowState::Closed)),
        Step::Fact(Fact::Count(0, 2)),
    ]
}

fn states(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    for state in OUT {
        cases.push(
            taken_out(
                scene,
                &format!("both ends of a connection get a RST once its backend is {state:?}"),
                state,
            )
            .then(vec![from_client(scene, ACK), from_backend(scene, ACK)])
            .then(closed(scene))
            .then(vec![
                from_client(scene, ACK),
                from_backend(scene, FIN | ACK),
                from_client(scene, FIN | ACK),
            ])
            .then(closed(scene)),
        );
    }
    cases.push(
        taken_out(
            scene,
            "the entry that leads to an end is closed once that end got a RST",
            BackendState::Down,
        )
        .then(vec![from_backend(scene, ACK)])
        .fact(Fact::Flow(Tier::Established, scene.forward(), FlowState::Closed))
        .fact(Fact::Flow(Tier::Established, scene.reverse(), FlowState::Established)),
    );
    cases.push(
        taken_out(scene, "a draining backend's connections go on", BackendState::Draining)
            .then(vec![scene.forwards(&scene.request(ACK)), scene.returns(&scene.answer(ACK))]),
    );
    cases.push(
        taken_out(scene, "a connection without a packet goes on if its backend is back", BackendState::Down)
            .change(|tables| tables.set_backend_state(BACKEND, BackendState::Active))
            .then(vec![scene.forwards(&scene.request(ACK)), scene.returns(&scene.answer(ACK))])
            .fact(Fact::Flow(Tier::Established, scene.forward(), FlowState::Established)),
    );
    cases
}

fn segments(scene: &Scene) -> Vec<Case> {
    let case = |what: &str| taken_out(scene, what, BackendState::Disabled);
    let mut cases = vec![
        case("a RST is not answered with a RST")
            .frame(CLIENTS, &scene.request(RST), Expect::Drop(DropReason::FlowReset))
            .frame(SERVERS, &scene.answer(RST | ACK), Expect::Drop(DropReason::FlowReset))
            .then(closed(scene)),
        case("a SYN of the backend begins nothing: a RST")
            .then(vec![from_backend(scene, SYN)])
            .fact(Fact::Flow(Tier::Established, scene.forward(), FlowState::Closed))
            .fact(Fact::Count(0, 2)),
    ];
    for flags in [0, FIN, FIN | ACK, ACK, SYN | ACK] {
        cases.push(
            case(&format!("the RST that answers flags {flags:#04x} has the numbers of RFC 9293"))
                .then(vec![from_client(scene, flags), from_backend(scene, flags)]),
        );
    }
    let mut empty = scene.request(ACK);
    empty.payload.clear();
    cases.push(case("a RST is not longer than what it answers").then(vec![answered(CLIENTS, &empty)]));
    empty.trailer = vec![0x5a; 46];
    cases.push(
        case("a RST ends with zeros where what it answers was padded").then(vec![answered(CLIENTS, &empty)]),
    );
    let mut large = scene.request(ACK);
    large.payload = vec![7; 1400];
    cases.push(case("a full segment is answered by a RST").then(vec![answered(CLIENTS, &large)]));
    let mut dying = scene.request(ACK);
    dying.hop_limit = 1;
    cases.push(case("a RST answers a packet whose TTL is used up").then(vec![answered(CLIENTS, &dying)]));
    cases
}

fn shapes(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut FrameSpec)| {
        let mut frame = scene.request(ACK);
        frame.payload.truncate(1);
        change(&mut frame);
        let case = taken_out(scene, &format!("a RST answers a packet {what}"), BackendState::Disabled);
        cases.push(case.then(vec![answered(CLIENTS, &frame)]));
    };
    add("with a VLAN tag", &|frame| frame.tags = vec![(0x8100, 7)]);
    add("with two VLAN tags", &|frame| frame.tags = vec![(0x88a8, 1), (0x8100, 2)]);
    add("with TCP options", &|frame| {
        if let Transport::Tcp { options, .. } = &mut frame.transport {
            *options = vec![1; 12];
        }
    });
    if scene.family == Family::V4 {
        add("with IPv4 options", &|frame| frame.options = vec![1; 40]);
    } else {
        add("with extension headers", &|frame| {
            frame.extensions =
                vec![Extension::options(DESTINATION_OPTIONS, 1), Extension::options(DESTINATION_OPTIONS, 0)];
        });
    }
    let mut first = scene.request(ACK);
    first.payload = (0..100).collect();
    let mut later = first.clone();
    first.fragment = Some(Piece { offset: 0, length: 64 });
    later.fragment = Some(Piece { offset: 64, length: 64 });
    cases.push(
        Case::new(format!("a later fragment gets no RST ({})", scene.label()), scene.tables())
            .then(scene.established())
            .then(vec![scene.forwards(&first)])
            .change(|tables| {
                tables.set_backend_reset(BACKEND, true);
                tables.set_backend_state(BACKEND, BackendState::Disabled);
            })
            .frame(CLIENTS, &later, Expect::Drop(DropReason::FlowReset)),
    );
    cases
}

/// How the entries of a connection that was reset end.
fn ends(scene: &Scene) -> Vec<Case> {
    let second = at(world::server(scene.family, 12), 8080);
    let other = scene.with_backend(second, SERVERS, second);
    let case = |what: &str| {
        taken_out(scene, what, BackendState::Disabled)
            .change(leave_to_second)
            .then(vec![from_client(scene, ACK)])
    };
    vec![
        case("a connection that was reset is forgotten after tcp_closed")
            .change(|tables| {
                let closed = tables.settings.get().timeouts[FlowState::Closed as usize];
                tables.now.set(tables.now.get() + closed + 1);
            })
            .frame(SERVERS, &scene.answer(ACK), Expect::Pass)
            .fact(Fact::Count(0, 0)),
        case("a SYN begins anew what was reset, with another backend")
            .then(vec![other.forwards(&scene.request(SYN))])
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND + 1))
            .fact(Fact::Count(2, 0)),
        case("an idle connection is reset, too, and stays long enough for the other end")
            .change(|tables| tables.now.set(tables.now.get() + 100))
            .frame(
                CLIENTS,
                &scene.request(SYN),
                Expect::Send { egress: SERVERS, frame: other.forwarded(&scene.request(SYN)).build() },
            ),
    ]
}

/// Connections that were not answered yet.
fn handshakes(scene: &Scene) -> Vec<Case> {
    let second = at(world::server(scene.family, 12), 8080);
    let other = scene.with_backend(second, SERVERS, second);
    let begun = |what: &str, steps: Vec<Step>| {
        scene.case(what).then(steps).change(|tables| {
            tables.set_backend_reset(BACKEND, true);
            tables.set_backend_state(BACKEND, BackendState::Down);
            leave_to_second(tables);
        })
    };
    let sent = || vec![scene.forwards(&scene.request(SYN))];
    let answered = || vec![scene.forwards(&scene.request(SYN)), scene.returns(&scene.answer(SYN | ACK))];
    vec![
        begun("a SYN that is repeated goes to another backend", sent())
            .then(vec![other.forwards(&scene.request(SYN))])
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND + 1)),
        begun("a SYN that is repeated after the SYN-ACK goes to another backend", answered())
            .then(vec![other.forwards(&scene.request(SYN))])
            .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND + 1)),
        begun("the handshake's ACK is answered by a RST", answered())
            .then(vec![from_client(scene, ACK)])
            .fact(Fact::Flow(Tier::Embryonic, scene.reverse(), FlowState::Closed)),
        begun("a SYN-ACK that comes late is answered by a RST, and the SYN goes elsewhere", sent())
            .then(vec![from_backend(scene, SYN | ACK)])
            .fact(Fact::Flow(Tier::Embryonic, scene.forward(), FlowState::Closed))
            .then(vec![other.forwards(&scene.request(SYN))]),
    ]
}

/// A SYN-ACK for a SYN that took no entry.
fn without_flow(scene: &Scene) -> Vec<Case> {
    if scene.mode == Mode::FullNat {
        return Vec::new();
    }
    let case = scene.case("a SYN-ACK for a SYN without an entry is answered by a RST");
    case.tables.make_exclusive(SERVICE, scene.vip(), TCP);
    vec![
        case.then(vec![scene.forwards(&scene.request(SYN))])
            .change(|tables| {
                tables.set_backend_reset(BACKEND, true);
                tables.set_backend_state(BACKEND, BackendState::Down);
            })
            .then(vec![from_backend(scene, SYN | ACK)])
            .fact(Fact::Count(0, 0)),
    ]
}

/// UDP has nothing to reset: it goes to another backend at once.
fn datagrams(scene: &Scene) -> Vec<Case> {
    let second = at(world::server(scene.family, 12), 8080);
    let other = scene.with_backend(second, SERVERS, second);
    OUT.into_iter()
        .map(|state| {
            taken_out(scene, &format!("a datagram goes to another backend once its own is {state:?}"), state)
                .change(leave_to_second)
                .then(vec![scene.returns(&scene.answer(0)), other.forwards(&scene.request(0))])
                .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND + 1))
                .fact(Fact::Count(2, 0))
        })
        .collect()
}

/// A connection that is ended by itself: its backend goes on.
fn ended(scene: &Scene) -> Vec<Case> {
    let (client, vip, proto) = scene.forward();
    let case = |what: &str| {
        let case = Case::new(format!("{what} ({})", scene.label()), scene.tables());
        case.then(scene.established()).change(move |tables| assert!(tables.reset_flow(client, vip, proto)))
    };
    let unreachable = Error::to_backend(scene, scene.answer(ACK)).frame();
    let mut cases = vec![
        case("both ends of a connection that was ended get a RST, as often as they ask")
            .then(vec![from_client(scene, ACK), from_backend(scene, ACK)])
            .then(closed(scene))
            .then(vec![from_backend(scene, FIN | ACK), from_client(scene, FIN | ACK)])
            .then(closed(scene)),
        case("a backend's packet is answered by a RST where the connection was ended")
            .then(vec![from_backend(scene, ACK)])
            .fact(Fact::Flow(Tier::Established, scene.forward(), FlowState::Closed))
            .fact(Fact::Flow(Tier::Established, scene.reverse(), FlowState::Established)),
        case("the other end's entry that the LRU dropped comes back as one of a connection that was ended")
            .change({
                let (src, dst, proto) = scene.reverse();
                move |tables| assert!(tables.evict(Tier::Established, src, dst, proto))
            })
            .then(vec![from_client(scene, ACK), from_backend(scene, ACK)])
            .then(closed(scene)),
        case("an ICMP error about a connection that was ended gives it no next hop")
            .frame(CLIENTS, &unreachable, Expect::Drop(DropReason::IcmpWithoutFlow))
            .then(vec![from_client(scene, ACK), from_backend(scene, ACK)])
            .then(closed(scene)),
    ];
    // In full-nat the old port is given back a moment later: the connection begins with another one.
    if scene.mode == Mode::Nat {
        cases.extend([
            case("a SYN begins a connection anew that was ended, with the same backend")
                .then(vec![from_client(scene, ACK), scene.forwards(&scene.request(SYN))])
                .fact(Fact::Flow(Tier::Embryonic, scene.forward(), FlowState::SynSent))
                .fact(Fact::Backend(Tier::Embryonic, scene.forward(), BACKEND))
                .fact(Fact::Count(2, 0)),
            case("a SYN begins a connection anew that was ended, before anybody was told")
                .then(vec![scene.forwards(&scene.request(SYN))])
                .fact(Fact::Count(2, 0)),
        ]);
    }
    cases
}
