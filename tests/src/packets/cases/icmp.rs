//! ICMP and ICMPv6 errors about flows: translated, outer header and quote, in both directions.

use lb_common::{
    abi::{DropReason, FlowState, Mode},
    host::{Extension, FrameSpec, Piece, Transport},
    tables::Tier,
    wire::{ACK, DESTINATION_OPTIONS, HOP_BY_HOP, SYN, UDP},
};

use crate::{
    packets::{
        Case, Expect, Fact,
        case::Step,
        scene::Scene,
        world::{self, CLIENTS, NARROW, SERVERS, at},
    },
    topology::Family,
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::all() {
        cases.extend(error_types(&scene));
        cases.extend(quote_lengths(&scene));
        cases.extend(padded_quotes(&scene));
        cases.extend(embryonic(&scene));
        cases.extend(idle(&scene));
        cases.extend(from_the_clients_side(&scene));
        cases.extend(unusual_quotes(&scene));
        cases.extend(not_forwarded(&scene));
    }
    for scene in Scene::of(UDP).into_iter().filter(|scene| scene.mode == Mode::Nat) {
        cases.extend(unusable(&scene));
    }
    cases
}

/// Type and code of "packet too big", "time exceeded", "port unreachable" and "parameter problem".
pub(super) fn errors(family: Family) -> [(u8, u8); 4] {
    match family {
        Family::V4 => [(3, 4), (11, 0), (3, 3), (12, 0)],
        Family::V6 => [(2, 0), (3, 0), (1, 4), (4, 1)],
    }
}

/// Which way an error travels.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// From the backends' side, about a packet of the client.
    Client,
    /// From the clients' side, about an answer.
    Backend,
}

/// An error about `quoted`, a packet as it left us, and how it is to be translated.
pub(super) struct Error<'a> {
    pub(super) scene: &'a Scene,
    pub(super) to: To,
    /// Who sends it.
    pub(super) from: std::net::IpAddr,
    pub(super) kind: (u8, u8),
    /// The packet it is about, as it came to us.
    pub(super) about: FrameSpec,
    /// Bytes quoted.
    pub(super) length: usize,
}

impl<'a> Error<'a> {
    pub(super) fn to_client(scene: &'a Scene, about: FrameSpec) -> Self {
        let from = scene.backend.ip();
        Self { scene, to: To::Client, from, kind: errors(scene.family)[0], about, length: 9999 }
    }

    pub(super) fn to_backend(scene: &'a Scene, about: FrameSpec) -> Self {
        let from = scene.client().ip();
        Self { scene, to: To::Backend, from, kind: errors(scene.family)[0], about, length: 9999 }
    }

    /// As it arrives.
    pub(super) fn frame(&self) -> FrameSpec {
        let scene = self.scene;
        let (sent, receiver, ifindex) = match self.to {
            To::Client => (scene.forwarded(&self.about), scene.seen(), scene.egress.0),
            To::Backend => (scene.returned(&self.about), scene.vip(), CLIENTS),
        };
        let mut frame = FrameSpec::icmp(self.from, receiver.ip(), self.kind.0, self.kind.1, 1280);
        frame.dmac = world::mac(ifindex);
        frame.smac = [2, 1, 1, 1, 1, 1];
        frame.payload = quote(&sent, self.length);
        frame
    }

    /// As it is to leave: the quote is of the packet as it came to us, but for its TTL.
    fn translated(&self, frame: &FrameSpec) -> (u32, FrameSpec) {
        let scene = self.scene;
        let mut frame = frame.clone();
        let mut about = self.about.clone();
        about.hop_limit -= 1;
        let mut quoted = quote(&about, self.length);
        let check =
            about.transport_offset() - about.network_offset() + if scene.proto == UDP { 6 } else { 16 };
        if quoted.len() == check + 1 {
            // Half a checksum is left as it is: nobody can check it.
            quoted[check] = frame.payload[check];
        }
        frame.payload = quoted;
        frame.hop_limit -= 1;
        match self.to {
            To::Client => {
                frame.dst = scene.client().ip();
                // An error of the backend itself comes from the VIP, one of a router from the router.
                if frame.src == scene.backend.ip() {
                    frame.src = scene.vip().ip();
                }
                frame.dmac = world::host_mac(scene.client().ip());
                frame.smac = world::mac(CLIENTS);
                (CLIENTS, frame)
            }
            To::Backend => {
                frame.dst = scene.backend.ip();
                if frame.src == scene.client().ip() {
                    frame.src = scene.seen().ip();
                }
                frame.dmac = world::host_mac(scene.egress.1.ip());
                frame.smac = world::mac(scene.egress.0);
                (scene.egress.0, frame)
            }
        }
    }

