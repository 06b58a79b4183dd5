//! Stage 1, parse: from bytes to headers, with every length checked.

use super::{Verdict, claim, drop, family::Family, fragment, pass};
use crate::{
    Packet, Tables,
    abi::{DropReason, FlowKey, InterfaceFlags, Mac},
    tables::AddressTables,
    wire::{
        ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Ethernet, TCP, Tcp,
        UDP, Udp, Vlan,
    },
};

/// VLAN tags that are followed; they stay as they are.
const MAX_VLAN_TAGS: usize = 2;

/// An Ethernet frame that is ours to look at.
pub(super) struct Frame {
    /// IPv6, else IPv4.
    pub(super) is_v6: bool,
    /// Offset of the network header.
    pub(super) network: usize,
}

/// The network header with its extension headers, and what the pipeline needs of the transport header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<A> {
    /// Offset of the network header.
    pub(super) offset: usize,
    /// Offset of the transport header (or of a later fragment's data).
    pub(super) transport: usize,
    /// Length of the packet from the network header on, as the header says.
    pub(super) length: usize,
    /// Addresses, protocol, and (once [`transport`] was here) ports: the key of the packet's flow.
    pub(super) key: FlowKey<A>,
    /// Place in a fragmented packet.
    pub(super) fragment: Fragment,
    /// Identification of the fragmented packet, wire order; 0 if it is whole.
    pub(super) fragment_id: u32,
    /// TCP or UDP checksum.
    pub(super) check: u16,
    /// TTL or hop limit.
    pub(super) hop_limit: u8,
    /// TCP flags; 0 for UDP and for later fragments.
    pub(super) flags: u8,
    /// Whether the transport header is in this packet: not in later fragments.
    pub(super) has_transport: bool,
}

impl<A> Headers<A> {
    /// Bytes from the transport header to the end of the packet.
    #[inline(always)]
    pub(super) fn payload(&self) -> usize {
        (self.offset + self.length).saturating_sub(self.transport)
    }
}

/// Place of a packet in a fragmented one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Not fragmented.
    #[default]
    Whole,
    /// The fragment that has the transport header.
    First,
    /// Any other fragment.
    Later,
}

/// Ethernet and VLAN tags. Anything but IP that is addressed to this interface is not for us.
#[inline(always)]
pub(super) fn ethernet<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Result<Frame, Verdict> {
    let Some(mut ether_type) = packet.read::<u16>(Ethernet::ETHER_TYPE) else { return pass() };
    let mut network = size_of::<Ethernet>();
    let mut tags = 0;
    while tags < MAX_VLAN_TAGS && (ether_type == ETHERTYPE_VLAN || ether_type == ETHERTYPE_QINQ) {
        let Some(tag) = packet.read::<Vlan>(network) else { return drop(DropReason::Truncated) };
        ether_type = tag.ether_type;
        network += size_of::<Vlan>();
        tags += 1;
    }
    if ether_type == ETHERTYPE_ARP {
        return Err(claim::arp(packet, tables, tables.opaque(network)));
    }
    let is_v6 = ether_type == ETHERTYPE_IPV6;
    if !is_v6 && ether_type != ETHERTYPE_IPV4 {
        return pass();
    }
    let Some(interface) = tables.interface(packet.ingress()) else { return pass() };
    // Read no earlier than here, so that it is not on the stack while the interface is looked up.
    let Some(ethernet) = packet.read::<Ethernet>(0) else { return pass() };
    let dmac = Mac::new(ethernet.dmac);
    let ours = dmac == interface.mac || tables.is_virtual_mac(packet.ingress(), dmac);
    if is_v6 && !ours {
        return Err(claim::neighbour(packet, tables, tables.opaque(network)));
    }
    if interface.flags & InterfaceFlags::ATTACHED == 0 || !ours {
        return pass();
    }
    Ok(Frame { is_v6, network })
}

/// TCP and UDP. Other protocols are not for us; a later fragment takes the ports of its first.
#[inline(always)]
pub(super) fn transport<A, P, T>(packet: &P, tables: &T, headers: &mut Headers<A>) -> Result<(), Verdict>
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    if headers.fragment == Fragment::Later {
        return fragment::follow(tables, headers).result().map(|_| ());
    }
    match headers.key.proto {
        TCP => tcp(packet, headers),
        UDP => udp(packet, headers),
        _ => pass(),
    }
}

#[inline(always)]
fn tcp<A, P: Packet>(packet: &P, headers: &mut Headers<A>) -> Result<(), Verdict> {
    if headers.payload() < size_of::<Tcp>() {
        return drop(DropReason::BadL4Header);
    }
    let Some(tcp) = packet.read::<Tcp>(headers.transport) else { return drop(DropReason::Truncated) };
    let length = usize::from(tcp.offset >> 4) * 4;
    if length < size_of::<Tcp>() || (length > headers.payload() && headers.fragment == Fragment::Whole) {
        return drop(DropReason::BadL4Header);
    }
    headers.key.sport = tcp.sport;
    headers.key.dport = tcp.dport;
    headers.flags = tcp.flags;
    headers.check = tcp.check;
    headers.has_transport = true;
    Ok(())
}

#[inline(always)]
fn udp<A, P: Packet>(packet: &P, headers: &mut Headers<A>) -> Result<(), Verdict> {
    if headers.payload() < size_of::<Udp>() {
        return drop(DropReason::BadL4Header);
    }
    let Some(udp) = packet.read::<Udp>(headers.transport) else { return drop(DropReason::Truncated) };
    let length = usize::from(u16::from_be(udp.length));
    if length < size_of::<Udp>() || (length > headers.payload() && headers.fragment == Fragment::Whole) {
        return drop(DropReason::BadL4Header);
    }
    headers.key.sport = udp.sport;
    headers.key.dport = udp.dport;
    headers.check = udp.check;
    headers.has_transport = true;
    Ok(())
}
