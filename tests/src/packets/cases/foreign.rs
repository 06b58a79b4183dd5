//! Frames that are not for us: handed to the host, untouched.

use lb_common::{
    abi::{InterfaceFlags, Mode},
    host::FrameSpec,
    wire::{ACK, RST, SYN, TCP, UDP},
};

use crate::{
    packets::{
        Case, Expect,
        scene::Scene,
        world::{self, BARE, BEYOND, CLIENTS, PLAIN, SERVERS, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all().into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(other_destinations(&scene));
        cases.extend(other_stations(&scene));
    }
    cases.extend(other_ether_types(&Scene::new(Family::V4, TCP, Mode::Nat)));
    cases
}

fn other_destinations(scene: &Scene) -> Vec<Case> {
    let pass = |what: &str, frame: &FrameSpec| {
        scene.case(what).frame(CLIENTS, frame, Expect::Pass).frame(SERVERS, frame, Expect::Pass)
    };
    let both_macs = |frame: FrameSpec| frame;
    let request = |to| both_macs(scene.request(SYN).with_destination(to));
    let vip = scene.vip();
    let other_proto = if scene.proto == TCP { UDP } else { TCP };
    let mut other = Scene { proto: other_proto, ..*scene }.request(SYN);
    other.dmac = world::mac(CLIENTS);
    let mut cases = vec![
        pass("another port of the VIP", &request(at(vip.ip(), 81))),
        pass("port 0 of the VIP", &request(at(vip.ip(), 0))),
        pass("another address", &request(at(world::vip(scene.family, 101), 80))),
        pass("our own address", &request(at(world::own_address(scene.family, CLIENTS), 22))),
        pass("the VIP's port with another protocol", &other),
        scene.case("a backend's packet of its own").frame(SERVERS, &scene.answer(SYN | ACK), Expect::Pass),
        scene.case("a RST for an unknown flow, not to a VIP").frame(
            SERVERS,
            &scene.answer(RST),
            Expect::Pass,
        ),
    ];
    let multicast = if scene.family == Family::V4 { "224.0.0.18" } else { "ff02::12" };
    cases.push(pass("multicast", &request(at(multicast.parse().expect("an address"), 80))));
    cases
}

/// Frames to others, and interfaces that are not ours to handle.
fn other_stations(scene: &Scene) -> Vec<Case> {
    let to = |mac| {
        let mut frame = scene.request(SYN);
        frame.dmac = mac;
        frame
    };
    let sent_from = |ingress: u32, mac| {
        let frame = to(mac);
        let mut case = scene.case(&format!("received at interface {ingress}"));
        case = case.then(vec![scene.forwards(&frame)]);
        if let Some(super::Step::Frame { ingress: at, .. }) = case.steps.last_mut() {
            *at = ingress;
        }
        case
    };
    let [virtual_v4, virtual_v6, highest] = world::VIRTUAL_MACS;
    let at_virtual = |mac: [u8; 6]| {
        let mut case = sent_from(BARE, mac);
        case.name.push_str(&format!(", to the virtual MAC address {mac:x?}"));
        case
    };
    let other_virtual = |what: &str, ingress, mac| scene.case(what).frame(ingress, &to(mac), Expect::Pass);
    vec![
        scene.case("another station's frame").frame(CLIENTS, &to([2, 9, 9, 9, 9, 9]), Expect::Pass),
        scene.case("a broadcast").frame(CLIENTS, &to([0xff; 6]), Expect::Pass),
        scene.case("MAC address 0").frame(CLIENTS, &to([0; 6]), Expect::Pass),
        scene.case("another interface's MAC address").frame(CLIENTS, &to(world::mac(SERVERS)), Expect::Pass),
        scene.case("an interface we are not attached to").frame(PLAIN, &to(world::mac(PLAIN)), Expect::Pass),
        scene.case("an interface beyond the table").frame(BEYOND, &to(world::mac(BEYOND)), Expect::Pass),
        scene
            .case("an interface that was detached")
            .change(|tables| {
                let mut interfaces = tables.interfaces.borrow_mut();
                if let Some(interface) = interfaces.get_mut(&CLIENTS) {
                    interface.flags &= !InterfaceFlags::ATTACHED;
                }
            })
            .frame(CLIENTS, &scene.request(SYN), Expect::Pass),
        at_virtual(virtual_v4),
        at_virtual(virtual_v6),
        at_virtual(highest),
        other_virtual("the MAC address of another virtual router", BARE, [0, 0, 0x5e, 0, 1, 8]),
        other_virtual("that of the other family's", BARE, [0, 0, 0x5e, 0, 2, 255]),
        other_virtual("the MAC address of a virtual router of another interface", CLIENTS, virtual_v4),
        other_virtual("almost the MAC address of a virtual router", BARE, [0, 0, 0x5e, 1, 1, 7]),
        sent_from(BARE, world::mac(BARE)),
        {
            let mut frame = to(world::mac(CLIENTS));
            frame.tags = vec![(0x8100, 1); 3];
            scene.case("three VLAN tags").frame(CLIENTS, &frame, Expect::Pass)
        },
    ]
}

/// What is not IP.
fn other_ether_types(scene: &Scene) -> Vec<Case> {
    let kinds = [
        ("ARP", [0x08, 0x06]),
        ("LLDP", [0x88, 0xcc]),
        ("MPLS", [0x88, 0x47]),
        ("PPPoE", [0x88, 0x64]),
        ("an IEEE 802.3 length", [0x00, 0x2e]),
        ("EtherType ffff", [0xff, 0xff]),
        ("QinQ of old", [0x91, 0x00]),
    ];
    let mut cases = Vec::new();
    for (what, ether_type) in kinds {
        for tags in [0, 1] {
            let mut frame = scene.request(ACK);
            frame.tags = vec![(0x8100, 5); tags];
            let at = frame.network_offset() - 2;
            let mut bytes = frame.build();
            bytes[at..at + 2].copy_from_slice(&ether_type);
            let what = format!("{what}, {tags} VLAN tags");
            cases.push(scene.case(&what).bytes(CLIENTS, bytes, Expect::Pass));
        }
    }
    let arp = {
        let mut bytes = scene.request(0).build()[..14].to_vec();
        bytes[..6].fill(0xff);
        bytes[12..14].copy_from_slice(&[0x08, 0x06]);
        bytes.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        bytes.resize(42, 0);
        bytes
    };
    cases.push(scene.case("an ARP request").bytes(CLIENTS, arp, Expect::Pass));
    cases
}