    pub(super) fn ingress(&self) -> u32 {
        match self.to {
            To::Client => self.scene.egress.0,
            To::Backend => CLIENTS,
        }
    }

    /// It arrives and is to be forwarded.
    pub(super) fn passes(&self) -> Step {
        let frame = self.frame();
        let (egress, expected) = self.translated(&frame);
        let expect = Expect::Send { egress, frame: expected.build() };
        Step::Frame { ingress: self.ingress(), frame: frame.build(), expect }
    }

    /// It arrives and is to be dropped.
    fn dropped(&self, reason: DropReason) -> Step {
        let frame = self.frame().build();
        Step::Frame { ingress: self.ingress(), frame, expect: Expect::Drop(reason) }
    }
}

/// The first bytes of a packet.
pub(super) fn quote(frame: &FrameSpec, length: usize) -> Vec<u8> {
    let mut bytes = frame.packet();
    bytes.truncate(length);
    bytes
}

/// Every type, from the backend and from a router, about a packet of an established flow. No error changes the flow.
fn error_types(scene: &Scene) -> Vec<Case> {
    let router = world::server(scene.family, world::ROUTER);
    let mut cases = Vec::new();
    for (kind, code) in errors(scene.family) {
        for (who, from) in [("the backend", scene.backend.ip()), ("a router", router)] {
            let error = Error { kind: (kind, code), from, ..Error::to_client(scene, scene.request(ACK)) };
            let case = scene
                .case(&format!("ICMP error {kind}/{code} of {who}"))
                .then(scene.established())
                .then(vec![error.passes()])
                .fact(Fact::Flow(Tier::Established, scene.forward(), scene.open()));
            cases.push(case);
        }
    }
    cases
}

/// From 8 bytes of the quoted transport header (RFC 792) to the whole packet.
fn quote_lengths(scene: &Scene) -> Vec<Case> {
    let header = if scene.family == Family::V4 { 20 } else { 40 };
    [4, 6, 7, 8, 9, 16, 17, 18, 19, 20, 28, 33, 34, 35]
        .into_iter()
        .map(|length| {
            let length = header + length;
            let to_client = Error { length, ..Error::to_client(scene, scene.request(ACK)) };
            let to_backend = Error { length, ..Error::to_backend(scene, scene.answer(ACK)) };
            scene
                .case(&format!("an ICMP error that quotes {length} bytes"))
                .then(scene.established())
                .then(vec![to_client.passes(), to_backend.passes()])
        })
        .collect()
}

/// What lies behind the packet's end is no part of the quote, though it lies where the quoted checksum would.
fn padded_quotes(scene: &Scene) -> Vec<Case> {
    let header = if scene.family == Family::V4 { 20 } else { 40 };
    let padded = |length: usize| {
        let error = Error { length: header + length, ..Error::to_client(scene, scene.request(ACK)) };
        let mut frame = error.frame();
        frame.trailer = vec![0; 40];
        let (egress, expected) = error.translated(&frame);
        (error.ingress(), frame, Expect::Send { egress, frame: expected.build() })
    };
    [4, 5, 7, 17]
        .into_iter()
        .map(|length| {
            let (ingress, frame, expect) = padded(length);
            scene
                .case(&format!(
                    "an ICMP error that quotes {length} bytes of the transport header, with padding"
                ))
                .then(scene.established())
                .frame(ingress, &frame, expect)
        })
        .collect()
}

/// About the first packet of a flow, before there was an answer.
fn embryonic(scene: &Scene) -> Vec<Case> {
    let error = Error::to_client(scene, scene.request(SYN));
    vec![
        scene
            .case("an ICMP error about the first packet")
            .then(vec![scene.forwards(&scene.request(SYN)), error.passes()])
            .fact(Fact::Flow(Tier::Embryonic, scene.forward(), scene.fresh())),
    ]
}

