//! What a frame may become, byte by byte.

use std::net::{IpAddr, SocketAddr};

use lb_common::{Action, Verdict, abi::DropReason, host::checksums};

use super::{
    Judgement, Known, Port, Reference, Route, Seen,
    frame::{self, ACK, FIN, Packet, Piece, RST, Read, SYN, TCP, UDP, half},
    is_forwarded,
};
use crate::input::sum;

/// Reasons for packets with headers that cannot be.
pub(super) const MALFORMED: &[DropReason] = &[
    DropReason::Truncated,
    DropReason::BadIpHeader,
    DropReason::BadL4Header,
    DropReason::TooManyExtensionHeaders,
    DropReason::BadIcmp,
];
/// Longest that an answer may be beyond its packet.
const MOST_GROWTH: usize = 48;

/// What holds of every frame.
pub(super) fn sanity(seen: &Seen<'_>) -> Result<(), String> {
    let sent = matches!(seen.verdict.action(), Action::Transmit | Action::Redirect);
    if !sent && seen.after != seen.before {
        return Err("it was changed, but not sent".to_owned());
    }
    if (seen.verdict.action() == Action::Drop) != seen.verdict.drop_reason().is_some() {
        return Err("a drop has no reason".to_owned());
    }
    let counted = match seen.verdict.drop_reason() {
        Some(reason) => seen.drops == [reason],
        None => seen.drops.len() <= usize::from(sent),
    };
    if !counted {
        return Err(format!("{:?} counted {:?}", seen.verdict, seen.drops));
    }
    if sent && checksums(seen.before).is_ok() {
        checksums(seen.after)?;
    }
    Ok(())
}

pub(super) fn passes(seen: &Seen<'_>) -> Judgement {
    if seen.verdict == Verdict::PASS {
        Ok(Known::Yes)
    } else {
        Err(format!("it is not for us, but became {:?}", seen.verdict))
    }
}

/// Dropped for one of these reasons, and not answered.
pub(super) fn dropped(seen: &Seen<'_>, reasons: &[DropReason]) -> Judgement {
    match seen.verdict.drop_reason() {
        Some(reason) if reasons.contains(&reason) => Ok(Known::Yes),
        _ => {
            Err(format!("it is to be dropped ({reasons:?}), but became {:?} {:?}", seen.verdict, seen.drops))
        }
    }
}

/// Dropped for one of these reasons, or handed to the host.
pub(super) fn refused(seen: &Seen<'_>, reasons: &[DropReason]) -> Judgement {
    if seen.verdict == Verdict::PASS { Ok(Known::Yes) } else { dropped(seen, reasons) }
}

/// Dropped for one of these reasons; its sender is told, where that is possible.
pub(super) fn dropped_or_answered(
    seen: &Seen<'_>,
    packet: &Packet,
    reasons: &[DropReason],
    port: &Port,
    may_know: bool,
) -> Judgement {
    let is_told = |reason: &DropReason| match reason {
        DropReason::TtlExceeded | DropReason::PacketTooBig => may_know,
        DropReason::FlowReset => packet.proto == TCP && !packet.is_later() && !packet.has(RST),
        _ => false,
    };
    // Nobody is a group of stations.
    if seen.before[6] & 1 == 1 && reasons.iter().any(is_told) {
        return dropped(seen, &[reasons, &[DropReason::AnswerLimited]].concat());
    }
    let Some(reason) = seen.drops.first().filter(|reason| reasons.contains(reason)) else {
        return dropped(seen, reasons);
    };
    match (seen.verdict == Verdict::TRANSMIT, is_told(reason)) {
        (true, true) if *reason == DropReason::FlowReset => is_reset(seen, packet),
        (true, true) => is_icmp_error(seen, packet, *reason, port),
        (false, false) => dropped(seen, reasons),
        (true, false) => Err(format!("nobody is to be told of {reason:?}")),
        // Its RST may have been refused: a source that is none.
        (false, true) if *reason == DropReason::FlowReset => dropped(seen, reasons),
        (false, true) => Err(format!("its sender is to be told of {reason:?}")),
    }
}

/// The source of the packet in a frame that was made of another one.
pub(super) fn source(after: &[u8], packet: &Packet) -> Option<SocketAddr> {
    let at = packet.network + if packet.is_v4() { 12 } else { 8 };
    let address = if packet.is_v4() {
        IpAddr::from(<[u8; 4]>::try_from(after.get(at..at + 4)?).ok()?)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(after.get(at..at + 16)?).ok()?)
    };
    Some(SocketAddr::new(address, half(after, packet.transport)?))
}

