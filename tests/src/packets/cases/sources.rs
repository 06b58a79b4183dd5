//! Sources that no client can have, clients that are backends, and answers that would be too many.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    abi::{Answer, BackendState, DropReason, Mode},
    host::{FrameSpec, HostTables, Transport},
    tables::Tier,
    wire::{ACK, SYN, TCP, UDP},
};

use super::{icmp::Error, resets, routing};
use crate::{
    packets::{
        Case, Expect, Fact, Step,
        scene::{BACKEND, Scene},
        world::{self, CLIENTS, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        if scene.mode == Mode::Nat {
            cases.extend(martians(&scene));
        }
        cases.push(land(&scene));
        cases.push(from_snat(&scene));
        cases.extend(hairpin(&scene));
    }
    for scene in Scene::of(UDP).into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(echo(&scene));
        cases.push(errors(&scene));
        cases.push(martian_errors(&scene));
    }
    for scene in Scene::of(TCP) {
        cases.push(resets(&scene));
    }
    cases
}

/// The first and the last of each range, and their neighbours outside.
fn addresses(family: Family) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let (martian, not): (&[&str], &[&str]) = if family == Family::V4 {
        (
            &[
                "0.0.0.0",
                "0.255.255.255",
                "127.0.0.1",
                "127.255.255.255",
                "169.254.0.0",
                "169.254.255.255",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
            ],
            &["1.0.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0", "223.255.255.255"],
        )
    } else {
        (
            &[
                "::",
                "::1",
                "::ffff:255.255.255.255",
                "::ffff:10.0.0.1",
                "::10.0.0.1",
                "fe80::1",
                "febf:ffff::1",
                "ff00::",
                "ff02::1",
                "ffff::1",
            ],
            &["::1:0:0:1", "1::", "fe7f:ffff::1", "fec0::1", "feff::1", "2001:db8:ffff::1"],
        )
    };
    let parse = |list: &[&str]| list.iter().map(|text| text.parse().expect("an address")).collect();
    (parse(martian), parse(not))
}

fn martians(scene: &Scene) -> Vec<Case> {
    let (martian, not) = addresses(scene.family);
    let request = |source| scene.request(SYN).with_source(at(source, 40000));
    let refused = martian.iter().fold(scene.case("no host sends from such an address"), |case, source| {
        case.frame(CLIENTS, &request(*source), Expect::Drop(DropReason::MartianSource))
    });
    let mut cases = vec![refused.fact(Fact::Count(0, 0))];
    cases.extend(not.iter().map(|source| {
        let case = scene.case(&format!("{source}, beside addresses that no host sends from"));
        case.then(vec![forwards(scene, &request(*source), at(*source, 40000))])
    }));
    cases
}

/// A packet of this client that is to be forwarded.
pub(super) fn forwards(scene: &Scene, frame: &FrameSpec, source: SocketAddr) -> Step {
    // The client's port is kept where it is free.
    let seen = if scene.mode == Mode::Nat { source } else { at(scene.seen().ip(), source.port()) };
    let expect =
        Expect::Send { egress: scene.egress.0, frame: scene.forwarded(frame).with_source(seen).build() };
    Step::Frame { ingress: CLIENTS, frame: frame.build(), expect }
}

fn land(scene: &Scene) -> Case {
    let other_port = at(scene.vip().ip(), 12345);
    let sources = [scene.vip(), other_port];
    sources
        .iter()
        .fold(scene.case("nobody connects from a VIP"), |case, source| {
            let frame = scene.request(SYN).with_source(*source);
            case.frame(CLIENTS, &frame, Expect::Drop(DropReason::OwnSource))
        })
        .fact(Fact::Count(0, 0))
}

/// A source that is a SNAT address of the service: refused; one that is in the range of none is a client.
fn from_snat(scene: &Scene) -> Case {
    let [own, other] =
        [1, 2].map(|number| scene.request(SYN).with_source(at(world::snat(scene.family, number), 40000)));
    let case = scene.case("nobody connects from a SNAT address");
    if scene.mode == Mode::FullNat {
        case.frame(CLIENTS, &own, Expect::Drop(DropReason::OwnSource)).fact(Fact::Count(0, 0))
    } else {
        let source = at(world::snat(scene.family, 2), 40000);
        case.then(vec![forwards(scene, &other, source)])
    }
}