/// About a flow whose entries are still there, but dead.
fn idle(scene: &Scene) -> Vec<Case> {
    let state = if scene.proto == UDP { FlowState::UdpEstablished } else { FlowState::Established };
    let case = |what: &str, beyond: u32| {
        scene.case(what).then(scene.established()).change(move |tables| {
            tables.now.set(tables.now.get() + tables.settings.get().timeouts[state as usize] + beyond);
        })
    };
    let error = Error::to_client(scene, scene.request(ACK));
    let to_vip = Error::to_backend(scene, scene.answer(ACK));
    vec![
        case("an ICMP error about a flow at the end of its timeout", 0)
            .then(vec![error.passes(), to_vip.passes()]),
        case("an ICMP error about a flow that was idle for too long", 1)
            .frame(SERVERS, &error.frame(), Expect::Pass)
            .then(vec![to_vip.dropped(DropReason::IcmpWithoutFlow)]),
    ]
}

fn from_the_clients_side(scene: &Scene) -> Vec<Case> {
    let router = world::client(scene.family, world::ROUTER);
    let mut cases = Vec::new();
    for (kind, code) in errors(scene.family) {
        for (who, from) in [("the client", scene.client().ip()), ("a router of the client's", router)] {
            let error = Error { kind: (kind, code), from, ..Error::to_backend(scene, scene.answer(ACK)) };
            let case = scene
                .case(&format!("ICMP error {kind}/{code} of {who}"))
                .then(scene.established())
                .then(vec![error.passes()]);
            cases.push(case);
        }
    }
    cases
}

/// Quotes with options, extension headers, no checksum, or of a first fragment; outer headers with tags and options.
fn unusual_quotes(scene: &Scene) -> Vec<Case> {
    let with = |what: &str, change: &dyn Fn(&mut FrameSpec)| {
        let mut about = scene.request(ACK);
        change(&mut about);
        let mut answer = scene.answer(ACK);
        change(&mut answer);
        scene
            .case(&format!("an ICMP error that quotes {what}"))
            .then(scene.established())
            .then(vec![Error::to_client(scene, about).passes(), Error::to_backend(scene, answer).passes()])
    };
    let mut cases = vec![with("a first fragment", &|frame| {
        frame.payload = vec![7; 100];
        frame.fragment = Some(Piece { offset: 0, length: 48 });
    })];
    if scene.family == Family::V4 {
        cases.push(with("IPv4 options", &|frame| frame.options = vec![1; 12]));
    } else {
        cases.push(with("extension headers", &|frame| {
            frame.extensions =
                vec![Extension::options(HOP_BY_HOP, 0), Extension::options(DESTINATION_OPTIONS, 1)];
        }));
    }
    if scene.proto == UDP {
        cases.push(with("a UDP header without checksum", &|frame| {
            if let Transport::Udp { checksum, .. } = &mut frame.transport {
                *checksum = false;
            }
        }));
    }
    cases.push(outer_headers(scene));
    cases
}

fn outer_headers(scene: &Scene) -> Case {
    let error = Error::to_client(scene, scene.request(ACK));
    let mut frame = error.frame();
    frame.tags = vec![(0x8100, 5)];
    if scene.family == Family::V4 {
        frame.options = vec![1; 8];
    } else {
        frame.extensions = vec![Extension::options(DESTINATION_OPTIONS, 0)];
    }
    let (egress, expected) = error.translated(&frame);
    scene.case("an ICMP error behind tags and options").then(scene.established()).frame(
        SERVERS,
        &frame,
        Expect::Send { egress, frame: expected.build() },
    )
}

