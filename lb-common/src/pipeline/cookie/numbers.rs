//! Packets of connections that began with a cookie: sequence numbers, timestamps and windows of one end become those of the other one.

use super::{options, segment};
use crate::{
    Packet, Tables,
    abi::{Cookie, CookieFlags, DropReason},
    checksum,
    pipeline::{Verdict, Work, cookie::SCALE, family::Family, parse::Headers},
    tables::AddressTables,
    verdict::Step,
    wire::{ACK, RST, SYN, TCP, Tcp},
};

/// Most blocks of a selective acknowledgement (RFC 2018 §3).
const MOST_BLOCKS: u32 = 4;

/// Makes of a packet what the other end expects; `DONE`: it goes on. Addresses and ports are left as they are.
#[inline(never)]
pub(in crate::pipeline) fn translate<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    if !work.headers.has_transport {
        return Step::DONE;
    }
    let step = know(packet, tables, work);
    if step != Step::DONE {
        return step;
    }
    let Work { headers, flow, cookie, .. } = &*work;
    let is_answered = cookie.flags & CookieFlags::ANSWERED != 0;
    let answers = flow.is_reverse() && is_syn_ack(headers.flags);
    let asks = !flow.is_reverse() && !is_answered && headers.flags & RST == 0;
    let is_written =
        if answers || asks { segment::write(packet, tables, work) } else { shift(packet, tables, work) };
    // What it says of the backend's health is what it was.
    work.headers.flags = if answers {
        SYN | ACK
    } else if asks {
        SYN
    } else {
        work.headers.flags
    };
    if is_written { Step::DONE } else { Step::end(Verdict::drop(DropReason::WriteFailed)) }
}

/// Finds what the two ends differ by, or learns it from the packet; prepares the segment that takes its place, if one does.
#[inline(never)]
fn know<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, cookie, options, segment, twin_key: key, .. } = work;
    if flow.is_reverse() {
        flow.write_twin_key(TCP, key);
    } else {
        *key = headers.key;
    }
    let Some(kept) = tables.cookie(key) else { return Step::reset(DropReason::CookieUnknown) };
    *cookie = kept;
    options::read(packet, tables, headers, options);
    let Some(tcp) = packet.read::<Tcp>(headers.transport) else {
        return Step::end(Verdict::drop(DropReason::WriteFailed));
    };
    let window = u16::from_be(tcp.window);
    let is_answered = cookie.flags & CookieFlags::ANSWERED != 0;
    if !flow.is_reverse() {
        if !is_answered {
            segment::syn(segment, options, cookie, scaled(window, cookie.scales & 0xf, 0));
        }
    } else if is_syn_ack(headers.flags) {
        // A SYN-ACK for another SYN than ours is of a connection that is no more (RFC 9293 §3.10.7.3).
        if u32::from_be(tcp.ack) != cookie.client_isn.wrapping_add(1) {
            return Step::reset(DropReason::CookieUnknown);
        }
        learn(cookie, options, u32::from_be(tcp.seq));
        if !tables.set_cookie(key, cookie) {
            return Step::reset(DropReason::FlowTableFull);
        }
        let scale = if cookie.flags & CookieFlags::SCALES != 0 { SCALE } else { 0 };
        segment::probe(segment, options, cookie, scaled(window, 0, scale));
    } else if !is_answered {
        if headers.flags & RST == 0 {
            // An answer to our SYN by a connection that the backend has still in use: the RST frees the ports (RFC 5961 §4.2).
            return Step::reset(DropReason::CookieUnknown);
        }
        // The client has a connection already: what refuses it has to be in its window.
        cookie.sequence_delta = cookie.isn.wrapping_add(1).wrapping_sub(u32::from_be(tcp.seq));
    }
    Step::DONE
}

#[inline(always)]
fn is_syn_ack(flags: u8) -> bool {
    flags & (SYN | ACK | RST) == SYN | ACK
}

/// What the backend's SYN-ACK tells.
#[inline(always)]
fn learn(cookie: &mut Cookie, options: &options::Options, seq: u32) {
    cookie.sequence_delta = cookie.isn.wrapping_sub(seq);
    cookie.flags |= CookieFlags::ANSWERED;
    cookie.flags &= !CookieFlags::BACKEND_SCALES;
    cookie.scales &= 0xf;
    if options.kinds & CookieFlags::SCALES != 0 {
        cookie.flags |= CookieFlags::BACKEND_SCALES;
        cookie.scales |= options.scale << 4;
    }
    let both = cookie.flags & options.kinds & CookieFlags::TIMESTAMPS != 0;
    cookie.timestamp_delta = if both { cookie.timestamp.wrapping_sub(options.value) } else { 0 };
}

