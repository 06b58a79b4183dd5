//! ICMP errors about packets of a connection that began with a cookie: the backend knows another sequence number than the one they quote.

use crate::{
    Packet, Tables,
    abi::CookieFlags,
    checksum,
    pipeline::{Work, family::Family},
    tables::AddressTables,
    wire::{Icmp, TCP, Tcp},
};

const SEQ: usize = 4;

/// Changes the quoted sequence number, with both checksums; false if it is out of reach.
#[inline(never)]
pub(in crate::pipeline) fn translate<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let Work { headers, flow, quote, twin_key, .. } = work;
    // What a client sent has its own numbers.
    if flow.is_reverse() || quote.key.proto != TCP {
        return true;
    }
    let cookie = tables.cookie(twin_key).unwrap_or_default();
    let end = headers.offset + headers.length;
    if cookie.flags & CookieFlags::ANSWERED == 0 || quote.transport + SEQ + 4 > end {
        return true;
    }
    write(packet, headers.transport, quote.transport, (cookie.sequence_delta, end)).is_some()
}

#[inline(always)]
fn write<P: Packet>(packet: &mut P, icmp: usize, transport: usize, (by, end): (u32, usize)) -> Option<()> {
    let old = packet.read::<u32>(transport + SEQ)?;
    let new = u32::from_be(old).wrapping_sub(by).to_be();
    packet.write(transport + SEQ, new)?;
    let change = checksum::delta(checksum::halves(old), checksum::halves(new));
    let mut total = change;
    if transport + Tcp::CHECK + 2 <= end
        && let Some(check) = packet.read::<u16>(transport + Tcp::CHECK)
    {
        let updated = checksum::update(check, change);
        packet.write(transport + Tcp::CHECK, updated)?;
        total = checksum::combine(total, checksum::delta(check.into(), updated.into()));
    }
    let check = packet.read::<u16>(icmp + Icmp::CHECK)?;
    packet.write(icmp + Icmp::CHECK, checksum::update(check, total))
}