impl Reference {
    /// Whether a packet was sent on with other ends, and otherwise as it was.
    pub(super) fn translated(
        &self,
        seen: &Seen<'_>,
        packet: &Packet,
        ends: (SocketAddr, SocketAddr),
        hop: Route,
    ) -> Judgement {
        if !is_forwarded(seen) {
            return Err(format!("it is to be sent, but became {:?} {:?}", seen.verdict, seen.drops));
        }
        let mut expected = seen.before.to_vec();
        self.head(&mut expected, seen, packet, hop)?;
        set_address(&mut expected, packet.network, ends.0.ip(), ends.1.ip());
        if !packet.is_later() {
            expected[packet.transport..packet.transport + 2].copy_from_slice(&ends.0.port().to_be_bytes());
            expected[packet.transport + 2..packet.transport + 4]
                .copy_from_slice(&ends.1.port().to_be_bytes());
        }
        let mut checks = Vec::new();
        if packet.is_v4() {
            checks.push((packet.network + 10, packet.network..packet.transport, false));
        }
        if !packet.is_later() {
            let at = packet.transport + if packet.proto == TCP { 16 } else { 6 };
            checks.push((at, packet.transport..packet.end, true));
        }
        for (at, covered, has_pseudo_header) in checks {
            // Over IPv6, too: whether that is allowed there (RFC 6936) is for its ends to know.
            let is_none = packet.proto == UDP && has_pseudo_header && half(seen.before, at) == Some(0);
            let residue = |frame: &[u8]| {
                let addresses = packet.network + if packet.is_v4() { 12 } else { 8 }
                    ..packet.network + if packet.is_v4() { 20 } else { 40 };
                let pseudo = if has_pseudo_header { sum(&frame[addresses]) } else { 0 };
                (u32::from(pseudo) + u32::from(sum(&frame[covered.clone()]))) % 0xffff
            };
            let found = half(seen.after, at).ok_or("the frame was cut")?;
            if is_none && found != 0 {
                return Err("a checksum was made where there was none".to_owned());
            }
            if !is_none
                && seen.after.len() == seen.before.len()
                && residue(seen.before) != residue(seen.after)
            {
                return Err(format!("the checksum at {at} is wrong: {found:#06x}"));
            }
            if has_pseudo_header && packet.proto == UDP && !is_none && found == 0 {
                return Err("a UDP checksum of 0 says that there is none".to_owned());
            }
            expected[at..at + 2].copy_from_slice(&found.to_be_bytes());
        }
        same(&expected, seen.after)
    }

    /// The MAC addresses and the TTL of what is sent on.
    pub(super) fn head(
        &self,
        frame: &mut [u8],
        seen: &Seen<'_>,
        packet: &Packet,
        hop: Route,
    ) -> Result<(), String> {
        let verdict =
            if hop.ifindex == seen.ingress { Verdict::TRANSMIT } else { Verdict::redirect(hop.ifindex) };
        if seen.verdict != verdict {
            return Err(format!(
                "it is to leave by interface {}, but became {:?}",
                hop.ifindex, seen.verdict
            ));
        }
        let port = self.ports.get(&hop.ifindex).ok_or("the route leads nowhere")?;
        frame[..6].copy_from_slice(&hop.mac.ok_or("the next hop is not known")?);
        frame[6..12].copy_from_slice(&port.macs[0]);
        frame[packet.network + if packet.is_v4() { 8 } else { 7 }] = packet.ttl - 1;
        Ok(())
    }
}

/// Writes addresses to a network header.
pub(super) fn set_address(frame: &mut [u8], network: usize, src: IpAddr, dst: IpAddr) {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame[network + 12..network + 16].copy_from_slice(&src.octets());
            frame[network + 16..network + 20].copy_from_slice(&dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame[network + 8..network + 24].copy_from_slice(&src.octets());
            frame[network + 24..network + 40].copy_from_slice(&dst.octets());
        }
        _ => {}
    }
}

/// Whether two frames are the same.
pub(super) fn same(expected: &[u8], found: &[u8]) -> Judgement {
    if expected == found {
        return Ok(Known::Yes);
    }
    let at = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or(expected.len().min(found.len()));
    Err(format!("byte {at} of the frame that was sent\n  expected {expected:02x?}\n  found    {found:02x?}"))
}

