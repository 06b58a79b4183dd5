//! Stage 8, forward: next hop, egress interface, Ethernet header.

use super::{Verdict, admission, drop, family::Family};
use crate::{
    Packet, Tables,
    abi::{DropReason, Event, EventKind, Flow, FlowFlags, InterfaceFlags, NextHop},
    tables::{AddressTables, FibQuery, FibResult, FlowEntry},
    verdict::Step,
};

/// Makes the next hop of a flow valid: one comparison, unless routing changed since it was found.
#[inline(always)]
pub(super) fn refresh<A, T, E>(tables: &T, flow: &mut Flow<A>, entry: &E, proto: u8) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    if !flow.next_hop.is_of(tables.fib_generation()) {
        renew(tables, entry, proto, &mut flow.next_hop).result()?;
    }
    Ok(())
}

/// Looks the next hop of an entry up again, and stores it there and in `next_hop`.
#[inline(never)]
fn renew<A, T, E>(tables: &T, entry: &E, proto: u8, next_hop: &mut NextHop) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
    E: FlowEntry<A>,
{
    let flow = entry.load();
    match lookup(tables, flow.src, flow.dst, proto) {
        FibResult::NextHop(mut found) | FibResult::Router(mut found) => {
            let counts = !flow.is_reverse() && admission::is_metered(tables, flow.service);
            if counts || flow.flags & FlowFlags::COOKIE != 0 {
                found.generation |= NextHop::METERED;
            }
            entry.set_next_hop(found);
            *next_hop = found;
            Step::DONE
        }
        FibResult::NeighbourMissing { ifindex, gateway } => {
            ask_for_neighbour::<A, T>(tables, ifindex, gateway);
            // What worked, or where the client's packets came from, is better than nothing.
            if u32::from(next_hop.ifindex) == ifindex && next_hop.dmac != [0; 6] {
                Step::DONE
            } else {
                Step::end(Verdict::drop(DropReason::NeighbourMissing))
            }
        }
        FibResult::NoRoute => Step::end(Verdict::drop(DropReason::NoRoute)),
    }
}

/// The next hop of a new flow. While it is not known its packets are dropped: their sender will repeat them.
#[inline(always)]
pub(super) fn resolve<A, T>(tables: &T, src: A, dst: A, proto: u8) -> Result<NextHop, Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    match lookup(tables, src, dst, proto) {
        FibResult::NextHop(next_hop) | FibResult::Router(next_hop) => Ok(next_hop),
        FibResult::NeighbourMissing { ifindex, gateway } => {
            ask_for_neighbour::<A, T>(tables, ifindex, gateway);
            drop(DropReason::NeighbourMissing)
        }
        FibResult::NoRoute => drop(DropReason::NoRoute),
    }
}

/// A FIB lookup whose answer carries the generation it was made under, read before so that a change in between is noticed.
#[inline(always)]
pub(super) fn lookup<A, T>(tables: &T, src: A, dst: A, proto: u8) -> FibResult
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let generation = tables.fib_generation();
    match tables.fib_lookup(&FibQuery { src, dst, proto }) {
        FibResult::NextHop(next_hop) => FibResult::NextHop(NextHop { generation, ..next_hop }),
        FibResult::Router(next_hop) => FibResult::Router(NextHop { generation, ..next_hop }),
        other => other,
    }
}

/// Asks `lbd` to resolve a neighbour.
#[inline(always)]
fn ask_for_neighbour<A: Family, T: Tables>(tables: &T, ifindex: u32, addr: [u32; 4]) {
    let family = if A::IS_V6 { 6 } else { 4 };
    tables.emit(&Event { kind: EventKind::NeighbourMissing as u32, ifindex, addr, family, reserved: 0 });
}

/// Why an egress interface may not be used.
pub(super) enum Refused {
    /// The program is not attached to it.
    NotAttached,
    /// The packet is larger than its MTU.
    TooBig {
        /// MTU in bytes.
        mtu: u32,
    },
}

/// Checks the egress interface for a packet of `length` bytes (L3); its MAC address.
#[inline(always)]
pub(super) fn check_egress<T: Tables>(
    tables: &T,
    next_hop: &NextHop,
    length: usize,
) -> Result<[u8; 6], Refused> {
    match tables.interface(next_hop.ifindex.into()) {
        Some(interface) if interface.flags & InterfaceFlags::ATTACHED != 0 => {
            let mtu = interface.mtu;
            if length <= mtu as usize { Ok(interface.mac.octets()) } else { Err(Refused::TooBig { mtu }) }
        }
        _ => Err(Refused::NotAttached),
    }
}

/// Writes the MAC addresses, and says where the frame goes.
#[inline(always)]
pub(super) fn send<P: Packet>(packet: &mut P, next_hop: &NextHop, smac: [u8; 6]) -> Verdict {
    if packet.write(0, [next_hop.dmac, smac]).is_none() {
        return Verdict::drop(DropReason::WriteFailed);
    }
    let ifindex = u32::from(next_hop.ifindex);
    if ifindex == packet.ingress() { Verdict::TRANSMIT } else { Verdict::redirect(ifindex) }
}
