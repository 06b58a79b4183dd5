//! Target `replication`: packets to one of two machines that replicate their flows. Some bytes are packets as they are; others are sealed first with the key
//! that both have, by code of its own, so that what is behind the seal is reached. A packet that is rejected before it is opened changes nothing but
//! counters.
//!
//! Input: packets, each with what it is (1 byte), milliseconds before it (1), length (2, little-endian) and bytes.

use std::time::Duration;

use lb_userspace::replication::{Event, Keys, Link, MOST_BYTES, Rejection, Seeds};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};

use crate::{Target, input::Input};

/// See above.
pub const TARGET: Target = Target { name: "replication", run, seeds, longest: 4096, words: &[] };

/// Bytes before the message, and of the tag behind it.
const HEADER: usize = 28;
const TAG: usize = 16;
/// Both machines' key.
const KEY: u8 = 0x5a;
/// Session of the machine under test, and of the one that is played.
const OURS: [u8; 16] = [1; 16];
const THEIRS: [u8; 16] = [2; 16];

/// The other machine: it has the key, and says what the input says.
struct Peer {
    session: [u8; 16],
    number: u64,
}

fn key_of(session: &[u8; 16]) -> LessSafeKey {
    let extracted = Salt::new(HKDF_SHA256, session).extract(&[KEY; 32]);
    let info = [&b"lb flow replication 1"[..], &[0][..]];
    LessSafeKey::new(UnboundKey::from(extracted.expand(&info, &AES_256_GCM).expect("a key has 32 bytes")))
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Peer {
    fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        self.number += 1;
        let mut packet = vec![1, 0, 0, 0];
        packet.extend(self.session);
        packet.extend(self.number.to_be_bytes());
        let header = packet.clone();
        packet.extend(message);
        let tag = key_of(&self.session)
            .seal_in_place_separate_tag(nonce(self.number), Aad::from(header), &mut packet[HEADER..])
            .expect("a message is short");
        packet.extend(tag.as_ref());
        packet
    }
}

/// What is in a packet of the machine under test.
fn open(packet: &[u8]) -> Vec<u8> {
    let number = u64::from_be_bytes(packet[20..HEADER].try_into().expect("8 bytes"));
    let mut message = packet[HEADER..].to_vec();
    let key = key_of(packet[4..20].try_into().expect("16 bytes"));
    let opened = key.open_in_place(nonce(number), Aad::from(&packet[..HEADER]), &mut message);
    let length = opened.expect("it was made with the key").len();
    message.truncate(length);
    message
}

fn hello(to: [u8; 16], answer: &[u8]) -> Vec<u8> {
    [&to[..], &[1], &[7; 16], answer, &[0, 0, 0, 0, 0, 0, 0, 2], &[0; 8]].concat()
}

/// Two machines that know each other.
fn meet(now: Duration) -> (Link, Peer) {
    let keys = Keys::parse(&format!("{KEY:02x}").repeat(32)).expect("it is a key");
    let seeds = Seeds { session: OURS, challenges: [1; 32] };
    let mut link = Link::new(now, keys, &seeds, 1, Duration::from_secs(5)).expect("never happens");
    let mut peer = Peer { session: THEIRS, number: 0 };
    let first = open(&link.poll_packet(now).expect("it says hello"));
    let answer = peer.seal(&hello(OURS, &first[17..33]));
    link.handle_packet(now, &answer).expect("the challenge was answered");
    assert_eq!(link.poll_event(), Some(Event::Began { knows: false }));
    (link, peer)
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut now = Duration::from_secs(2000);
    let (mut link, mut peer) = meet(now);
    while !input.is_empty() {
        let what = input.byte();
        now += Duration::from_millis(input.byte().into());
        let length = usize::from(input.half()) % 1500;
        let said = input.bytes(length);
        let packet = match what & 7 {
            0 => said.to_vec(),
            1 => [&[1, 0, 0, 0][..], &THEIRS, said].concat(),
            2 => {
                peer = Peer { session: [what; 16], number: 0 };
                peer.seal(said)
            }
            // To this session, as a frame or a hello.
            3 | 4 => peer.seal(&[&OURS[..], &[2], said].concat()),
            5 => peer.seal(&[&OURS[..], &[1], said].concat()),
            _ => peer.seal(said),
        };
        let is_sealed = what & 7 > 1;
        hear(&mut link, now, &packet, is_sealed);
        go_on(&mut link, now);
    }
}

/// All there is but what is counted, and how often packets of unknown sessions are looked at.
fn state(link: &Link) -> String {
    let text = format!("{link:?}");
    text.split_once("trial_at").map_or(text.clone(), |(before, _)| before.to_owned())
}

fn hear(link: &mut Link, now: Duration, packet: &[u8], is_sealed: bool) {
    let before = state(link);
    let rejection = link.handle_packet(now, packet).err();
    let harmless = matches!(
        rejection,
        Some(
            Rejection::Length
                | Rejection::Version
                | Rejection::KeyId
                | Rejection::Reflected
                | Rejection::Authentication
                | Rejection::Replayed
                | Rejection::Rate
        )
    );
    assert!(!harmless || state(link) == before, "it was rejected ({rejection:?}), but changed something");
    assert!(is_sealed || rejection.is_some() || packet.len() >= HEADER + TAG, "nothing vouches for it");
    assert!(is_sealed || rejection.is_some(), "it was made without the key");
}

/// Does what the owner of a link does.
fn go_on(link: &mut Link, now: Duration) {
    while let Some(event) = link.poll_event() {
        if let Event::Flow(flow) = event {
            let ends = [flow.client, flow.vip, flow.source, flow.backend];
            assert!(ends.iter().all(|end| end.0.is_ipv4() == flow.client.0.is_ipv4()));
            link.push(flow);
        }
    }
    if link.starts_sweep(now) {
        link.begin_sweep();
        link.end_sweep(now, true);
    }
    for _ in 0..100 {
        let Some(packet) = link.poll_packet(now) else { break };
        assert!(packet.len() <= MOST_BYTES);
    }
    assert!(link.poll_timeout(now) > Duration::ZERO);
}

fn seeds() -> Vec<Vec<u8>> {
    let flow = |kind: u8, length: usize| {
        let mut flow = vec![kind, 5, 6, 0, 0, 0, 3, 232];
        flow.resize(length, 10);
        flow
    };
    let begin = [1, 0, 0, 0, 1, 0, 0, 0, 0].to_vec();
    let end = [2, 0, 0, 0, 1, 1].to_vec();
    let batches =
        [vec![], begin.clone(), flow(4, 32), flow(6, 80), [begin, flow(4, 32), flow(6, 80), end].concat()];
    let frame = |number: u8, items: &[u8]| {
        let batch = if items.is_empty() { 0 } else { number };
        // Sweeps wanted, batch expected, those that came, tick.
        let head = [
            &[0, 0, 0, 1][..],
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &[0, 0, 7, 208],
            &[0, 0, 0, 0, 0, 0, 0, batch],
        ];
        let body = [&head.concat()[..], items].concat();
        [&[3, 10, body.len() as u8, 0][..], &body].concat()
    };
    let mut seeds: Vec<Vec<u8>> = batches.iter().map(|items| frame(1, items)).collect();
    seeds.push((1..).zip(&batches).flat_map(|(number, items)| frame(number, items)).collect());
    let greeting = hello([0; 16], &[9; 16]);
    seeds.push([&[2, 1, greeting.len() as u8, 0][..], &greeting].concat());
    seeds.push([&[5, 1, 48, 0][..], &[3; 48]].concat());
    seeds
}
