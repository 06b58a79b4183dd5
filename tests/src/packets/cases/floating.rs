//! VIPs that move between machines: who answers for them when `lbd` is gone.

use std::net::{IpAddr, Ipv6Addr};

use lb_common::{
    abi::{DropReason, Floating, Mode},
    host::{HostTables, words},
    wire::{Neighbour, SYN, TCP},
};

use crate::{
    packets::{
        Case, Expect,
        scene::Scene,
        world::{self, CLIENTS, NOW},
    },
    topology::Family,
};

const BROADCAST: [u8; 6] = [0xff; 6];
/// Another machine.
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    Family::ALL.into_iter().flat_map(|family| of_family(&Scene::new(family, TCP, Mode::Nat))).collect()
}

fn of_family(scene: &Scene) -> Vec<Case> {
    let (vip, client) = (scene.vip().ip(), scene.client().ip());
    let question = || question(client, vip, BROADCAST);
    let announcement = |mac| announcement(vip, mac);
    let case = |what, floating| case(scene, what, floating);
    let gone = Floating::default();
    let alive = Floating { alive_until: u64::MAX, ..gone };
    let fenced = |ticks| Floating { fenced_at: NOW - ticks, claims: 1, ..gone };
    let drop = || Expect::Drop(DropReason::Fenced);
    let claims = |count| claims(vip, count);
    let mut cases = vec![
        case("a VIP that nobody else claims is answered for, also without lbd", gone)
            .bytes(CLIENTS, question(), Expect::Pass)
            .change(claims(0)),
        case("a claim fences a VIP whose lbd is gone, and flows go on", gone)
            .bytes(CLIENTS, announcement(OTHER), Expect::Pass)
            .change(claims(1))
            .bytes(CLIENTS, question(), drop())
            .bytes(
                CLIENTS,
                self::question(client, world::own_address(scene.family, CLIENTS), BROADCAST),
                Expect::Pass,
            )
            .then(vec![scene.forwards(&scene.request(SYN))]),
        case("a question to this station only is not answered, either", fenced(0)).bytes(
            CLIENTS,
            self::question(client, vip, world::mac(CLIENTS)),
            drop(),
        ),
        case("a claim is counted while lbd is alive, and fences nothing", alive)
            .bytes(CLIENTS, announcement(OTHER), Expect::Pass)
            .change(claims(1))
            .bytes(CLIENTS, question(), Expect::Pass),
        case("an announcement of this machine that came back is no claim", gone)
            .bytes(CLIENTS, announcement(world::mac(CLIENTS)), Expect::Pass)
            .change(claims(0)),
        case("a fence ends when the claim is not repeated for half a minute", fenced(28)).bytes(
            CLIENTS,
            question(),
            Expect::Pass,
        ),
        case("a claim prolongs a fence", fenced(27))
            .bytes(CLIENTS, question(), drop())
            .bytes(CLIENTS, announcement(OTHER), Expect::Pass)
            .change(|tables| tables.now.set(NOW + 27))
            .bytes(CLIENTS, question(), drop()),
        case("a claim of another address is none of this one", gone)
            .bytes(CLIENTS, self::announcement(world::vip(scene.family, 101), OTHER), Expect::Pass)
            .bytes(CLIENTS, question(), Expect::Pass)
            .change(claims(0)),
        case("a truncated announcement is none", gone)
            .bytes(CLIENTS, announcement(OTHER)[..40].to_vec(), Expect::Pass)
            .change(claims(0)),
    ];
    cases.push(malformed(scene));
    cases.extend(virtual_mac(scene));
    cases
}

/// A case with the VIP in this state.
fn case(scene: &Scene, what: &str, floating: Floating) -> Case {
    let case = scene.case(what);
    case.tables.floating.borrow_mut().insert(words(scene.vip().ip()), floating);
    case
}

/// So many claims of the VIP were counted.
fn claims(vip: IpAddr, count: u32) -> impl Fn(&HostTables) {
    move |tables| assert_eq!(tables.floating.borrow()[&words(vip)].claims, count)
}

