//! The shortcut of most packets: a segment or datagram of an established flow about which nothing has to be decided.
//!
//! No VLAN tags, options, extension headers or fragments, so that every field has a constant offset; no SYN, FIN or RST; the flow's
//! generation is the current one, and the other direction's entry need not be touched. Packets that have nothing to do with any service
//! also end here. Whatever is otherwise takes the long way, which gives the same answer for these packets, too: `tests/shortcut.rs`
//! compares the two.

use super::{Verdict, family::Family, flow::must_touch_twin};
use crate::{
    Action, Packet, Tables,
    abi::{Flow, FlowFlags, FlowKey, InterfaceFlags, Mac},
    checksum,
    packet::Head,
    tables::{AddressTables, FlowEntry, Tier, Traffic},
    wire::{FIN, RST, SYN, TCP, UDP},
};

/// What there is to know about such a packet.
pub(super) struct Parsed<A> {
    key: FlowKey<A>,
    /// Length of the packet from the network header on, in bytes.
    length: usize,
}

/// The headers of an address family at constant offsets.
pub(super) trait Plain: Family {
    /// Bytes of Ethernet, network and TCP header.
    const HEADERS: usize;
    /// Reads the headers; `None` if the packet has to take the long way.
    fn read_head<H: Head>(head: &H) -> Option<Parsed<Self>>;
    /// Writes what the flow changes behind the Ethernet header. Each field is loaded where it is written, so that none waits on the stack.
    fn write_head<H: Head, E: FlowEntry<Self>>(head: &mut H, entry: &E, proto: u8);
}

/// Forwards the packet if it is such a one; `None`: the packet is unchanged, its flow at most touched, as on the long way.
///
/// No look-up comes between the last decision and the writes: what is written is loaded where it is, and not kept on the stack.
#[inline(always)]
pub(super) fn forward<A, P, T>(packet: &mut P, tables: &T) -> Option<Verdict>
where
    A: Plain,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let ingress = packet.ingress();
    let mut head = packet.head(A::HEADERS)?;
    let Parsed { key, length } = A::read_head(&head)?;
    if !is_for(&head, tables, ingress) {
        return None;
    }
    let Some(entry) = tables.flow(Tier::Established, &key) else {
        let may_be_ours = tables.may_be_own(key.dst.words()) || tables.may_be_own(key.src.words());
        return (!may_be_ours).then(|| {
            tables.count_received(ingress, head.length() as u32, Action::Pass);
            Verdict::PASS
        });
    };
    let Flow { last_seen, next_hop, state, .. } = entry.load();
    if next_hop.generation != tables.fib_generation() {
        return None;
    }
    if last_seen != tables.now() {
        if must_touch_twin(tables, last_seen, state) {
            return None;
        }
        entry.set_last_seen(tables.now());
    }
    let link = entry.link();
    let ifindex = (link >> 48) as u32;
    let egress = tables.interface(ifindex)?;
    if egress.flags & InterfaceFlags::ATTACHED == 0 || length > egress.mtu as usize {
        return None;
    }
    write_macs(&mut head, link, egress.mac);
    A::write_head(&mut head, &entry, key.proto);
    let frame = head.length() as u32;
    let Flow { service, backend, flags, .. } = entry.load();
    let reverse = flags & FlowFlags::REVERSE != 0;
    tables.count_traffic(&Traffic { service, backend, reverse, bytes: length as u32 });
    tables.count_received(ingress, frame, Action::Transmit);
    tables.count_sent(ifindex, frame);
    Some(if ifindex == ingress { Verdict::TRANSMIT } else { Verdict::redirect(ifindex) })
}

/// Whether the frame is addressed to an interface that the program is attached to.
#[inline(always)]
fn is_for<H: Head, T: Tables>(head: &H, tables: &T, ingress: u32) -> bool {
    let Some(interface) = tables.interface(ingress) else { return false };
    let dmac = Mac::from_parts(head.word::<0>(), head.half::<4>());
    let ours = dmac == interface.mac || tables.is_virtual_mac(ingress, dmac);
    ours && interface.flags & InterfaceFlags::ATTACHED != 0
}

/// Writes destination and source: 12 bytes.
#[inline(always)]
fn write_macs<H: Head>(head: &mut H, link: u64, smac: Mac) {
    head.set_word::<0>((link as u32).to_le());
    head.set_half::<4>(((link >> 32) as u16).to_le());
    let (start, end) = smac.parts();
    head.set_word::<6>(start);
    head.set_half::<10>(end);
}

