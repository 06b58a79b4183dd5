//! Fragments: the first one records the ports, later ones follow it; and UDP checksums that are 0.

use lb_common::{
    abi::{DropReason, Mode},
    host::{Extension, FrameSpec, HostTables, Piece, Transport},
    tables::Tier,
    wire::{ACK, HOP_BY_HOP, SYN, UDP},
};

use crate::{
    packets::{
        Case, Expect,
        scene::Scene,
        world::{self, CLIENTS, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        cases.extend(followed(&scene));
        cases.extend(without_first(&scene));
        cases.extend(odd_first_fragments(&scene));
        cases.push(forgotten_flow(&scene));
        cases.extend(header_in_two(&scene));
    }
    for scene in Scene::of(UDP) {
        cases.extend(zero_checksums(&scene));
    }
    cases
}

/// The pieces of a packet with 1000 bytes of payload.
fn pieces(whole: &FrameSpec, lengths: &[usize]) -> Vec<FrameSpec> {
    let mut offset = 0;
    let mut pieces = Vec::new();
    for length in lengths {
        let mut piece = whole.clone();
        piece.payload = (0..1000).map(|index| (index % 251) as u8).collect();
        piece.fragment = Some(Piece { offset, length: *length });
        pieces.push(piece);
        offset += length;
    }
    pieces
}

const LENGTHS: [usize; 3] = [512, 256, 9999];

fn followed(scene: &Scene) -> Vec<Case> {
    let requests = pieces(&scene.request(SYN), &LENGTHS);
    let answers = pieces(&scene.answer(SYN | ACK), &LENGTHS);
    let forwards = || requests.iter().map(|piece| scene.forwards(piece)).collect::<Vec<_>>();
    let returns = || answers.iter().map(|piece| scene.returns(piece)).collect::<Vec<_>>();
    let tagged = {
        let mut tagged = scene.request(SYN);
        tagged.tags = vec![(0x8100, 3)];
        if scene.family == Family::V6 {
            tagged.extensions = vec![Extension::options(HOP_BY_HOP, 0)];
        } else {
            tagged.options = vec![1; 4];
        }
        pieces(&tagged, &LENGTHS).iter().map(|piece| scene.forwards(piece)).collect()
    };
    let mut swapped = forwards();
    swapped.swap(1, 2);
    vec![
        scene.case("fragments of the first packet").then(forwards()),
        scene.case("fragments of the answer").then(vec![scene.forwards(&scene.request(SYN))]).then(returns()),
        scene
            .case("fragments of an established flow")
            .then(scene.established())
            .then(returns())
            .then(pieces(&scene.request(ACK), &LENGTHS).iter().map(|piece| scene.forwards(piece)).collect()),
        scene.case("fragments, the last before the second").then(swapped),
        scene.case("fragments behind tags and options").then(tagged),
        scene
            .case("a fragment 60 ticks after the first")
            .then(scene.established())
            .then(vec![scene.forwards(&pieces(&scene.request(ACK), &LENGTHS)[0])])
            .change(|tables| fragments_age(tables, 60))
            .then(vec![scene.forwards(&pieces(&scene.request(ACK), &LENGTHS)[1])]),
    ]
}

/// The options of a TCP header go on in the second fragment: who puts it together knows whether it is whole.
fn header_in_two(scene: &Scene) -> Option<Case> {
    let mut whole = scene.request(SYN);
    let Transport::Tcp { options, .. } = &mut whole.transport else { return None };
    *options = vec![1; 36];
    let forwards = pieces(&whole, &[32, 256, 9999]).iter().map(|piece| scene.forwards(piece)).collect();
    Some(scene.case("fragments, the options of the TCP header in two of them").then(forwards))
}

/// Makes what is recorded of fragments older.
fn fragments_age(tables: &HostTables, ticks: u32) {
    tables.v4.fragments.borrow_mut().values_mut().for_each(|ports| ports.seen -= ticks);
    tables.v6.fragments.borrow_mut().values_mut().for_each(|ports| ports.seen -= ticks);
}

fn without_first(scene: &Scene) -> Vec<Case> {
    let requests = pieces(&scene.request(SYN), &LENGTHS);
    let drop = || Expect::Drop(DropReason::FragmentWithoutFirst);
    let mut other_id = requests[1].clone();
    other_id.id += 1;
    let mut other_protocol = requests[1].clone();
    other_protocol.transport = Transport::Raw(132);
    let elsewhere = requests[1].clone().with_destination(at(world::vip(scene.family, 101), 80));
    vec![
        scene.case("a later fragment before its first").frame(CLIENTS, &requests[1], drop()),
        scene.case("the last fragment before its first").frame(CLIENTS, &requests[2], drop()),
        scene.case("a later fragment of another packet").then(vec![scene.forwards(&requests[0])]).frame(
            CLIENTS,
            &other_id,
            drop(),
        ),
        scene.case("a later fragment of another protocol").then(vec![scene.forwards(&requests[0])]).frame(
            CLIENTS,
            &other_protocol,
            drop(),
        ),
        scene
            .case("a later fragment that comes 61 ticks late")
            .then(vec![scene.forwards(&requests[0])])
            .change(|tables| fragments_age(tables, 61))
            .frame(CLIENTS, &requests[1], drop()),
        scene.case("a later fragment for another address").frame(CLIENTS, &elsewhere, Expect::Pass),
    ]
}

/// First fragments that end inside the transport header, or that are dropped: then nothing is recorded.
fn odd_first_fragments(scene: &Scene) -> Vec<Case> {
    let whole = scene.request(SYN);
    let short = |length| pieces(&whole, &[length]).remove(0);
    let mut cases = vec![
        scene.case("a first fragment of 8 bytes").then(if scene.proto == UDP {
            vec![scene.forwards(&short(8))]
        } else {
            let frame = short(8).build();
            let expect = Expect::Drop(DropReason::BadL4Header);
            vec![crate::packets::Step::Frame { ingress: CLIENTS, frame, expect }]
        }),
        scene.case("a first fragment of 24 bytes").then(vec![scene.forwards(&short(24))]),
    ];
    let all = pieces(&whole, &LENGTHS);
    let unroutable = scene.with_backend(at(world::lost(scene.family), 8080), 0, scene.backend);
    cases.push(
        unroutable
            .case("a later fragment after a first one that was dropped")
            .frame(CLIENTS, &all[0], Expect::Drop(DropReason::NoRoute))
            .frame(CLIENTS, &all[1], Expect::Drop(DropReason::FragmentWithoutFirst)),
    );
    cases
}

/// The ports are known, the flow is not: a later fragment can't begin it.
fn forgotten_flow(scene: &Scene) -> Case {
    let requests = pieces(&scene.request(SYN), &LENGTHS);
    let (src, dst, proto) = scene.forward();
    scene
        .case("a later fragment of a flow that was forgotten")
        .then(vec![scene.forwards(&requests[0])])
        .change(move |tables| assert!(tables.evict(Tier::Embryonic, src, dst, proto)))
        .frame(CLIENTS, &requests[1], Expect::Drop(DropReason::FragmentWithoutFirst))
}

/// No checksum stays none; a checksum that is computed as 0 is sent as ffff.
fn zero_checksums(scene: &Scene) -> Vec<Case> {
    let none = |mut frame: FrameSpec| {
        if let Transport::Udp { checksum, .. } = &mut frame.transport {
            *checksum = false;
        }
        frame
    };
    // Two bytes of payload that make the translated checksum come out as 0.
    let computed = |frame: FrameSpec, translated: &dyn Fn(&FrameSpec) -> FrameSpec| {
        (0..=u16::MAX)
            .map(|word| FrameSpec { payload: word.to_be_bytes().to_vec(), ..frame.clone() })
            .find(|candidate| {
                let at = candidate.transport_offset() + 6;
                translated(candidate).build()[at..at + 2] == [0xff, 0xff]
            })
            .expect("one of all words does")
    };
    let forward = computed(scene.request(0), &|frame| scene.forwarded(frame));
    let reverse = computed(scene.answer(0), &|frame| scene.returned(frame));
    let mut cases = vec![
        scene
            .case("a UDP checksum that becomes 0 is sent as ffff")
            .then(vec![scene.forwards(&forward), scene.returns(&reverse)]),
        scene.case("a UDP checksum that was sent as ffff").then(vec![
            scene.forwards(&computed(scene.request(0), &Clone::clone)),
            scene.returns(&computed(scene.answer(0), &Clone::clone)),
        ]),
    ];
    if scene.family == Family::V4 || scene.mode == Mode::Nat {
        cases.push(scene.case("UDP without checksum").then(vec![
            scene.forwards(&none(scene.request(0))),
            scene.returns(&none(scene.answer(0))),
            scene.forwards(&none(scene.request(0))),
        ]));
    }
    cases
}