/// What every answer is: sent back whence its packet came, with its tags, and with right checksums.
pub(super) fn answer(seen: &Seen<'_>, packet: &Packet) -> Result<Packet, String> {
    let (before, after) = (seen.before, seen.after);
    let is_back = after.get(..6) == before.get(6..12) && after.get(6..12) == before.get(..6);
    if !is_back || after.get(12..packet.network) != before.get(12..packet.network) {
        return Err("an answer has the stations exchanged, and the tags of its packet".to_owned());
    }
    if after.len() > before.len() + MOST_GROWTH {
        return Err(format!("an answer of {} bytes to a frame of {}", after.len(), before.len()));
    }
    let answer = match frame::packet(after, packet.network, !packet.is_v4()) {
        Some(Read::Packet(answer)) if answer.piece == Piece::Whole && answer.ttl > 1 => answer,
        other => return Err(format!("an answer is no packet: {other:?}")),
    };
    match checksums(after) {
        // What is quoted is as wrong as it came.
        Err(_) if checksums(before).is_err() && has_own_checksums(after, &answer) => Ok(answer),
        checked => checked.map(|()| answer).map_err(|error| format!("an answer: {error}")),
    }
}

/// Whether an ICMP message has right checksums, whatever it quotes.
fn has_own_checksums(frame: &[u8], packet: &Packet) -> bool {
    let message = &frame[packet.transport..packet.end];
    if !packet.is_icmp() {
        return false;
    }
    if packet.is_v4() {
        return sum(&frame[packet.network..packet.transport]) == 0xffff && sum(message) == 0xffff;
    }
    let addresses = u32::from(sum(&frame[packet.network + 8..packet.network + 40]));
    (addresses + message.len() as u32 + u32::from(packet.proto) + u32::from(sum(message)))
        .is_multiple_of(0xffff)
}

fn is_icmp_error(seen: &Seen<'_>, packet: &Packet, reason: DropReason, port: &Port) -> Judgement {
    let told = answer(seen, packet)?;
    let ours = if packet.is_v4() { port.v4.map(IpAddr::from) } else { port.v6.map(IpAddr::from) };
    if told.src_dst != (ours.ok_or("it has no address to come from")?, packet.src_dst.0) {
        return Err(format!("an ICMP error has the ends {:?}", told.src_dst));
    }
    let kind = match (reason, packet.is_v4()) {
        (DropReason::TtlExceeded, true) => [11, 0],
        (DropReason::TtlExceeded, false) => [3, 0],
        (_, true) => [3, 4],
        (_, false) => [2, 0],
    };
    let message = &seen.after[told.transport..told.end];
    if !told.is_icmp() || message[..2] != kind {
        return Err(format!("an ICMP error for {reason:?} is {:?}", &message[..2]));
    }
    let (quote, packet_bytes) = (&message[8..], &seen.before[packet.network..packet.end]);
    let least = (packet.transport - packet.network + 8).min(packet_bytes.len());
    let most = if packet.is_v4() { 576 } else { 1280 };
    if !packet_bytes.starts_with(quote) || quote.len() < least || told.length() > most {
        return Err(format!("an ICMP error quotes {} bytes: {quote:02x?}", quote.len()));
    }
    Ok(Known::Yes)
}

fn is_reset(seen: &Seen<'_>, packet: &Packet) -> Judgement {
    let reset = answer(seen, packet)?;
    let word = |frame: &[u8], at: usize| {
        u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
    };
    let (before, after) = (packet.transport, reset.transport);
    if (reset.src(), reset.dst()) != (packet.dst(), packet.src()) || !reset.has(RST) || reset.has(SYN | FIN) {
        return Err(format!("a RST to {packet:?} is {reset:?}"));
    }
    let header = usize::from(seen.before[before + 12] >> 4) * 4;
    let payload = packet.end - before - header;
    let length = payload + usize::from(packet.has(SYN)) + usize::from(packet.has(FIN));
    let right = if packet.has(ACK) {
        !reset.has(ACK) && word(seen.after, after + 4) == word(seen.before, before + 8)
    } else {
        reset.has(ACK)
            && word(seen.after, after + 4) == 0
            && word(seen.after, after + 8) == word(seen.before, before + 4).wrapping_add(length as u32)
    };
    if right {
        Ok(Known::Yes)
    } else {
        Err(format!("a RST has other numbers than RFC 9293 section 3.10.7.1 says: {reset:?}"))
    }
}
