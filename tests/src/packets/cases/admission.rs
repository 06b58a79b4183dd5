//! Who is let in: lists of sources, and how many flows may begin.

use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::{
    abi::{AclData, AclKey, AclRule, Admission, AdmissionFlags, DropReason, Mode, SettingsFlags},
    host::{HostTables, Side, words},
    wire::{ACK, SYN, UDP},
};

use crate::{
    packets::{
        Case, Expect, Fact,
        scene::{SERVICE, Scene},
        world::{self, CLIENTS, NOW, SERVERS, at},
    },
    topology::Family,
};

/// Numbers of the list for all services and of the service's own.
const ALL: u32 = 7;
const OWN: u32 = 9;

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        // What lists say does not depend on the mode.
        if scene.mode == Mode::Nat {
            cases.extend(lists(&scene));
            cases.extend(times(&scene));
            cases.push(unknown_flow(&scene));
        }
        cases.extend(rates(&scene));
        cases.push(established(&scene));
    }
    for scene in Scene::of(UDP).into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.push(echo(&scene));
    }
    cases
}

/// A prefix of the client's: it has this many bits fewer than the address.
fn prefix(scene: &Scene, fewer: u8) -> IpNet {
    let address = scene.client().ip();
    let bits = if address.is_ipv4() { 32 } else { 128 } - fewer;
    IpNet::new(address, bits).expect("a prefix").trunc()
}

/// Puts a prefix on a list.
fn add(tables: &HostTables, list: u32, prefix: IpNet, (allow, until): (bool, u32)) {
    let bits = prefix.prefix_len();
    let rule = AclRule { until, allow: allow.into(), bits: bits.into() };
    match prefix.network() {
        IpAddr::V4(_) => insert::<u32>(tables, list, prefix, rule),
        IpAddr::V6(_) => insert::<[u32; 4]>(tables, list, prefix, rule),
    }
}

fn insert<A: Side>(tables: &HostTables, list: u32, prefix: IpNet, rule: AclRule) {
    let addr = A::from_words(words(prefix.network()));
    let key = AclKey { bits: AclData::<A>::LIST_BITS + u32::from(rule.bits), data: AclData { list, addr } };
    A::side(tables).acl.borrow_mut().insert(key, rule);
}

/// Says what the service lets in, and all of them.
pub(super) fn admit(tables: &HostTables, own: Admission) {
    tables.admissions.borrow_mut().insert(0, Admission { list: ALL, ..Admission::default() });
    tables.admissions.borrow_mut().insert(SERVICE.into(), own);
    let mut settings = tables.settings.get();
    settings.flags |= SettingsFlags::ADMISSION;
    if own.counts_packets() {
        settings.flags |= SettingsFlags::PACKET_RATES;
    }
    tables.settings.set(settings);
}

const LISTED: Admission = Admission {
    list: OWN,
    flags: 0,
    flow_rate: 0,
    flow_burst: 0,
    source_rate: 0,
    source_burst: 0,
    source_prefix: 0,
    source_flows: 0,
    source_embryonic: 0,
    packet_rate: 0,
    packet_burst: 0,
    source_packet_rate: 0,
    source_packet_burst: 0,
    reserved: 0,
};

/// What a service without a list lets in.
pub(super) const fn unlisted() -> Admission {
    Admission { list: 0, ..LISTED }
}

fn case(scene: &Scene, what: &str, own: Admission, rules: &[(u32, IpNet, (bool, u32))]) -> Case {
    let case = scene.case(what);
    admit(&case.tables, own);
    for (list, prefix, rule) in rules {
        add(&case.tables, *list, *prefix, *rule);
    }
    case
}

fn refused(case: Case, scene: &Scene, reason: DropReason) -> Case {
    case.frame(CLIENTS, &scene.request(SYN), Expect::Drop(reason)).fact(Fact::Count(0, 0))
}

fn lists(scene: &Scene) -> Vec<Case> {
    let (host, net, wide) = (prefix(scene, 0), prefix(scene, 8), prefix(scene, 24));
    let (allow, deny) = ((true, 0), (false, 0));
    let only = Admission { flags: AdmissionFlags::LISTED_ONLY, ..LISTED };
    let everybody = if scene.family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
    let everybody = everybody.parse().expect("a prefix");
    let (blocked, denied) = (DropReason::SourceBlocked, DropReason::SourceDenied);
    let passes = |case: Case| case.then(vec![scene.forwards(&scene.request(SYN))]);
    vec![
        refused(case(scene, "a source that is blocked for all", LISTED, &[(ALL, net, deny)]), scene, blocked),
        refused(case(scene, "a source that the service denies", LISTED, &[(OWN, net, deny)]), scene, denied),
        refused(case(scene, "everybody is denied", LISTED, &[(OWN, everybody, deny)]), scene, denied),
        refused(case(scene, "who is not on a list of those let in", only, &[]), scene, denied),
        refused(
            case(scene, "a block is not undone by a service", only, &[(ALL, wide, deny), (OWN, host, allow)]),
            scene,
            blocked,
        ),
        refused(
            case(scene, "the longer prefix denies", only, &[(OWN, wide, allow), (OWN, host, deny)]),
            scene,
            denied,
        ),
        passes(case(scene, "the longer prefix lets in", LISTED, &[(OWN, wide, deny), (OWN, host, allow)])),
        passes(case(scene, "who is on a list of those let in", only, &[(OWN, net, allow)])),
        passes(case(
            scene,
            "a list of another number",
            LISTED,
            &[(OWN + 1, net, deny), (ALL + 1, net, deny)],
        )),
    ]
}

