//! ICMP messages.

use std::net::{IpAddr, SocketAddr};

use lb_common::{Verdict, abi::DropReason};

use super::{
    Judgement, Known, Reference, Seen,
    flows::{Age, Flow},
    frame::{Packet, Piece, half},
    is_forwarded, outcome,
};
use crate::input::sum;

/// The packet that an error quotes, as far as it is there.
struct Quote {
    /// Its offset in the frame, and of its transport header.
    network: usize,
    transport: usize,
    proto: u8,
    src: SocketAddr,
    dst: SocketAddr,
}

impl Reference {
    pub(super) fn judge_icmp(&self, seen: &Seen<'_>, packet: &Packet) -> Judgement {
        let is_for_vip = self.is_vip(packet.src_dst.1);
        if packet.piece != Piece::Whole {
            return Ok(Known::No);
        }
        match (packet.is_v4(), packet.proto, seen.before[packet.transport]) {
            (true, 58, _) | (false, 1, _) => outcome::passes(seen),
            (true, _, 8) | (false, _, 128) if is_for_vip => self.judge_echo(seen, packet),
            (true, _, 3 | 11 | 12) | (false, _, 1..=4) => self.judge_error(seen, packet, is_for_vip),
            _ if is_for_vip => outcome::refused(
                seen,
                &[DropReason::BadIcmp, DropReason::MartianSource, DropReason::OwnSource],
            ),
            _ => outcome::passes(seen),
        }
    }

    fn judge_echo(&self, seen: &Seen<'_>, packet: &Packet) -> Judgement {
        let (source, destination) = packet.src_dst;
        if Self::is_martian(source) || self.is_vip(source) {
            return outcome::dropped(seen, &[DropReason::MartianSource, DropReason::OwnSource]);
        }
        // Nobody is a group of stations.
        if seen.before[6] & 1 == 1 {
            return outcome::dropped(seen, &[DropReason::AnswerLimited]);
        }
        if seen.verdict != Verdict::TRANSMIT || !seen.drops.is_empty() {
            return Err(format!("an echo request to a VIP is to be answered, but became {:?}", seen.verdict));
        }
        let mut expected = seen.before.to_vec();
        expected[..6].copy_from_slice(&seen.before[6..12]);
        expected[6..12].copy_from_slice(&seen.before[..6]);
        outcome::set_address(&mut expected, packet.network, destination, source);
        let (ttl, checks) = if packet.is_v4() {
            (packet.network + 8, vec![packet.network + 10])
        } else {
            (packet.network + 7, Vec::new())
        };
        expected[packet.transport] = if packet.is_v4() { 0 } else { 129 };
        // Of these it is only known that they are right if they were: see `sanity`.
        for at in checks.into_iter().chain([packet.transport + 2]) {
            expected[at..at + 2].copy_from_slice(&seen.after[at..at + 2]);
        }
        expected[ttl] = seen.after[ttl];
        if seen.after[ttl] < 32 {
            return Err(format!("a reply has a TTL of {}", seen.after[ttl]));
        }
        outcome::same(&expected, seen.after)
    }

