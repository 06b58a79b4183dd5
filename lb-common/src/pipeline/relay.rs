//! What backends answer to the machine that had an address until a moment ago, and what reaches this one: only the other machine knows the flow.

use super::{
    Verdict, drop,
    family::{Family, Header},
    fragment,
    parse::Headers,
};
use crate::{
    Packet, Tables,
    abi::{DropReason, Mac},
    checksum,
    tables::AddressTables,
    verdict::Step,
    wire::{Ethernet, SYN},
};

/// Passes a packet of a backend for a SNAT address, of which no flow is known, on to the machine that had the address, as a router would. A SYN-ACK is
/// not passed on: the client's ACK would come here. Where there is no such machine, the packet is not for us.
#[inline(never)]
pub(super) fn pass_on<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    relay(packet, tables, headers).unwrap_or_else(Step::end)
}

#[inline(always)]
fn relay<A, P, T>(packet: &mut P, tables: &T, headers: &Headers<A>) -> Result<Step, Verdict>
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let key = &headers.key;
    let port = u16::from_be(key.dport);
    let (low, high) = tables.port_range();
    let is_answer = headers.flags & SYN == 0 && (low..=high).contains(&port) && headers.hop_limit > 1;
    if !is_answer || !tables.may_be_own(key.src.words()) || !tables.may_be_own(key.dst.words()) {
        return Err(Verdict::PASS);
    }
    let relay = tables.relay(&key.dst.words()).ok_or(Verdict::PASS)?;
    let ethernet = packet.read::<Ethernet>(0).ok_or(Verdict::PASS)?;
    if !relay.takes(tables.nanos(), packet.ingress(), Mac::new(ethernet.smac)) {
        return Err(Verdict::PASS);
    }
    fragment::remember(tables, headers);
    let header = Header {
        src: key.src,
        dst: key.dst,
        hop_limit: headers.hop_limit - 1,
        l3_delta: checksum::TTL_DECREMENT,
    };
    if A::rewrite(packet, headers.offset, &header).is_none()
        || packet.write(0, [relay.mac.octets(), ethernet.dmac]).is_none()
    {
        return drop(DropReason::WriteFailed);
    }
    Ok(Step::end(Verdict::TRANSMIT))
}