/// Whether a TCP or UDP header is consistent with a packet of `length` bytes, `network` of which are the network header, and changes no
/// state. `word` holds TCP's data offset and flags, or UDP's length.
#[inline(always)]
fn is_plain(proto: u8, word: u16, network: usize, length: usize) -> bool {
    if proto == TCP {
        let [offset, flags] = word.to_ne_bytes();
        let header = usize::from(offset >> 4) * 4;
        header >= 20 && network + header <= length && flags & (SYN | FIN | RST) == 0
    } else {
        let datagram = usize::from(u16::from_be(word));
        proto == UDP && datagram >= 8 && network + datagram <= length
    }
}

impl Plain for u32 {
    const HEADERS: usize = 54;

    #[inline(always)]
    fn read_head<H: Head>(head: &H) -> Option<Parsed<Self>> {
        let [version_ihl, _] = head.half::<14>().to_ne_bytes();
        let fragment = u16::from_be(head.half::<20>()) & 0x3fff;
        let [ttl, proto] = head.half::<22>().to_ne_bytes();
        if version_ihl != 0x45 || fragment != 0 || ttl <= 1 {
            return None;
        }
        let length = usize::from(u16::from_be(head.half::<16>()));
        let word = if proto == TCP { head.half::<46>() } else { head.half::<38>() };
        if 14 + length > head.length() || !is_plain(proto, word, 20, length) {
            return None;
        }
        let key = FlowKey::<u32>::from_words(head.word::<26>(), head.word::<30>(), head.word::<34>(), proto);
        Some(Parsed { key, length })
    }

    #[inline(always)]
    fn write_head<H: Head, E: FlowEntry<Self>>(head: &mut H, entry: &E, proto: u8) {
        // The TTL is the first byte of its half.
        head.set_half::<22>(head.half::<22>().wrapping_sub(1));
        head.set_half::<24>(checksum::update(head.half::<24>(), entry.load().l3_delta));
        head.set_word::<26>(entry.load().src);
        head.set_word::<30>(entry.load().dst);
        head.set_half::<34>(entry.load().sport);
        head.set_half::<36>(entry.load().dport);
        let delta = entry.load().l4_delta;
        if proto == TCP {
            head.set_half::<50>(checksum::update(head.half::<50>(), delta));
        } else {
            head.set_half::<40>(checksum::update_udp(head.half::<40>(), delta));
        }
    }
}

impl Plain for [u32; 4] {
    const HEADERS: usize = 74;

    #[inline(always)]
    fn read_head<H: Head>(head: &H) -> Option<Parsed<Self>> {
        let [version, _] = head.half::<14>().to_ne_bytes();
        let [proto, hop_limit] = head.half::<20>().to_ne_bytes();
        if version >> 4 != 6 || hop_limit <= 1 {
            return None;
        }
        let length = 40 + usize::from(u16::from_be(head.half::<18>()));
        let word = if proto == TCP { head.half::<66>() } else { head.half::<58>() };
        if 14 + length > head.length() || !is_plain(proto, word, 40, length) {
            return None;
        }
        let src = [head.word::<22>(), head.word::<26>(), head.word::<30>(), head.word::<34>()];
        let dst = [head.word::<38>(), head.word::<42>(), head.word::<46>(), head.word::<50>()];
        let key = FlowKey::<[u32; 4]>::from_words(src, dst, head.word::<54>(), proto);
        Some(Parsed { key, length })
    }

    #[inline(always)]
    fn write_head<H: Head, E: FlowEntry<Self>>(head: &mut H, entry: &E, proto: u8) {
        // The hop limit is the second byte of its half.
        head.set_half::<20>(head.half::<20>().wrapping_sub(0x100));
        let [a, b, c, d] = entry.load().src;
        head.set_word::<22>(a);
        head.set_word::<26>(b);
        head.set_word::<30>(c);
        head.set_word::<34>(d);
        let [a, b, c, d] = entry.load().dst;
        head.set_word::<38>(a);
        head.set_word::<42>(b);
        head.set_word::<46>(c);
        head.set_word::<50>(d);
        head.set_half::<54>(entry.load().sport);
        head.set_half::<56>(entry.load().dport);
        let delta = entry.load().l4_delta;
        if proto == TCP {
            head.set_half::<70>(checksum::update(head.half::<70>(), delta));
        } else {
            head.set_half::<60>(checksum::update_udp(head.half::<60>(), delta));
        }
    }
}
