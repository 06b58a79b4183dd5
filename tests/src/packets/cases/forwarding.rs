//! Packets that are forwarded: every family, protocol and mode, in both directions, with tags, options and sizes.

use lb_common::{
    host::FrameSpec,
    wire::{ACK, SYN},
};

use crate::packets::{Case, scene::Scene};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        for tags in 0..=2 {
            cases.extend(with(&scene, &format!("{tags} VLAN tags"), move |frame| tagged(frame, tags)));
        }
        for size in [0, 1, 2, 1400, 8900] {
            cases.extend(with(&scene, &format!("{size} bytes"), move |mut frame| {
                frame.payload = (0..size).map(|index| index as u8).collect();
                frame
            }));
        }
        cases.extend(with(&scene, "Ethernet padding", |mut frame| {
            frame.trailer = vec![0xee; 7];
            frame
        }));
    }
    cases
}

/// The first packet, the answer, and a packet of the established flow, each changed in the same way.
fn with(scene: &Scene, what: &str, change: impl Fn(FrameSpec) -> FrameSpec) -> [Case; 3] {
    let request = change(scene.request(SYN));
    let answer = change(scene.answer(SYN | ACK));
    let data = change(scene.request(ACK));
    let reply = change(scene.answer(ACK));
    [
        scene.case(&format!("{what}: first packet")).then(vec![scene.forwards(&request)]),
        scene
            .case(&format!("{what}: answer"))
            .then(vec![scene.forwards(&scene.request(SYN)), scene.returns(&answer)]),
        scene.case(&format!("{what}: established")).then(scene.established()).then(vec![
            scene.forwards(&data),
            scene.returns(&reply),
            scene.forwards(&data),
        ]),
    ]
}

fn tagged(mut frame: FrameSpec, tags: usize) -> FrameSpec {
    frame.tags = match tags {
        0 => vec![],
        1 => vec![(0x8100, 0x6005)],
        _ => vec![(0x88a8, 0x0064), (0x8100, 0x0007)],
    };
    frame
}