/// A window of one scale in units of another one; never closed by rounding.
#[inline(always)]
fn scaled(window: u16, from: u8, to: u8) -> u16 {
    let bytes = u32::from(window) << (from & 15);
    let units = (bytes >> (to & 15)).min(0xffff) as u16;
    if units == 0 && window != 0 { 1 } else { units }
}

/// Changes the numbers of a segment, and its checksum in the headers; false if one is out of reach.
#[inline(never)]
fn shift<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let reverse = work.flow.is_reverse();
    let Work { headers, cookie, options, .. } = work;
    if !reverse && options.sack_at != 0 {
        shift_blocks(packet, tables, work);
        let Work { headers, cookie, options, .. } = work;
        return shift_fields(packet, headers, cookie, options, reverse).is_some();
    }
    shift_fields(packet, headers, cookie, options, reverse).is_some()
}

#[inline(always)]
fn shift_fields<A, P: Packet>(
    packet: &mut P,
    headers: &mut Headers<A>,
    cookie: &Cookie,
    options: &options::Options,
    reverse: bool,
) -> Option<()> {
    let tcp = packet.read::<Tcp>(headers.transport)?;
    let at = headers.transport;
    let by = cookie.sequence_delta;
    let mut change = 0;
    if reverse {
        let seq = u32::from_be(tcp.seq).wrapping_add(by).to_be();
        packet.write(at + SEQ, seq)?;
        change = of_word(tcp.seq, seq);
    } else if tcp.flags & ACK != 0 {
        let ack = u32::from_be(tcp.ack).wrapping_sub(by).to_be();
        packet.write(at + ACKNOWLEDGEMENT, ack)?;
        change = of_word(tcp.ack, ack);
    }
    let window = window(cookie, u16::from_be(tcp.window), reverse).to_be();
    packet.write(at + WINDOW, window)?;
    change = checksum::combine(change, checksum::delta(tcp.window.into(), window.into()));
    if options.timestamps_at != 0 && (reverse || tcp.flags & ACK != 0) {
        let (place, old, new) = if reverse {
            (options.timestamps_at, options.value, options.value.wrapping_add(cookie.timestamp_delta))
        } else {
            (options.timestamps_at + 4, options.echo, options.echo.wrapping_sub(cookie.timestamp_delta))
        };
        packet.write(place, new.to_be())?;
        change = checksum::combine(change, placed(of_word(old.to_be(), new.to_be()), place, at));
    }
    headers.check = checksum::update(headers.check, change);
    Some(())
}

const SEQ: usize = 4;
const ACKNOWLEDGEMENT: usize = 8;
const WINDOW: usize = 14;

/// The window that the other end is to read.
#[inline(always)]
fn window(cookie: &Cookie, window: u16, reverse: bool) -> u16 {
    if cookie.flags & CookieFlags::SCALES == 0 {
        return window;
    }
    if reverse {
        scaled(window, cookie.scales >> 4, SCALE)
    } else if cookie.flags & CookieFlags::BACKEND_SCALES == 0 {
        scaled(window, cookie.scales & 0xf, 0)
    } else {
        window
    }
}

#[inline(always)]
fn of_word(old: u32, new: u32) -> u16 {
    checksum::delta(checksum::halves(old), checksum::halves(new))
}

/// The delta of a word that lies at `at`, in a segment that begins at `transport`: at an odd offset its bytes count the other way round.
#[inline(always)]
fn placed(delta: u16, at: usize, transport: usize) -> u16 {
    if at.wrapping_sub(transport) & 1 != 0 { delta.swap_bytes() } else { delta }
}

/// Changes the edges of the blocks that the client acknowledges.
#[inline(never)]
fn shift_blocks<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> u32
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, cookie, options, .. } = work;
    let mut at = options.sack_at;
    for block in 0..MOST_BLOCKS {
        if block >= options.blocks {
            break;
        }
        at = tables.opaque(at);
        let Some([left, right]) = packet.read::<[u32; 2]>(at) else { break };
        let moved = |edge: u32| u32::from_be(edge).wrapping_sub(cookie.sequence_delta).to_be();
        let (new_left, new_right) = (moved(left), moved(right));
        if packet.write(at, [new_left, new_right]).is_none() {
            break;
        }
        let change = checksum::combine(of_word(left, new_left), of_word(right, new_right));
        headers.check = checksum::update(headers.check, placed(change, at, headers.transport));
        at += 8;
    }
    0
}
