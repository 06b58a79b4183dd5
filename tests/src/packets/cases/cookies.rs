//! Connections that begin with a SYN cookie. The cookies are computed here from what the documentation says of them.

use lb_common::{
    abi::{CookieSecret, DropReason, FlowState, Mode, ServiceFlags, Signal},
    host::{FrameSpec, HostTables, Transport, words},
    siphash::SipHash,
    tables::{Holder, Tier},
    wire::{ACK, FIN, RST, SYN, TCP},
};

use super::resets::reset_of;
use crate::{
    packets::{
        Case, Expect, Fact, Step,
        scene::{BACKEND, SERVICE, Scene},
        world::{self, CLIENTS, NOW, SERVERS, TIMEOUT, at},
    },
    topology::Family,
};

const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
/// Half-open connections at which cookies begin.
const LIMIT: u32 = 3;
/// Ticks for which cookies are alike.
const PERIOD: u32 = 64;
/// The client's first sequence number, and its timestamp.
const CLIENT: u32 = 0x1122_3344;
const CLIENT_TIME: u32 = 5_000_000;
/// The backend's.
const SERVER: u32 = 0xffff_fff0;
const SERVER_TIME: u32 = 900;
/// The window that arrives, unscaled and scaled.
const WINDOW: u16 = 502;
/// Scales of the client, of the backend, and the one that we announce.
const CLIENT_SCALE: u8 = 5;
const SERVER_SCALE: u8 = 9;
const OUR_SCALE: u8 = 7;

/// Which options the ends have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Those that Linux has.
    Modern,
    /// None but the largest segment.
    Plain,
    /// The client has all, the backend none.
    PlainBackend,
}

/// A connection and what is known of it.
#[derive(Clone, Copy, Debug)]
struct Link {
    scene: Scene,
    ends: Ends,
    /// Tick of the cookie.
    at: u32,
    /// The client's sequence number.
    isn: u32,
}

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(TCP) {
        for ends in [Ends::Modern, Ends::Plain, Ends::PlainBackend] {
            let link = Link { scene, ends, at: NOW, isn: CLIENT };
            cases.extend(handshakes(&link));
            cases.extend(packets(&link));
        }
        let link = Link { scene, ends: Ends::Modern, at: NOW, isn: CLIENT };
        cases.extend(who(&link));
        cases.extend(refusals(&link));
        cases.extend(backends(&link));
        cases.extend(automatic(&link));
        cases.extend(quotes(&link));
    }
    cases
}

/// Makes a frame as long as frames are at least, if the one that it takes the place of was.
fn pad(frame: &mut FrameSpec, of: &FrameSpec) {
    let (arrived, leaves) = (of.build().len(), frame.build().len());
    frame.trailer = vec![0; if arrived < 60 { 0 } else { 60_usize.saturating_sub(leaves) }];
}

fn set_up(tables: &HostTables, flags: u8) {
    tables.cookie_secret.set(CookieSecret { key: KEY, base: 0, limit: LIMIT, ..CookieSecret::default() });
    tables.change_service(SERVICE, move |service| {
        if service.id == SERVICE {
            service.flags |= flags;
        }
    });
}

impl Link {
    fn case(&self, what: &str) -> Case {
        let case = self.scene.case(&format!("cookies, {:?}: {what}", self.ends));
        set_up(&case.tables, ServiceFlags::COOKIES_ALWAYS);
        case
    }

    fn has_options(&self) -> bool {
        self.ends != Ends::Plain
    }

    fn backend_has_options(&self) -> bool {
        self.ends == Ends::Modern
    }

