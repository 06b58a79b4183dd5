//! ICMP and ICMPv6 messages other than errors: echo to a VIP is answered, the rest is not for us.

use lb_common::{
    abi::{DropReason, Mode},
    host::{Extension, FrameSpec, Piece, Transport},
    wire::{HOP_BY_HOP, ICMP, ICMPV6, UDP},
};

use crate::{
    packets::{
        Case, Expect,
        scene::Scene,
        world::{self, CLIENTS},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(UDP).into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(echo(&scene));
        cases.extend(short_echo(&scene));
        cases.extend(other_messages(&scene));
        cases.extend(cut(&scene));
    }
    cases
}

/// Echo request types.
fn echo_types(family: Family) -> (u8, u8) {
    if family == Family::V4 { (8, 0) } else { (128, 129) }
}

fn echo(scene: &Scene) -> Vec<Case> {
    let (request, reply) = echo_types(scene.family);
    let mut cases = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut FrameSpec)| {
        let mut frame = FrameSpec::icmp(scene.client().ip(), scene.vip().ip(), request, 0, 0xbeef_0001);
        frame.dmac = world::mac(CLIENTS);
        frame.smac = world::host_mac(scene.client().ip());
        frame.payload = (0..57).collect();
        change(&mut frame);
        let mut answer = frame.clone();
        (answer.dmac, answer.smac) = (frame.smac, frame.dmac);
        (answer.src, answer.dst) = (frame.dst, frame.src);
        answer.hop_limit = 64;
        if let Transport::Icmp { kind, .. } = &mut answer.transport {
            *kind = reply;
        }
        let expect = Expect::Send { egress: CLIENTS, frame: answer.build() };
        cases.push(scene.case(&format!("echo to the VIP{what}")).frame(CLIENTS, &frame, expect));
    };
    add("", &|_| {});
    add(" without data", &|frame| frame.payload.clear());
    add(" of zeros", &|frame| {
        frame.transport = Transport::Icmp { kind: request, code: 0, rest: 0 };
        frame.payload = vec![0; 8];
    });
    add(" with 8000 bytes", &|frame| frame.payload = vec![5; 8000]);
    add(" with TTL 1", &|frame| frame.hop_limit = 1);
    add(" with TTL 255", &|frame| frame.hop_limit = 255);
    add(" with two VLAN tags", &|frame| frame.tags = vec![(0x88a8, 1), (0x8100, 2)]);
    add(" with padding", &|frame| frame.trailer = vec![0; 9]);
    if scene.family == Family::V4 {
        add(" with IPv4 options", &|frame| frame.options = vec![1; 4]);
    } else {
        add(" with an extension header", &|frame| {
            frame.extensions = vec![Extension::options(HOP_BY_HOP, 0)];
        });
    }
    cases
}

/// An echo request that ends within its header, in a frame that goes on.
fn short_echo(scene: &Scene) -> Vec<Case> {
    let (request, _) = echo_types(scene.family);
    let protocol = if scene.family == Family::V4 { ICMP } else { ICMPV6 };
    let short = |length: usize| {
        let mut frame = FrameSpec::new(scene.client().ip(), scene.vip().ip(), Transport::Raw(protocol));
        frame.dmac = world::mac(CLIENTS);
        frame.payload = vec![0; length];
        frame.payload[0] = request;
        frame.trailer = vec![0; 40];
        scene.case(&format!("echo to the VIP of {length} bytes, with padding")).frame(
            CLIENTS,
            &frame,
            Expect::Drop(DropReason::Truncated),
        )
    };
    [1, 3, 7].into_iter().map(short).collect()
}

/// Messages that are the host's business: echo to other addresses, replies, neighbour discovery, fragments.
fn other_messages(scene: &Scene) -> Vec<Case> {
    let (request, reply) = echo_types(scene.family);
    let message = |to, kind| {
        let mut frame = FrameSpec::icmp(scene.client().ip(), to, kind, 0, 1);
        frame.dmac = world::mac(CLIENTS);
        frame.payload = vec![0; 32];
        frame
    };
    let mut fragment = message(scene.vip().ip(), request);
    fragment.fragment = Some(Piece { offset: 0, length: 16 });
    let us = world::own_address(scene.family, CLIENTS);
    let kinds: &[u8] = if scene.family == Family::V4 { &[9, 10, 13, 17] } else { &[133, 134, 135, 136, 143] };
    let mut cases = vec![
        scene.case("echo to ourselves").frame(CLIENTS, &message(us, request), Expect::Pass),
        scene.case("an echo reply to the VIP").frame(
            CLIENTS,
            &message(scene.vip().ip(), reply),
            Expect::Pass,
        ),
        scene.case("a fragmented echo to the VIP").frame(CLIENTS, &fragment, Expect::Pass),
    ];
    for kind in kinds {
        let frame = message(scene.vip().ip(), *kind);
        cases.push(scene.case(&format!("ICMP type {kind} to the VIP")).frame(CLIENTS, &frame, Expect::Pass));
    }
    cases
}

/// An ICMP header that ends early: one case for each length.
fn cut(scene: &Scene) -> Vec<Case> {
    let (request, _) = echo_types(scene.family);
    let mut cases = Vec::new();
    for (what, to, expect) in [
        ("the VIP", scene.vip().ip(), Expect::Drop(DropReason::Truncated)),
        ("ourselves", world::own_address(scene.family, CLIENTS), Expect::Pass),
    ] {
        let mut spec = FrameSpec::icmp(scene.client().ip(), to, request, 0, 1);
        spec.dmac = world::mac(CLIENTS);
        for length in 0..8 {
            let mut frame = spec.build();
            frame.truncate(spec.transport_offset() + length);
            let (field, bytes) = if scene.family == Family::V4 { (16, 20 + length) } else { (18, length) };
            frame[field..field + 2].copy_from_slice(&(bytes as u16).to_be_bytes());
            let case = scene.case(&format!("an ICMP header of {length} bytes to {what}"));
            cases.push(case.bytes(CLIENTS, frame, expect.clone()));
        }
    }
    cases
}