/// A client that has the address of a backend.
fn hairpin(scene: &Scene) -> Vec<Case> {
    let from = |host: u8| {
        let source = at(world::server(scene.family, host), 40000);
        (source, scene.request(SYN).with_source(source))
    };
    let (own, frame) = from(11);
    let itself = scene.case("a backend that would be its own client");
    let itself = if scene.mode == Mode::Nat {
        itself.frame(CLIENTS, &frame, Expect::Drop(DropReason::Hairpin)).fact(Fact::Count(0, 0))
    } else {
        itself.then(vec![forwards(scene, &frame, own)])
    };
    let (other, frame) = from(12);
    let another =
        scene.case("a backend that is a client of another one").then(vec![forwards(scene, &frame, other)]);
    vec![itself, another.fact(Fact::Backend(Tier::Embryonic, (other, scene.vip(), scene.proto), BACKEND))]
}

pub(super) fn request(scene: &Scene, source: IpAddr) -> (FrameSpec, Expect) {
    let (kind, reply) = if scene.family == Family::V4 { (8, 0) } else { (128, 129) };
    let mut frame = FrameSpec::icmp(source, scene.vip().ip(), kind, 0, 1);
    frame.dmac = world::mac(CLIENTS);
    frame.smac = world::host_mac(scene.client().ip());
    let mut answer = frame.clone();
    (answer.dmac, answer.smac) = (frame.smac, frame.dmac);
    (answer.src, answer.dst) = (frame.dst, frame.src);
    answer.hop_limit = 64;
    answer.transport = Transport::Icmp { kind: reply, code: 0, rest: 1 };
    (frame, Expect::Send { egress: CLIENTS, frame: answer.build() })
}

/// One packet of the kind in a second, on each CPU.
fn at_most_one(case: Case, kind: Answer) -> Case {
    limit(&case.tables, kind, 1);
    case
}

fn limit(tables: &HostTables, kind: Answer, rate: u32) {
    let mut settings = tables.settings.get();
    settings.answer_rates[kind as usize] = rate;
    tables.settings.set(settings);
}

fn echo(scene: &Scene) -> Vec<Case> {
    let (martian, _) = addresses(scene.family);
    let forged = martian.iter().fold(scene.case("no echo to a source that no host has"), |case, source| {
        case.frame(CLIENTS, &request(scene, *source).0, Expect::Drop(DropReason::MartianSource))
    });
    let own = request(scene, scene.vip().ip()).0;
    let forged = forged.frame(CLIENTS, &own, Expect::Drop(DropReason::OwnSource));
    let (mut frame, expect) = request(scene, scene.client().ip());
    let limited =
        at_most_one(scene.case("echo requests beyond the rate are not answered"), Answer::EchoReply)
            .frame(CLIENTS, &frame, expect.clone())
            .frame(CLIENTS, &frame, Expect::Drop(DropReason::AnswerLimited))
            .change(|tables| limit(tables, Answer::EchoReply, 0))
            .frame(CLIENTS, &frame, expect);
    frame.smac = [3, 0, 0, 0, 0, 1];
    let group = scene.case("no echo to a group of stations");
    vec![forged, limited, group.frame(CLIENTS, &frame, Expect::Drop(DropReason::AnswerLimited))]
}

/// An ICMP error about a packet whose TTL is used up.
fn errors(scene: &Scene) -> Case {
    let mut frame = scene.request(0);
    frame.hop_limit = 1;
    at_most_one(scene.case("ICMP errors beyond the rate are not sent"), Answer::IcmpError)
        .then(vec![routing::answered(scene, &frame, CLIENTS, DropReason::TtlExceeded, 0)])
        .frame(CLIENTS, &frame, Expect::Drop(DropReason::AnswerLimited))
}

/// RSTs to the ends of a connection whose backend is taken out.
fn resets(scene: &Scene) -> Case {
    let case = resets::taken_out(scene, "RSTs beyond the rate are not sent", BackendState::Down);
    at_most_one(case, Answer::Reset).then(vec![resets::from_client(scene, ACK)]).frame(
        CLIENTS,
        &scene.request(ACK),
        Expect::Drop(DropReason::AnswerLimited),
    )
}

/// An ICMP error from a source that no host has.
fn martian_errors(scene: &Scene) -> Case {
    let mut error = Error::to_backend(scene, scene.answer(ACK));
    error.from = addresses(scene.family).0[2];
    scene
        .case("an ICMP error from a source that no host has")
        .then(scene.established())
        .frame(CLIENTS, &error.frame(), Expect::Drop(DropReason::MartianSource))
        .fact(Fact::Count(0, 2))
}
