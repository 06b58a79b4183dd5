//! Who has a VIP that moves between machines: what others say of it on the link is noted, and a machine whose `lbd` is gone does not answer for
//! a VIP any more that another machine has taken. Packets that reach it nevertheless are forwarded.

use super::{Verdict, drop};
use crate::{
    Packet, Tables,
    abi::{Address as _, DropReason, Mac},
    wire::{Arp, Ethernet, ICMPV6, Ipv6, Neighbour},
};

/// ARP, whose header begins at `offset`. A question for a VIP that is at the MAC address of its virtual router goes to that address, whomever it
/// was sent to: the host's interface of that address answers it, and not the one where it arrived.
#[inline(never)]
pub(super) fn arp<P: Packet, T: Tables>(packet: &mut P, tables: &T, offset: usize) -> Verdict {
    let Some(arp) = packet.read::<Arp>(offset) else { return Verdict::PASS };
    if [arp.hardware, arp.protocol, arp.lengths] != Arp::ETHERNET_IPV4 {
        return Verdict::PASS;
    }
    let (sender, target) = (Arp::word(arp.sender).words(), Arp::word(arp.target).words());
    if is_of_another(packet, tables) {
        tables.claim(&sender);
    }
    // An announcement asks nobody.
    if sender == target {
        return Verdict::PASS;
    }
    match answer(tables, &target) {
        Err(verdict) => verdict,
        Ok(mac) if mac.is_some() && arp.operation == Arp::REQUEST => match packet.write(0, mac.octets()) {
            Some(()) => Verdict::PASS,
            None => Verdict::drop(DropReason::WriteFailed),
        },
        Ok(_) => Verdict::PASS,
    }
}

/// IPv6 to a group, or to another station: Neighbor Solicitations and Advertisements. The network header begins at `offset`.
#[inline(never)]
pub(super) fn neighbour<P: Packet, T: Tables>(packet: &P, tables: &T, offset: usize) -> Verdict {
    let Some(header) = packet.read::<Ipv6>(offset) else { return Verdict::PASS };
    // RFC 4861 sections 7.1.1 and 7.1.2: it comes from this link.
    if header.next_header != ICMPV6 || header.hop_limit != u8::MAX {
        return Verdict::PASS;
    }
    let Some(message) = packet.read::<Neighbour>(offset + size_of::<Ipv6>()) else { return Verdict::PASS };
    if message.kind == Neighbour::ADVERTISEMENT && is_of_another(packet, tables) {
        tables.claim(&message.target);
    }
    if message.kind != Neighbour::SOLICITATION {
        return Verdict::PASS;
    }
    answer(tables, &message.target).err().unwrap_or(Verdict::PASS)
}

/// At which MAC address of a virtual router this machine has an address; all 0: at none. An error: it must not answer for it.
#[inline(always)]
fn answer<T: Tables>(tables: &T, address: &[u32; 4]) -> Result<Mac, Verdict> {
    let floating = tables.floating(address).unwrap_or_default();
    if floating.is_fenced(tables.now()) { drop(DropReason::Fenced) } else { Ok(floating.mac) }
}

/// Whether a frame is none of this interface's own, which came back.
#[inline(always)]
fn is_of_another<P: Packet, T: Tables>(packet: &P, tables: &T) -> bool {
    let (ethernet, interface) = (packet.read::<Ethernet>(0), tables.interface(packet.ingress()));
    match (ethernet, interface) {
        (Some(ethernet), Some(interface)) => Mac::new(ethernet.smac) != interface.mac,
        _ => false,
    }
}
