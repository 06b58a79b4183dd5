//! Frames that end early, and headers whose lengths cannot be: at every length and in every header.

use lb_common::{
    abi::{DropReason, Mode},
    host::{Extension, FrameSpec},
    wire::{ACK, DESTINATION_OPTIONS, SYN, TCP},
};

use crate::{
    packets::{Case, Expect, scene::Scene, world::CLIENTS},
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all().into_iter().filter(|scene| scene.mode == Mode::Nat) {
        for tags in [0, 2] {
            cases.extend(cut_frames(&scene, tags));
        }
        cases.extend(cut_frames_of_others(&scene));
        cases.extend(short_packets(&scene));
        cases.extend(wrong_network_lengths(&scene));
        cases.extend(wrong_transport_lengths(&scene));
        cases.extend(cut_extension_headers(&scene));
    }
    cases
}

fn tagged(scene: &Scene, tags: usize) -> FrameSpec {
    let mut frame = scene.request(SYN);
    frame.tags = vec![(0x8100, 5); tags];
    frame
}

/// The frame ends before the packet that its header announces: one case for each length.
fn cut_frames(scene: &Scene, tags: usize) -> Vec<Case> {
    let spec = tagged(scene, tags);
    let whole = spec.build();
    let network = spec.network_offset();
    let header = if scene.family == Family::V4 { 20 } else { 40 };
    let lengths = (0..=spec.transport_offset() + 20).chain([whole.len() - 1]);
    lengths
        .map(|length| {
            let expect = if length < 14 {
                Expect::Pass
            } else if length < network + header {
                // Inside a tag or the network header.
                Expect::Drop(DropReason::Truncated)
            } else {
                Expect::Drop(DropReason::BadIpHeader)
            };
            let what = format!("{tags} VLAN tags, the frame cut at {length} bytes");
            scene.case(&what).bytes(CLIENTS, whole[..length].to_vec(), expect)
        })
        .collect()
}

/// The same for another station: only one that ends inside its tags is not left to the host.
fn cut_frames_of_others(scene: &Scene) -> Vec<Case> {
    let mut spec = tagged(scene, 2);
    spec.dmac = [2, 9, 9, 9, 9, 9];
    let (whole, network) = (spec.build(), spec.network_offset());
    let cut = |length: usize| {
        let expect =
            if (14..network).contains(&length) { Expect::Drop(DropReason::Truncated) } else { Expect::Pass };
        let what = format!("for another station, 2 VLAN tags, the frame cut at {length} bytes");
        scene.case(&what).bytes(CLIENTS, whole[..length].to_vec(), expect)
    };
    (12..network + 4).map(cut).collect()
}

/// The packet says of itself that it ends inside the transport header: one case for each length.
fn short_packets(scene: &Scene) -> Vec<Case> {
    let spec = scene.request(SYN);
    let minimum = if scene.proto == TCP { 20 } else { 8 };
    (0..minimum)
        .map(|length| {
            let mut frame = spec.build();
            frame.truncate(spec.transport_offset() + length);
            set_length(scene, &mut frame, length);
            let what = format!("a transport header of {length} bytes");
            scene.case(&what).bytes(CLIENTS, frame, Expect::Drop(DropReason::BadL4Header))
        })
        .collect()
}

/// Writes the length field of the network header, for a number of bytes behind it. (Its checksum is not looked at.)
fn set_length(scene: &Scene, frame: &mut [u8], behind: usize) {
    let (at, length) = if scene.family == Family::V4 { (16, 20 + behind) } else { (18, behind) };
    frame[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
}

/// Versions and lengths of the network header.
fn wrong_network_lengths(scene: &Scene) -> Vec<Case> {
    let bad = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = scene.request(SYN).build();
        change(&mut frame);
        scene.case(what).bytes(CLIENTS, frame, Expect::Drop(DropReason::BadIpHeader))
    };
    let mut cases = vec![
        bad("a length that is one more than there is", &|frame| {
            let behind = frame.len() + 1 - 14 - if scene.family == Family::V4 { 20 } else { 40 };
            set_length(scene, frame, behind);
        }),
        bad("the greatest length", &|frame| set_length(scene, frame, 0xffff - 20)),
        bad("version 0", &|frame| frame[14] &= 0x0f),
        bad("the other family's version", &|frame| frame[14] ^= 0x20),
    ];
    if scene.family == Family::V4 {
        for words in 0..5 {
            cases.push(bad(&format!("an IPv4 header of {words} words"), &|frame| frame[14] = 0x40 | words));
        }
        cases.push(bad("an IPv4 header longer than the packet", &|frame| {
            frame[14] = 0x4f;
            set_length(scene, frame, 20);
        }));
        cases.push(bad("an IPv4 length shorter than the header", &|frame| frame[16..18].fill(0)));
    }
    cases
}

/// TCP data offsets and UDP lengths.
fn wrong_transport_lengths(scene: &Scene) -> Vec<Case> {
    let spec = scene.request(SYN);
    let at = spec.transport_offset();
    let case = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = spec.build();
        change(&mut frame);
        scene.case(what).bytes(CLIENTS, frame, Expect::Drop(DropReason::BadL4Header))
    };
    if scene.proto == TCP {
        let mut cases: Vec<Case> = (0..5)
            .map(|words| {
                case(&format!("a TCP header of {words} words"), &|frame| frame[at + 12] = (words as u8) << 4)
            })
            .collect();
        // 20 bytes of header and 15 of payload are there.
        cases.push(case("a TCP header longer than the packet", &|frame| frame[at + 12] = 0x90));
        cases
    } else {
        let length = |length: u16| {
            move |frame: &mut Vec<u8>| frame[at + 4..at + 6].copy_from_slice(&length.to_be_bytes())
        };
        [0, 1, 7, 24, 0xffff]
            .into_iter()
            .map(|bytes| case(&format!("a UDP length of {bytes}"), &length(bytes)))
            .collect()
    }
}

/// Extension headers that reach beyond the packet, or beyond the frame: one case for each length.
fn cut_extension_headers(scene: &Scene) -> Vec<Case> {
    if scene.family == Family::V4 {
        return vec![];
    }
    let mut spec = scene.request(ACK);
    spec.extensions = vec![Extension::options(DESTINATION_OPTIONS, 1)];
    let whole = spec.build();
    let mut cases = Vec::new();
    for length in 0..16 {
        let mut frame = whole[..14 + 40 + length].to_vec();
        set_length(scene, &mut frame, length);
        // Four bytes tell the next header and the length.
        let reason = if length < 4 { DropReason::Truncated } else { DropReason::BadIpHeader };
        let what = format!("an extension header cut at {length} bytes");
        cases.push(scene.case(&what).bytes(CLIENTS, frame, Expect::Drop(reason)));
    }
    let mut spec = scene.request(ACK);
    spec.fragment = Some(lb_common::host::Piece { offset: 0, length: 8 });
    let whole = spec.build();
    for length in 0..8 {
        let mut frame = whole[..14 + 40 + length].to_vec();
        set_length(scene, &mut frame, length);
        let what = format!("a fragment header cut at {length} bytes");
        cases.push(scene.case(&what).bytes(CLIENTS, frame, Expect::Drop(DropReason::Truncated)));
    }
    cases
}