    /// The hash behind the cookie.
    fn hash(&self) -> u64 {
        let (src, dst) = (self.scene.client(), self.scene.vip());
        let (from, to) = (words(src.ip()), words(dst.ip()));
        let mut bytes: Vec<u8> = Vec::new();
        let length = if self.scene.family == Family::V4 { 1 } else { 4 };
        for word in from[..length].iter().chain(&to[..length]) {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(src.port().to_be_bytes());
        bytes.extend(dst.port().to_be_bytes());
        bytes.extend(self.isn.to_le_bytes());
        bytes.extend((self.at / PERIOD).to_le_bytes());
        let count = bytes.len() as u8;
        bytes.resize(bytes.len() + 3, 0);
        bytes.push(count);
        let mut hash = SipHash::new(KEY);
        for chunk in bytes.chunks(8) {
            hash = hash.word(u64::from_le_bytes(chunk.try_into().expect("8 bytes")));
        }
        hash.finish()
    }

    /// Our sequence number: 1460 and 1440 are the seventh sizes.
    fn cookie(&self) -> u32 {
        (self.hash() as u32).wrapping_add(6)
    }

    /// Our timestamp: the client's scale, and that it takes selective acknowledgements.
    fn time(&self) -> u32 {
        (self.hash() >> 32) as u32 & !0x1f | 0x10 | u32::from(CLIENT_SCALE)
    }

    fn mss(&self) -> [u8; 4] {
        let mss: u16 = if self.scene.family == Family::V4 { 1460 } else { 1440 };
        let [high, low] = mss.to_be_bytes();
        [2, 4, high, low]
    }

    /// A segment without data.
    fn segment(&self, frame: FrameSpec, numbers: (u32, u32, u16), options: Vec<u8>) -> FrameSpec {
        let mut frame = frame;
        frame.payload.clear();
        if let Transport::Tcp { numbers: n, options: o, .. } = &mut frame.transport {
            (*n, *o) = (numbers, options);
        }
        frame
    }

    /// Options of a SYN or SYN-ACK: in the order in which Linux has them.
    fn first(&self, has: bool, value: u32, echo: u32, scale: u8) -> Vec<u8> {
        let mut options = self.mss().to_vec();
        if has {
            options.extend([4, 2, 8, 10]);
            options.extend(value.to_be_bytes());
            options.extend(echo.to_be_bytes());
            options.extend([1, 3, 3, scale]);
        }
        options
    }

    fn times(&self, has: bool, value: u32, echo: u32) -> Vec<u8> {
        let mut options = Vec::new();
        if has {
            options.extend([1, 1, 8, 10]);
            options.extend(value.to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        options
    }

    fn syn(&self) -> FrameSpec {
        let options = self.first(self.has_options(), CLIENT_TIME, 0, CLIENT_SCALE);
        self.segment(self.scene.request(SYN), (self.isn, 0, 64240), options)
    }

    /// What the SYN is answered with.
    fn syn_ack(&self) -> FrameSpec {
        let frame = FrameSpec::tcp(self.scene.vip(), self.scene.client(), SYN | ACK);
        let options = self.first(self.has_options(), self.time(), CLIENT_TIME, OUR_SCALE);
        let mut frame = self.segment(frame, (self.cookie(), self.isn.wrapping_add(1), 0), options);
        (frame.dmac, frame.smac) = (world::host_mac(self.scene.client().ip()), world::mac(CLIENTS));
        frame.id = 0;
        frame
    }

    /// The client's ACK, and its next segments.
    fn ack(&self, flags: u8) -> FrameSpec {
        let options = self.times(self.has_options(), CLIENT_TIME + 1, self.time());
        let numbers = (self.isn.wrapping_add(1), self.cookie().wrapping_add(1), WINDOW);
        self.segment(self.scene.request(flags), numbers, options)
    }

    /// The SYN that the backend gets in the place of a packet.
    fn syn_to_backend(&self, of: &FrameSpec) -> FrameSpec {
        let options = self.first(self.has_options(), CLIENT_TIME + 1, 0, CLIENT_SCALE);
        let scale = if self.has_options() { CLIENT_SCALE } else { 0 };
        let window = (u32::from(WINDOW) << scale).min(0xffff) as u16;
        let mut frame = self.segment(self.scene.request(SYN), (self.isn, 0, window), options);
        (frame.id, frame.hop_limit) = (0, 64);
        pad(&mut frame, of);
        self.scene.forwarded(&frame)
    }

    /// The backend's SYN-ACK.
    fn answer(&self) -> FrameSpec {
        let options = self.first(self.backend_has_options(), SERVER_TIME, CLIENT_TIME + 1, SERVER_SCALE);
        let numbers = (SERVER, self.isn.wrapping_add(1), 65160);
        self.segment(self.scene.answer(SYN | ACK), numbers, options)
    }

    /// What the client gets in its place.
    fn probe(&self) -> FrameSpec {
        let options = self.times(self.backend_has_options(), self.time(), CLIENT_TIME + 1);
        let window = if self.has_options() { 65160 >> OUR_SCALE } else { 65160 };
        let numbers = (self.cookie(), self.isn.wrapping_add(1), window);
        let mut frame = self.segment(self.scene.answer(ACK), numbers, options);
        (frame.id, frame.hop_limit, frame.payload) = (0, 64, vec![0]);
        pad(&mut frame, &self.answer());
        self.scene.returned(&frame)
    }

    fn step(&self, ingress: u32, frame: &FrameSpec, egress: u32, expected: &FrameSpec) -> Step {
        Step::Frame {
            ingress,
            frame: frame.build(),
            expect: Expect::Send { egress, frame: expected.build() },
        }
    }

    fn asks(&self) -> Step {
        self.step(CLIENTS, &self.syn(), CLIENTS, &self.syn_ack())
    }

    /// A packet of the client that becomes the backend's SYN.
    fn begins(&self, frame: &FrameSpec) -> Step {
        self.step(CLIENTS, frame, SERVERS, &self.syn_to_backend(frame))
    }

    fn answers(&self) -> Step {
        self.step(SERVERS, &self.answer(), CLIENTS, &self.probe())
    }

    /// A segment of the client with data: as it comes, and as the backend gets it. `acked` bytes of the backend's are acknowledged.
    fn request(&self, flags: u8, acked: u32, blocks: &[(u32, u32)], pads: usize) -> (FrameSpec, FrameSpec) {
        let build = |first: u32, time: u32, window| {
            let mut options = vec![1; pads];
            options
                .extend(&self.times(self.has_options(), CLIENT_TIME + 9, time)[2 * usize::from(pads > 0)..]);
            if !blocks.is_empty() {
                options.extend([1, 5, 2 + 8 * blocks.len() as u8]);
                for (left, right) in blocks {
                    options.extend(first.wrapping_add(*left).to_be_bytes());
                    options.extend(first.wrapping_add(*right).to_be_bytes());
                }
            }
            while !options.len().is_multiple_of(4) {
                options.push(1);
            }
            let numbers = (self.isn.wrapping_add(1), first.wrapping_add(acked), window);
            let mut frame = self.segment(self.scene.request(flags), numbers, options);
            frame.payload = b"an odd payload.".to_vec();
            frame
        };
        // A backend that does not scale gets windows of bytes.
        let window = match self.ends {
            Ends::PlainBackend => WINDOW << CLIENT_SCALE,
            Ends::Modern | Ends::Plain => WINDOW,
        };
        let theirs = if self.backend_has_options() { SERVER_TIME } else { self.time() };
        let arrives = build(self.cookie().wrapping_add(1), self.time(), WINDOW);
        (arrives, self.scene.forwarded(&build(SERVER.wrapping_add(1), theirs, window)))
    }

    fn forwards(&self, flags: u8) -> Step {
        let (arrives, leaves) = self.request(flags, 0, &[], 0);
        self.step(CLIENTS, &arrives, SERVERS, &leaves)
    }

    /// A segment of the backend, `sent` bytes after its first.
    fn response(&self, flags: u8, sent: u32) -> (FrameSpec, FrameSpec) {
        let build = |first: u32, time, window| {
            let options = self.times(self.backend_has_options(), time, CLIENT_TIME + 9);
            let numbers = (first.wrapping_add(sent), self.isn.wrapping_add(1), window);
            let mut frame = self.segment(self.scene.answer(flags), numbers, options);
            frame.payload = b"an odd payload.".to_vec();
            frame
        };
        let window = match self.ends {
            Ends::Modern => WINDOW << (SERVER_SCALE - OUR_SCALE),
            Ends::PlainBackend => WINDOW >> OUR_SCALE,
            Ends::Plain => WINDOW,
        };
        let arrives = build(SERVER.wrapping_add(1), SERVER_TIME + 7, WINDOW);
        let leaves = build(self.cookie().wrapping_add(1), self.time() + 7, window);
        (arrives, self.scene.returned(&leaves))
    }

    fn returns(&self, flags: u8) -> Step {
        let (arrives, leaves) = self.response(flags, 100);
        self.step(SERVERS, &arrives, CLIENTS, &leaves)
    }

    fn open(&self) -> Vec<Step> {
        vec![
            self.asks(),
            self.begins(&self.ack(ACK)),
            self.answers(),
            self.forwards(ACK),
            Step::Fact(Fact::Flow(Tier::Established, self.scene.forward(), FlowState::Established)),
            Step::Fact(Fact::Flow(Tier::Established, self.scene.reverse(), FlowState::Established)),
            Step::Fact(Fact::Count(0, 2)),
        ]
    }

    fn both(&self, state: FlowState) -> Vec<Step> {
        vec![
            Step::Fact(Fact::Flow(Tier::Embryonic, self.scene.forward(), state)),
            Step::Fact(Fact::Flow(Tier::Embryonic, self.scene.reverse(), state)),
        ]
    }
}

fn handshakes(link: &Link) -> Vec<Case> {
    let begun = |what: &str| link.case(what).then(vec![link.asks(), link.begins(&link.ack(ACK))]);
    let mut late = *link;
    late.at = NOW - PERIOD;
    let mut expired = *link;
    expired.at = NOW - 2 * PERIOD;
    let with_data = |flags| {
        let mut frame = link.ack(flags);
        frame.payload = b"GET / HTTP/1.1".to_vec();
        frame
    };
    let mut zero_window_probe = link.ack(ACK);
    if let Transport::Tcp { numbers, .. } = &mut zero_window_probe.transport {
        numbers.0 = link.isn;
    }
    vec![
        link.case("a SYN is answered, and leaves nothing behind")
            .then(vec![link.asks(), link.asks()])
            .fact(Fact::Count(0, 0))
            .fact(Fact::Signals(BACKEND, &[])),
        begun("the ACK becomes the SYN of the backend")
            .then(link.both(FlowState::SynSent))
            .fact(Fact::Count(2, 0))
            .fact(Fact::Signals(BACKEND, &[(Signal::Syn, 1)])),
        link.case("data in the place of the ACK becomes the SYN of the backend")
            .then(vec![link.asks(), link.begins(&with_data(ACK))])
            .then(link.both(FlowState::SynSent)),
        begun("what the client sends before the backend answers is its SYN again")
            .then(vec![
                link.begins(&link.ack(ACK)),
                link.begins(&zero_window_probe),
                link.begins(&with_data(ACK | FIN)),
            ])
            .then(link.both(FlowState::SynSent))
            .fact(Fact::Count(2, 0)),
        begun("the SYN-ACK becomes a probe, also when it is repeated")
            .then(vec![link.answers(), link.answers()])
            .then(link.both(FlowState::SynReceived))
            .fact(Fact::Signals(BACKEND, &[(Signal::Syn, 1), (Signal::SynAck, 1)])),
        link.case("the client's next packet completes the handshake").then(link.open()),
        link.case("a SYN-ACK that is repeated after that is a probe, too")
            .then(link.open())
            .then(vec![link.answers(), link.forwards(ACK)])
            .fact(Fact::Count(0, 2)),
        late.case("a cookie of the period before is valid")
            .change(|tables| {
                tables.syn_cookies.borrow_mut().entry(SERVICE.into()).or_default().cookie_at = NOW - PERIOD;
            })
            .then(vec![late.begins(&late.ack(ACK))]),
        expired
            .case("an older one is not")
            .change(|tables| {
                tables.syn_cookies.borrow_mut().entry(SERVICE.into()).or_default().cookie_at = NOW;
            })
            .then(vec![expired.scene.forwards(&expired.ack(ACK))])
            .then(expired.both(FlowState::PickedUp)),
    ]
}

fn packets(link: &Link) -> Vec<Case> {
    let open = |what: &str| link.case(what).then(link.open());
    let blocks = [(100, 200), (300, 400), (500, 600)];
    let selective = |pads, count: usize| {
        let (arrives, leaves) = link.request(ACK, 50, &blocks[..count], pads);
        link.step(CLIENTS, &arrives, SERVERS, &leaves)
    };
    let mut cases = vec![
        open("both ends count as they began to")
            .then(vec![
                link.returns(ACK),
                link.forwards(ACK),
                link.returns(ACK),
                link.returns(ACK | FIN),
                link.forwards(FIN | ACK),
            ])
            .fact(Fact::Flow(Tier::Established, link.scene.forward(), FlowState::Closing)),
        open("blocks of a selective acknowledgement are the backend's")
            .then(vec![selective(0, 1), selective(0, 3)]),
        open("a RST of the client ends both").then(vec![link.forwards(RST | ACK)]).fact(Fact::Flow(
            Tier::Established,
            link.scene.reverse(),
            FlowState::Closed,
        )),
        open("a RST of the backend is one of the client's numbers").then(vec![link.returns(RST)]),
        open("a change of routes changes nothing else")
            .change(|tables| {
                let mut settings = tables.settings.get();
                settings.fib_generation += 1;
                tables.settings.set(settings);
            })
            .then(vec![link.returns(ACK), link.forwards(ACK), link.returns(ACK)]),
        open("time passes")
            .change(|tables| tables.now.set(tables.now.get() + 17))
            .then(vec![link.returns(ACK), link.forwards(ACK)]),
    ];
    if link.has_options() {
        cases.push(open("options at odd places are found").then(vec![selective(1, 2), selective(1, 1)]));
    }
    cases
}

fn who(link: &Link) -> Vec<Case> {
    let mut guessed = link.ack(ACK);
    if let Transport::Tcp { numbers, .. } = &mut guessed.transport {
        numbers.1 = numbers.1.wrapping_add(8);
    }
    let mut other = *link;
    other.isn = CLIENT + 1;
    let mut tagged = (link.syn(), link.syn_ack());
    tagged.0.tags = vec![(0x8100, 5), (0x8100, 6)];
    tagged.1.tags.clone_from(&tagged.0.tags);
    let mut small = *link;
    small.ends = Ends::Plain;
    // Longer than what answers it, which is padded.
    let mut padded = (small.syn(), small.syn_ack());
    if let Transport::Tcp { options, .. } = &mut padded.0.transport {
        options.extend([1, 1, 4, 2]);
    }
    pad(&mut padded.1, &padded.0);
    vec![
        link.case("a number that was not given away picks a connection up, as without cookies")
            .then(vec![link.asks(), link.scene.forwards(&guessed)])
            .then(link.both(FlowState::PickedUp)),
        link.case("the cookie of another sequence number is none")
            .then(vec![link.asks(), link.scene.forwards(&Link { at: link.at, ..*link }.stolen(&other))])
            .then(link.both(FlowState::PickedUp)),
        link.case("a SYN with tags is answered with them").frame(
            CLIENTS,
            &tagged.0,
            Expect::Send { egress: CLIENTS, frame: tagged.1.build() },
        ),
        small.case("an answer is not shorter than a frame").frame(
            CLIENTS,
            &padded.0,
            Expect::Send { egress: CLIENTS, frame: padded.1.build() },
        ),
        link.case("without a key there are no cookies")
            .change(|tables| tables.cookie_secret.set(CookieSecret::default()))
            .then(vec![link.scene.forwards(&link.syn())]),
        link.case("without cookies an ACK is none")
            .change(|tables| tables.change_service(SERVICE, |service| service.flags = 0))
            .then(vec![link.scene.forwards(&link.ack(ACK))]),
    ]
}

impl Link {
    /// This connection's ACK with the cookie of another one.
    fn stolen(&self, other: &Self) -> FrameSpec {
        let mut frame = self.ack(ACK);
        if let Transport::Tcp { numbers, .. } = &mut frame.transport {
            numbers.1 = other.cookie().wrapping_add(1);
        }
        frame
    }
}

fn refusals(link: &Link) -> Vec<Case> {
    let told = |reason| {
        let frame = link.ack(ACK);
        Step::Frame {
            ingress: CLIENTS,
            frame: frame.build(),
            expect: Expect::Answer { reason, frame: reset_of(&frame).build() },
        }
    };
    let mut group = link.syn();
    group.smac[0] |= 1;
    let unknown = |frame: &FrameSpec, ingress| Step::Frame {
        ingress,
        frame: frame.build(),
        expect: Expect::Answer { reason: DropReason::CookieUnknown, frame: reset_of(frame).build() },
    };
    let forget = |tables: &HostTables| {
        tables.v4.cookies.borrow_mut().clear();
        tables.v6.cookies.borrow_mut().clear();
    };
    vec![
        link.case("without a backend no SYN is answered")
            .change(|tables| tables.set_slots(SERVICE, &[]))
            .frame(CLIENTS, &link.syn(), Expect::Drop(DropReason::NoBackend)),
        link.case("no answer goes to a group of stations").frame(
            CLIENTS,
            &group,
            Expect::Drop(DropReason::AnswerLimited),
        ),
        link.case("where every backend is full the client gets a RST that it takes")
            .change(|tables| {
                tables.set_limits(0, &[(BACKEND, 1)]);
                tables.change_all_places(&[BACKEND], 1);
                tables.change_service(SERVICE, |service| service.flags |= ServiceFlags::RESET_WHEN_FULL);
            })
            .then(vec![link.asks(), told(DropReason::BackendFull)])
            .fact(Fact::Count(0, 0))
            .fact(Fact::Places(Holder::Backend(BACKEND), 1)),
        link.case("what is known no more is reset, from both ends").then(link.open()).change(forget).then(
            vec![
                unknown(&link.request(ACK, 0, &[], 0).0, CLIENTS),
                unknown(&link.response(ACK, 0).0, SERVERS),
            ],
        ),
    ]
}

fn backends(link: &Link) -> Vec<Case> {
    let begun = |what: &str| link.case(what).then(vec![link.asks(), link.begins(&link.ack(ACK))]);
    let refusal = link.segment(link.scene.answer(RST | ACK), (0, link.isn.wrapping_add(1), 0), Vec::new());
    let refused = {
        let numbers = (link.cookie().wrapping_add(1), link.isn.wrapping_add(1), 0);
        link.scene.returned(&link.segment(link.scene.answer(RST | ACK), numbers, Vec::new()))
    };
    let reset = |frame: &FrameSpec| Step::Frame {
        ingress: SERVERS,
        frame: frame.build(),
        expect: Expect::Answer { reason: DropReason::CookieUnknown, frame: reset_of(frame).build() },
    };
    let challenge = link.segment(link.scene.answer(ACK), (77, 88, 500), Vec::new());
    let mut stale = link.answer();
    if let Transport::Tcp { numbers, .. } = &mut stale.transport {
        numbers.1 = 4711;
    }
    vec![
        begun("a backend that refuses resets the client's connection")
            .then(vec![link.step(SERVERS, &refusal, CLIENTS, &refused)])
            .then(link.both(FlowState::Closed))
            .fact(Fact::Signals(BACKEND, &[(Signal::Syn, 1), (Signal::Reset, 1)])),
        begun("a connection that the backend has still in use is reset, and the next packet begins again")
            .then(vec![reset(&challenge), link.begins(&link.ack(ACK)), link.answers()]),
        begun("a SYN-ACK for another SYN is reset").then(vec![reset(&stale), link.answers()]),
    ]
}

fn automatic(link: &Link) -> Vec<Case> {
    let auto = |what: &str| {
        let case = link.scene.case(&format!("cookies, auto: {what}"));
        set_up(&case.tables, ServiceFlags::COOKIES_AUTO);
        case
    };
    let passes = || link.scene.forwards(&link.syn());
    let full = |what: &str| {
        let others = (0..LIMIT as u16).map(|port| {
            let frame = link.syn().with_source(at(link.scene.client().ip(), 41000 + port));
            let seen = at(link.scene.seen().ip(), 41000 + port);
            let expected = link.scene.forwarded(&frame).with_source(seen);
            link.step(CLIENTS, &frame, SERVERS, &expected)
        });
        auto(what).then(others.collect())
    };
    // Time for the level to drain by half: SYN-SENT is the first state.
    let half = (TIMEOUT + 1).div_ceil(2);
    let wait = move |tables: &HostTables| tables.now.set(tables.now.get() + half);
    let mut cases = vec![
        auto("few SYNs go to the backend").then(vec![passes()]),
        full("more than so many half-open connections begin cookies").then(vec![link.asks(), link.asks()]),
        full("cookies end when half of them are over")
            .then(vec![link.asks()])
            .change(wait)
            .then(vec![passes()]),
        full("cookies that are under way then are accepted").then(vec![link.asks()]).change(wait).then(vec![
            link.begins(&link.ack(ACK)),
            link.answers(),
            link.forwards(ACK),
        ]),
        full("a connection that is begun goes on as it began")
            .then(link.open().into_iter().take(4).collect())
            .change(wait)
            .then(vec![link.returns(ACK), link.forwards(ACK)]),
    ];
    // Handshakes that complete make room.
    let plain = |flags| link.scene.forwards(&link.scene.request(flags));
    cases.push(
        auto("connections that are complete are not half-open")
            .then(vec![plain(SYN), link.scene.returns(&link.scene.answer(SYN | ACK)), plain(ACK), plain(RST)])
            .change(|tables| tables.ports.borrow_mut().clear())
            .then(vec![plain(SYN), link.scene.returns(&link.scene.answer(SYN | ACK)), plain(ACK), plain(RST)])
            .change(|tables| tables.ports.borrow_mut().clear())
            .then(vec![plain(SYN), link.scene.returns(&link.scene.answer(SYN | ACK)), plain(ACK), plain(RST)])
            .change(|tables| tables.ports.borrow_mut().clear())
            .then(vec![plain(SYN)]),
    );
    if link.scene.mode == Mode::Nat {
        let exclusive = auto("SYNs that take no entry count, too");
        exclusive.tables.make_exclusive(SERVICE, link.scene.vip(), TCP);
        cases.push(exclusive.then(vec![passes(), passes(), passes(), link.asks()]).fact(Fact::Count(0, 0)));
        let exclusive = link.case("an exclusive backend's flow has entries, too");
        exclusive.tables.make_exclusive(SERVICE, link.scene.vip(), TCP);
        cases.push(exclusive.then(link.open()));
    }
    cases
}

/// ICMP errors about packets to the client.
fn quotes(link: &Link) -> Vec<Case> {
    let scene = &link.scene;
    let (mut arrived, left) = link.response(ACK, 1000);
    // Windows and timestamps of quotes are left as they are.
    if let (
        Transport::Tcp { numbers, options, .. },
        Transport::Tcp { numbers: of_left, options: others, .. },
    ) = (&mut arrived.transport, &left.transport)
    {
        numbers.2 = of_left.2;
        options.clone_from(others);
    }
    let router = world::client(scene.family, world::ROUTER);
    let (kind, code) = if scene.family == Family::V4 { (3, 4) } else { (2, 0) };
    // The packet as it left, and as the backend sent it: TTL and checksum stay those of the quote.
    let error = |quoted: &[u8]| {
        let mut frame = FrameSpec::icmp(router, scene.vip().ip(), kind, code, 1300);
        frame.payload = quoted.to_vec();
        (frame.dmac, frame.smac) = (world::mac(CLIENTS), world::host_mac(router));
        frame
    };
    [8, 20, 1000]
        .into_iter()
        .map(|bytes| {
            let cut = |frame: &FrameSpec| {
                let mut frame = frame.clone();
                frame.hop_limit = left.hop_limit;
                let packet = frame.packet();
                let header = frame.transport_offset() - 14;
                packet[..packet.len().min(header + bytes)].to_vec()
            };
            let arrives = error(&cut(&left));
            let mut leaves = error(&cut(&arrived));
            leaves.dst = scene.backend.ip();
            (leaves.dmac, leaves.smac) = (world::host_mac(scene.backend.ip()), world::mac(SERVERS));
            leaves.hop_limit -= 1;
            link.case(&format!("a quote of {bytes} bytes has the backend's numbers"))
                .then(link.open())
                .then(vec![link.step(CLIENTS, &arrives, SERVERS, &leaves)])
        })
        .collect()
}
