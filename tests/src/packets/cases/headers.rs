//! IPv4 options, TCP options, IPv6 extension headers, and packets that are not TCP, UDP or ICMP.

use lb_common::{
    abi::{DropReason, Mode},
    host::{Extension, FrameSpec, Piece, Transport},
    wire::{ACK, DESTINATION_OPTIONS, HOP_BY_HOP, SYN},
};

use crate::{
    packets::{
        Case, Expect,
        scene::Scene,
        world::{CLIENTS, SERVERS},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        match scene.family {
            Family::V4 => cases.extend(ipv4_options(&scene)),
            Family::V6 => cases.extend(extension_headers(&scene)),
        }
    }
    for scene in Scene::of(lb_common::wire::TCP) {
        cases.push(tcp_options(&scene));
    }
    for scene in Scene::all().into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(source_routed(&scene));
        cases.extend(too_many(&scene));
        cases.extend(other_protocols(&scene));
    }
    cases
}

/// A case that sends a changed packet each way.
fn both_ways(scene: &Scene, what: &str, change: impl Fn(FrameSpec) -> FrameSpec) -> Case {
    scene.case(what).then(vec![
        scene.forwards(&change(scene.request(SYN))),
        scene.returns(&change(scene.answer(SYN | ACK))),
        scene.forwards(&change(scene.request(ACK))),
        scene.returns(&change(scene.answer(ACK))),
    ])
}

fn ipv4_options(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [4_usize, 8, 40] {
        cases.push(both_ways(scene, &format!("{length} bytes of IPv4 options"), move |mut frame| {
            // Router alert, then no-operations.
            frame.options = [0x94, 4, 0, 0].into_iter().chain(std::iter::repeat(1)).take(length).collect();
            frame
        }));
    }
    cases
}

fn tcp_options(scene: &Scene) -> Case {
    both_ways(scene, "40 bytes of TCP options", |mut frame| {
        if let Transport::Tcp { options, .. } = &mut frame.transport {
            *options = vec![1; 40];
        }
        frame
    })
}

/// Chains of extension headers that are followed.
fn extension_headers(scene: &Scene) -> Vec<Case> {
    let hop = || Extension::options(HOP_BY_HOP, 0);
    let destination = |more| Extension::options(DESTINATION_OPTIONS, more);
    let chains = [
        ("hop-by-hop options", vec![hop()]),
        ("destination options of 8 bytes", vec![destination(0)]),
        ("destination options of 264 bytes", vec![destination(32)]),
        ("destination options of 2048 bytes", vec![destination(255)]),
        ("a routing header that is used up", vec![Extension::routing(0)]),
        ("three extension headers", vec![hop(), Extension::routing(0), destination(1)]),
        ("six extension headers", (0..6).map(|_| destination(0)).collect()),
    ];
    let mut cases: Vec<Case> = chains
        .into_iter()
        .map(|(what, chain)| {
            both_ways(scene, what, move |mut frame| {
                frame.extensions.clone_from(&chain);
                frame
            })
        })
        .collect();
    cases.push(both_ways(scene, "an atomic fragment", |mut frame| {
        frame.fragment = Some(Piece { offset: 0, length: 9999 });
        frame
    }));
    cases
}

/// A destination that is not the final one is not for us.
fn source_routed(scene: &Scene) -> Vec<Case> {
    if scene.family == Family::V4 {
        return vec![];
    }
    let mut frame = scene.request(SYN);
    frame.extensions = vec![Extension::options(HOP_BY_HOP, 0), Extension::routing(1)];
    vec![scene.case("a routing header with a segment left").frame(CLIENTS, &frame, Expect::Pass)]
}

fn too_many(scene: &Scene) -> Vec<Case> {
    if scene.family == Family::V4 {
        return vec![];
    }
    let chain = |length: usize| (0..length).map(|_| Extension::options(DESTINATION_OPTIONS, 0)).collect();
    let mut seven = scene.request(SYN);
    seven.extensions = chain(7);
    let mut six_and_fragment = scene.request(SYN);
    six_and_fragment.extensions = chain(6);
    six_and_fragment.fragment = Some(Piece { offset: 0, length: 16 });
    let reason = Expect::Drop(DropReason::TooManyExtensionHeaders);
    vec![
        scene.case("seven extension headers").frame(CLIENTS, &seven, reason.clone()),
        scene.case("six extension headers and a fragment header").frame(CLIENTS, &six_and_fragment, reason),
    ]
}

/// Protocols that have no services.
fn other_protocols(scene: &Scene) -> Vec<Case> {
    // Encapsulation, GRE, ESP, AH, no next header, SCTP; the other family's ICMP.
    let other_icmp = if scene.family == Family::V4 { 58 } else { 1 };
    [4, 47, 50, 51, 59, 132, other_icmp]
        .into_iter()
        .map(|protocol| {
            let mut frame = scene.request(0);
            frame.transport = Transport::Raw(protocol);
            scene.case(&format!("protocol {protocol} to the VIP")).frame(CLIENTS, &frame, Expect::Pass).frame(
                SERVERS,
                &frame,
                Expect::Pass,
            )
        })
        .collect()
}