/// Rules that count for a time only.
fn times(scene: &Scene) -> Vec<Case> {
    let (host, net, wide) = (prefix(scene, 0), prefix(scene, 8), prefix(scene, 24));
    let over = (false, NOW - 1);
    let passes = |case: Case| case.then(vec![scene.forwards(&scene.request(SYN))]);
    vec![
        refused(
            case(scene, "a block until this tick", LISTED, &[(ALL, net, (false, NOW))]),
            scene,
            DropReason::SourceBlocked,
        ),
        passes(case(scene, "a block that is over", LISTED, &[(ALL, net, over)])),
        refused(
            case(
                scene,
                "a shorter prefix counts where longer ones are over",
                LISTED,
                &[(ALL, wide, (false, 0)), (ALL, net, over), (ALL, host, over)],
            ),
            scene,
            DropReason::SourceBlocked,
        ),
    ]
}

fn rates(scene: &Scene) -> Vec<Case> {
    let from = |host: u8, port: u16| {
        let source = at(world::client(scene.family, host), port);
        scene.request(SYN).with_source(source)
    };
    let goes_on = |case: Case, frames: [(u8, u16); 2]| {
        frames.into_iter().fold(case, |case, (host, port)| {
            let frame = from(host, port);
            case.then(vec![super::sources::forwards(
                scene,
                &frame,
                at(world::client(scene.family, host), port),
            )])
        })
    };
    let bits = if scene.family == Family::V4 { 32 } else { 128 };
    let source = Admission { list: 0, source_rate: 1, source_burst: 2, source_prefix: bits, ..LISTED };
    let service = Admission { list: 0, flow_rate: 1, flow_burst: 2, ..LISTED };
    let both = Admission { source_prefix: bits - 8, ..source };
    let mut cases = vec![
        goes_on(case(scene, "a source may begin so many flows", source, &[]), [(10, 40000), (11, 40001)])
            .then(vec![super::sources::forwards(
                scene,
                &from(10, 40002),
                at(world::client(scene.family, 10), 40002),
            )])
            .frame(CLIENTS, &from(10, 40003), Expect::Drop(DropReason::SourceLimited))
            .then(vec![super::sources::forwards(
                scene,
                &from(11, 40004),
                at(world::client(scene.family, 11), 40004),
            )])
            .frame(CLIENTS, &from(11, 40005), Expect::Drop(DropReason::SourceLimited)),
        goes_on(case(scene, "a network is one source", both, &[]), [(10, 40000), (11, 40001)]).frame(
            CLIENTS,
            &from(80, 40002),
            Expect::Drop(DropReason::SourceLimited),
        ),
        goes_on(case(scene, "a service may begin so many flows", service, &[]), [(10, 40000), (11, 40001)])
            .frame(CLIENTS, &from(80, 40002), Expect::Drop(DropReason::ServiceLimited)),
    ];
    // The SNAT address has each port once: the flows of several clients differ in them.
    cases.push(
        goes_on(case(scene, "packets of a flow are not counted", service, &[]), [(10, 40000), (11, 40001)])
            .then(vec![scene.forwards(&scene.request(ACK)), scene.forwards(&scene.request(ACK))]),
    );
    cases
}

/// A flow that is there goes on whoever is blocked.
fn established(scene: &Scene) -> Case {
    let net = prefix(scene, 8);
    case(scene, "flows of a source that is blocked go on", LISTED, &[])
        .then(scene.established())
        .change(move |tables| add(tables, ALL, net, (false, 0)))
        .then(vec![scene.forwards(&scene.request(ACK)), scene.returns(&scene.answer(ACK))])
}

/// What an exclusive backend sends to a client of which no flow is known begins none if the client is not let in.
fn unknown_flow(scene: &Scene) -> Case {
    let rules = [(ALL, prefix(scene, 8), (false, 0))];
    let case = case(scene, "a backend begins no flow with a client that is blocked", LISTED, &rules);
    case.tables.make_exclusive(SERVICE, scene.vip(), scene.proto);
    case.frame(SERVERS, &scene.answer(ACK), Expect::Drop(DropReason::SourceBlocked)).fact(Fact::Count(0, 0))
}

/// An echo request of a source that is blocked.
fn echo(scene: &Scene) -> Case {
    let (frame, _) = super::sources::request(scene, scene.client().ip());
    case(scene, "no echo to a source that is blocked", LISTED, &[(ALL, prefix(scene, 8), (false, 0))]).frame(
        CLIENTS,
        &frame,
        Expect::Drop(DropReason::SourceBlocked),
    )
}