/// A VIP that is at the MAC address of its virtual router: over IPv4 a question for it is handed to the interface of that address.
fn virtual_mac(scene: &Scene) -> Vec<Case> {
    const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
    let (vip, client) = (scene.vip().ip(), scene.client().ip());
    let held = Floating { alive_until: u64::MAX, mac: VIRTUAL.into(), ..Floating::default() };
    let passed = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        if scene.family == Family::V4 {
            frame[..6].copy_from_slice(&VIRTUAL);
        }
        Expect::PassAs(frame)
    };
    let everybody = question(client, vip, BROADCAST);
    let this_station = question(client, vip, world::mac(CLIENTS));
    let other = question(client, world::vip(scene.family, 101), BROADCAST);
    let answer = {
        let mut frame = everybody.clone();
        // The operation of ARP. Over IPv6 it is the hop limit: a question from beyond a router is none.
        frame[21] = 2;
        frame
    };
    vec![
        case(scene, "a question for a VIP at a virtual MAC address goes there", held)
            .bytes(CLIENTS, everybody.clone(), passed(&everybody))
            .bytes(CLIENTS, this_station.clone(), passed(&this_station))
            .bytes(CLIENTS, other, Expect::Pass)
            .bytes(CLIENTS, answer, Expect::Pass),
        case(scene, "an announcement of the same virtual MAC address is of another machine", held)
            .bytes(CLIENTS, announcement(vip, VIRTUAL), Expect::Pass)
            .change(claims(vip, 1)),
        case(
            scene,
            "a VIP at a virtual MAC address is fenced as others are",
            Floating { fenced_at: NOW, ..held },
        )
        .bytes(CLIENTS, everybody, Expect::Drop(DropReason::Fenced)),
    ]
}

/// An announcement that is not what it seems.
fn malformed(scene: &Scene) -> Case {
    let vip = scene.vip().ip();
    let mut frame = announcement(vip, OTHER);
    let what = if scene.family == Family::V6 {
        frame[14 + 7] = 254;
        "an advertisement from beyond a router is none"
    } else {
        frame[14 + 4] = 8;
        "ARP for other addresses than IPv4 is none"
    };
    case(scene, what, Floating::default()).bytes(CLIENTS, frame, Expect::Pass).change(claims(vip, 0))
}

/// Who has `target`? An ARP request or a Neighbor Solicitation.
fn question(sender: IpAddr, target: IpAddr, dmac: [u8; 6]) -> Vec<u8> {
    match (sender, target) {
        (IpAddr::V6(sender), IpAddr::V6(target)) => {
            let group = [0x33, 0x33, 0xff, 0, 0, target.octets()[15]];
            let dmac = if dmac == BROADCAST { group } else { dmac };
            neighbour((dmac, world::host_mac(sender.into())), (sender, target), Neighbour::SOLICITATION)
        }
        _ => arp((dmac, world::host_mac(sender)), (sender, target)),
    }
}

/// `address` is here: gratuitous ARP, or an unsolicited Neighbor Advertisement.
fn announcement(address: IpAddr, smac: [u8; 6]) -> Vec<u8> {
    match address {
        IpAddr::V6(address) => {
            neighbour(([0x33, 0x33, 0, 0, 0, 1], smac), (address, address), Neighbour::ADVERTISEMENT)
        }
        IpAddr::V4(_) => arp((BROADCAST, smac), (address, address)),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn arp((dmac, smac): ([u8; 6], [u8; 6]), (sender, target): (IpAddr, IpAddr)) -> Vec<u8> {
    let head = [&dmac[..], &smac, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], &smac].concat();
    [head, octets(sender), vec![0; 6], octets(target)].concat()
}

fn neighbour((dmac, smac): ([u8; 6], [u8; 6]), (source, target): (Ipv6Addr, Ipv6Addr), kind: u8) -> Vec<u8> {
    let destination = if kind == Neighbour::ADVERTISEMENT { "ff02::1" } else { "ff02::1:ff00:64" };
    let destination: Ipv6Addr = destination.parse().expect("an address");
    let head = [&dmac[..], &smac, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]].concat();
    let addresses = [source.octets(), destination.octets()].concat();
    let message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), &[2, 1], &smac].concat();
    [head, addresses, message].concat()
}