    fn judge_error(&self, seen: &Seen<'_>, packet: &Packet, is_for_vip: bool) -> Judgement {
        let reasons = [
            DropReason::IcmpWithoutFlow,
            DropReason::BadIcmp,
            DropReason::MartianSource,
            DropReason::OwnSource,
            DropReason::Truncated,
        ];
        let unknown = |seen: &Seen<'_>| {
            if is_for_vip {
                outcome::refused(seen, &reasons)
            } else {
                outcome::refused(seen, &[DropReason::MartianSource, DropReason::BadIcmp])
            }
        };
        let quote = match quote(seen.before, packet) {
            Quoted::Plain(quote) => quote,
            Quoted::Other => return Ok(Known::No),
            Quoted::Nothing => return unknown(seen),
        };
        let to_backend =
            |flow: &&Flow| flow.proto == quote.proto && flow.seen == quote.src && flow.backend == quote.dst;
        let to_client =
            |flow: &&Flow| flow.proto == quote.proto && flow.vip == quote.src && flow.client == quote.dst;
        let is_of = |flow: &&Flow| self.age(flow) != Age::Dead && (to_backend(flow) || to_client(flow));
        let Some(flow) = self.flows.iter().rev().find(is_of) else {
            let exclusive = self.services.iter().any(|service| service.exclusive);
            return if exclusive { Ok(Known::No) } else { unknown(seen) };
        };
        let is_sent_to_sender = packet.src_dst.1 == quote.src.ip();
        if self.age(flow) != Age::Alive || !is_sent_to_sender || flow.may_be_over {
            return Ok(Known::No);
        }
        if !is_forwarded(seen) {
            let is_odd =
                self.is_out(flow) || Self::is_martian(packet.src_dst.0) || self.is_own(packet.src_dst.0);
            let receiver = if to_backend(&flow) { flow.client } else { flow.backend };
            return if is_odd || !self.obstacles(packet, self.hop(receiver.ip())).is_empty() {
                Ok(Known::No)
            } else {
                Err(format!("an error about a flow became {:?} {:?}", seen.verdict, seen.drops))
            };
        }
        self.is_passed_on(seen, packet, &quote, flow, to_backend(&flow))
    }

    fn is_out(&self, flow: &Flow) -> bool {
        self.backends.get(&flow.id).is_none_or(|backend| backend.health == super::Health::Down)
    }

    /// Whether an error went to who sent the packet, with what that one sees.
    fn is_passed_on(
        &self,
        seen: &Seen<'_>,
        packet: &Packet,
        quote: &Quote,
        flow: &Flow,
        to_backend: bool,
    ) -> Judgement {
        let (receiver, inner) = if to_backend {
            (flow.client, (flow.client, flow.vip))
        } else {
            (flow.backend, (flow.backend, flow.seen))
        };
        let from = packet.src_dst.0;
        let is_end = from == if to_backend { flow.backend.ip() } else { flow.client.ip() };
        let shown = if to_backend { flow.vip.ip() } else { flow.seen.ip() };
        let mut expected = seen.before.to_vec();
        let hop = match self.hop(receiver.ip()) {
            Ok(hop) => hop,
            Err(_) => return Ok(Known::No),
        };
        self.head(&mut expected, seen, packet, hop)?;
        outcome::set_address(&mut expected, packet.network, if is_end { shown } else { from }, receiver.ip());
        outcome::set_address(&mut expected, quote.network, inner.0.ip(), inner.1.ip());
        expected[quote.transport..quote.transport + 2].copy_from_slice(&inner.0.port().to_be_bytes());
        expected[quote.transport + 2..quote.transport + 4].copy_from_slice(&inner.1.port().to_be_bytes());
        // Checksums: of the outer header, of the message, of the quoted header, and of the quoted transport header if it is there.
        let mut places = vec![packet.transport + 2];
        if packet.is_v4() {
            places.extend([packet.network + 10, quote.network + 10]);
        }
        let check = quote.transport + if quote.proto == 6 { 16 } else { 6 };
        if check + 2 <= packet.end {
            places.push(check);
        }
        for at in places {
            let found = seen.after.get(at..at + 2).ok_or("the frame was cut")?;
            expected[at..at + 2].copy_from_slice(found);
        }
        if packet.is_v4() {
            same_residue(seen, quote.network..quote.transport, "the quoted header")?;
            same_residue(seen, packet.network..packet.transport, "the outer header")?;
        }
        outcome::same(&expected, seen.after)
    }
}

/// Whether a checksum covers its bytes as well, or as badly, as before.
fn same_residue(seen: &Seen<'_>, covered: std::ops::Range<usize>, what: &str) -> Result<(), String> {
    let residue = |frame: &[u8]| frame.get(covered.clone()).map(|bytes| sum(bytes) % 0xffff);
    if residue(seen.before) == residue(seen.after) {
        Ok(())
    } else {
        Err(format!("the checksum of {what} is wrong"))
    }
}

/// What an error has behind its header.
enum Quoted {
    /// A packet that we could have sent.
    Plain(Quote),
    /// One with options, extension headers or fragments.
    Other,
    /// Nothing of use.
    Nothing,
}

fn quote(frame: &[u8], packet: &Packet) -> Quoted {
    let network = packet.transport + 8;
    let bytes = &frame[network.min(packet.end)..packet.end];
    let length = if packet.is_v4() { 20 } else { 40 };
    if bytes.len() < length + 4 || bytes[0] >> 4 != if packet.is_v4() { 4 } else { 6 } {
        return Quoted::Nothing;
    }
    let proto = bytes[if packet.is_v4() { 9 } else { 6 }];
    let is_plain =
        !packet.is_v4() || (bytes[0] & 15 == 5 && half(bytes, 6).is_some_and(|field| field & 0x3fff == 0));
    if !is_plain || !matches!(proto, 6 | 17) {
        return Quoted::Other;
    }
    let address = |at: usize| -> IpAddr {
        match packet.is_v4() {
            true => <[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap_or_default().into(),
            false => <[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap_or_default().into(),
        }
    };
    let (src, dst) = if packet.is_v4() { (address(12), address(16)) } else { (address(8), address(24)) };
    let port = |at: usize| half(bytes, length + at).unwrap_or(0);
    Quoted::Plain(Quote {
        network,
        transport: network + length,
        proto,
        src: SocketAddr::new(src, port(0)),
        dst: SocketAddr::new(dst, port(2)),
    })
}