/// Errors that are dropped, although their flow is known.
fn not_forwarded(scene: &Scene) -> Vec<Case> {
    let error = || Error::to_client(scene, scene.request(ACK));
    let mut expired = error().frame();
    expired.hop_limit = 1;
    let narrow = at(world::narrow(scene.family), 8080);
    let wide = scene.with_backend(narrow, NARROW, narrow);
    let mut long = wide.answer(ACK);
    long.payload = vec![1; 1400];
    let long = Error { length: 1290, ..Error::to_backend(&wide, long) };
    let detach = |tables: &lb_common::host::HostTables| {
        if let Some(interface) = tables.interfaces.borrow_mut().get_mut(&CLIENTS) {
            interface.flags = 0;
        }
    };
    vec![
        scene.case("an ICMP error with TTL 1").then(scene.established()).frame(
            SERVERS,
            &expired,
            Expect::Drop(DropReason::TtlExceeded),
        ),
        wide.case("an ICMP error larger than the egress MTU")
            .then(wide.established())
            .then(vec![long.dropped(DropReason::PacketTooBig)]),
        scene
            .case("an ICMP error that would leave where we are not attached")
            .then(scene.established())
            .change(detach)
            .then(vec![error().dropped(DropReason::EgressNotAttached)]),
    ]
}

/// A packet with these bits of its version and header length the other way round.
fn with_version(frame: &FrameSpec, flipped: u8) -> Vec<u8> {
    let mut packet = frame.packet();
    packet[0] ^= flipped;
    packet
}

/// Errors for a VIP that lead nowhere, and the same for other addresses.
fn unusable(scene: &Scene) -> Vec<Case> {
    let about = scene.answer(ACK);
    let error = Error::to_backend(scene, about.clone());
    let to_vip = |quoted: Vec<u8>| {
        let mut frame = error.frame();
        frame.payload = quoted;
        frame
    };
    let header = if scene.family == Family::V4 { 20 } else { 40 };
    let returned = scene.returned(&about);
    let with = |change: &dyn Fn(&mut FrameSpec)| {
        let mut changed = returned.clone();
        change(&mut changed);
        changed.packet()
    };
    let icmp = Transport::Icmp { kind: 8, code: 0, rest: 0 };
    let bad = [
        ("another version of IP", with_version(&returned, 0x40)),
        ("the other version of IP", with_version(&returned, 0x20)),
        ("nothing", vec![]),
        ("half a header", returned.packet()[..header / 2].to_vec()),
        ("no ports", returned.packet()[..header].to_vec()),
        ("half the ports", returned.packet()[..header + 3].to_vec()),
        ("an ICMP message", with(&|frame| frame.transport = icmp.clone())),
        ("protocol 47", with(&|frame| frame.transport = Transport::Raw(47))),
        ("a later fragment", {
            with(&|frame| {
                frame.payload = vec![3; 64];
                frame.fragment = Some(Piece { offset: 8, length: 32 });
            })
        }),
    ];
    let mut cases: Vec<Case> = bad
        .into_iter()
        .map(|(what, quoted)| {
            scene
                .case(&format!("an ICMP error to the VIP that quotes {what}"))
                .then(scene.established())
                .frame(CLIENTS, &to_vip(quoted), Expect::Drop(DropReason::BadIcmp))
        })
        .collect();
    let unknown = with(&|frame| *frame = frame.clone().with_destination(at(scene.client().ip(), 1)));
    let foreign = with(&|frame| *frame = frame.clone().with_source(at(scene.client().ip(), 1)));
    for (what, quoted) in [("of an unknown flow", unknown), ("that the VIP did not send", foreign)] {
        let case = scene.case(&format!("an ICMP error to the VIP about a packet {what}"));
        let expect = Expect::Drop(DropReason::IcmpWithoutFlow);
        cases.push(case.then(scene.established()).frame(CLIENTS, &to_vip(quoted), expect));
    }
    let mut padded = to_vip(returned.packet()[..header + 3].to_vec());
    padded.trailer = vec![0; 40];
    let case = scene.case("an ICMP error to the VIP that quotes half the ports, with padding");
    cases.push(case.then(scene.established()).frame(CLIENTS, &padded, Expect::Drop(DropReason::BadIcmp)));
    let mut to_us = error.frame();
    to_us.dst = world::own_address(scene.family, CLIENTS);
    cases.push(scene.case("an ICMP error to ourselves").frame(CLIENTS, &to_us, Expect::Pass));
    to_us.payload.clear();
    cases.push(scene.case("an ICMP error to ourselves without quote").frame(CLIENTS, &to_us, Expect::Pass));
    cases
}
