//! Segments of our own: what the packet at hand is made into.

use super::{Options, SCALE};
use crate::{
    Packet, Tables,
    abi::{Cookie, CookieFlags},
    checksum,
    pipeline::{
        Work,
        family::{DEFAULT_HOP_LIMIT, Family},
        parse::{Fragment, Headers},
        reply::{SHORTEST_FRAME, pseudo_header},
    },
    tables::AddressTables,
    wire::{ACK, Ethernet, SYN, TCP, Tcp},
};

/// A segment, but for addresses and ports: those of the packet at hand. Numbers are native.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pipeline) struct Segment {
    /// Options, wire order.
    options: [u32; 5],
    /// Sequence number.
    seq: u32,
    /// Acknowledgement number.
    ack: u32,
    /// Words of options.
    words: u32,
    /// Bytes of data: 0 or 1.
    data: u32,
    /// Sum of the segment, while it is written.
    sum: u32,
    /// Window.
    window: u16,
    /// Flags.
    flags: u8,
    /// Whether it goes back to the packet's sender.
    back: bool,
}

impl Segment {
    /// Bytes.
    #[inline(always)]
    fn length(&self) -> usize {
        size_of::<Tcp>() + 4 * self.words as usize + self.data as usize
    }

    /// Sets the largest segment that is announced.
    #[inline(always)]
    pub(super) fn set_mss(&mut self, mss: u16) {
        let [high, low] = mss.to_be_bytes();
        self.options[0] = u32::from_ne_bytes([2, 4, high, low]);
    }

    /// Sets the options behind the largest segment that go with timestamps.
    #[inline(always)]
    fn set_more(&mut self, kinds: u8, value: u32, echo: u32, scale: u8) {
        let sack = kinds & CookieFlags::SACK != 0;
        self.options[1] = u32::from_ne_bytes(if sack { [4, 2, 8, 10] } else { [1, 1, 8, 10] });
        self.options[2] = value.to_be();
        self.options[3] = echo.to_be();
        let scales = kinds & CookieFlags::SCALES != 0;
        self.options[4] = u32::from_ne_bytes(if scales { [1, 3, 3, scale] } else { [1, 1, 1, 1] });
        self.words = 5;
    }
}

/// Our answer to a SYN: of the client's options those that the cookie holds.
#[inline(always)]
pub(super) fn syn_ack(
    segment: &mut Segment,
    options: &Options,
    (isn, client_isn): (u32, u32),
    timestamp: u32,
) {
    segment.seq = isn;
    segment.ack = client_isn.wrapping_add(1);
    segment.flags = SYN | ACK;
    segment.window = 0;
    segment.data = 0;
    segment.back = true;
    segment.words = 1;
    if options.kinds & CookieFlags::TIMESTAMPS != 0 {
        segment.set_more(options.kinds, timestamp, options.value, SCALE);
    }
}

/// The client's SYN, as it may have been.
#[inline(always)]
pub(super) fn syn(segment: &mut Segment, options: &Options, cookie: &Cookie, window: u16) {
    segment.seq = cookie.client_isn;
    segment.ack = 0;
    segment.flags = SYN;
    segment.window = window;
    segment.data = 0;
    segment.back = false;
    segment.words = 1;
    segment.set_mss(cookie.mss);
    if cookie.flags & options.kinds & CookieFlags::TIMESTAMPS != 0 {
        segment.set_more(cookie.flags, options.value, 0, cookie.scales & 0xf);
    }
}

/// What tells the client that the backend answered. Its one byte lies before the window: who gets it takes the new size of the window, and
/// sends an ACK at once (RFC 9293 §3.10.7.4), which completes the backend's handshake also where the backend is the one to speak first.
#[inline(always)]
pub(super) fn probe(segment: &mut Segment, options: &Options, cookie: &Cookie, window: u16) {
    segment.seq = cookie.isn;
    segment.ack = cookie.client_isn.wrapping_add(1);
    segment.flags = ACK;
    segment.window = window;
    segment.data = 1;
    segment.back = false;
    segment.words = 0;
    if cookie.flags & options.kinds & CookieFlags::TIMESTAMPS != 0 {
        segment.options[0] = u32::from_ne_bytes([1, 1, 8, 10]);
        segment.options[1] = cookie.timestamp.to_be();
        segment.options[2] = options.echo.to_be();
        segment.words = 3;
    }
}

/// Bytes by which a segment may be longer than the packet: options and data.
const GROWTH: usize = 24;

/// Makes the packet the segment; false if there is no room for it.
#[inline(never)]
pub(super) fn write<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    write_segment(packet, tables, &mut work.headers, &mut work.segment).is_some()
}

#[inline(always)]
fn write_segment<A, P, T>(
    packet: &mut P,
    tables: &T,
    headers: &mut Headers<A>,
    segment: &mut Segment,
) -> Option<()>
where
    A: Family,
    P: Packet,
    T: Tables,
{
    segment.words = segment.words.min(segment.options.len() as u32);
    segment.data &= 1;
    headers.transport = tables.opaque(headers.offset + A::HEADER);
    headers.length = A::HEADER + segment.length();
    headers.hop_limit = DEFAULT_HOP_LIMIT;
    headers.fragment = Fragment::Whole;
    headers.fragment_id = 0;
    let end = headers.offset + headers.length;
    let is_written = make_room(packet, end, segment.back)
        && write_network(packet, headers, segment)
        && write_options(packet, tables, headers, segment)
        && write_tcp(packet, headers, segment);
    is_written.then_some(())
}

/// Writes the network header, and begins the sum of the segment.
#[inline(never)]
fn write_network<A: Family, P: Packet>(
    packet: &mut P,
    headers: &mut Headers<A>,
    segment: &mut Segment,
) -> bool {
    let (src, dst) =
        if segment.back { (headers.key.dst, headers.key.src) } else { (headers.key.src, headers.key.dst) };
    let length = segment.length();
    segment.sum = pseudo_header(src, dst, length, TCP);
    A::write_header(packet, headers.offset, (src, dst), TCP, length).is_some()
}

/// Writes data and options, and adds them to the sum.
#[inline(never)]
fn write_options<A, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers<A>,
    segment: &mut Segment,
) -> bool {
    // The byte of data, and one that is overwritten: no single bytes are written.
    if segment.data != 0 && packet.write(headers.offset + headers.length - 2, 0_u16).is_none() {
        return false;
    }
    let mut at = headers.transport + size_of::<Tcp>();
    for (word, option) in segment.options.into_iter().enumerate() {
        if word as u32 >= segment.words {
            break;
        }
        at = tables.opaque(at);
        if packet.write(at, option).is_none() {
            return false;
        }
        segment.sum += checksum::halves(option);
        at += 4;
    }
    true
}

/// Gives the frame the length, and the beginning: its Ethernet header with tags, turned round if it goes `back`.
#[inline(never)]
fn make_room<P: Packet>(packet: &mut P, end: usize, back: bool) -> bool {
    made_room(packet, end, back).is_some()
}

#[inline(always)]
fn made_room<P: Packet>(packet: &mut P, end: usize, back: bool) -> Option<()> {
    let ethernet = packet.read::<Ethernet>(0)?;
    let tags = packet.read::<[u32; 2]>(size_of::<Ethernet>())?;
    let length = if packet.length() < SHORTEST_FRAME { end } else { end.max(SHORTEST_FRAME) };
    packet.grow_front(GROWTH)?;
    packet.truncate(length)?;
    // What may lie behind the end of the packet.
    let _ = packet.write(SHORTEST_FRAME - 6, 0_u16);
    let _ = packet.write(SHORTEST_FRAME - 4, 0_u32);
    // The tags are written first: where there are none (or one), the network header overwrites them.
    packet.write(size_of::<Ethernet>(), tags)?;
    let (dmac, smac) = if back { (ethernet.smac, ethernet.dmac) } else { (ethernet.dmac, ethernet.smac) };
    packet.write(0, Ethernet { dmac, smac, ether_type: ethernet.ether_type })
}

/// Writes the TCP header.
#[inline(never)]
fn write_tcp<A: Family, P: Packet>(packet: &mut P, headers: &mut Headers<A>, segment: &Segment) -> bool {
    let key = &headers.key;
    let (sport, dport) = if segment.back { (key.dport, key.sport) } else { (key.sport, key.dport) };
    let offset = ((size_of::<Tcp>() / 4 + segment.words as usize) as u8) << 4;
    let (seq, ack, window) = (segment.seq.to_be(), segment.ack.to_be(), segment.window.to_be());
    let sum = segment.sum
        + u32::from(sport)
        + u32::from(dport)
        + checksum::halves(seq)
        + checksum::halves(ack)
        + u32::from(u16::from_ne_bytes([offset, segment.flags]))
        + u32::from(window);
    let check = !checksum::fold(sum);
    let tcp = Tcp { sport, dport, seq, ack, offset, flags: segment.flags, window, check, urgent: 0 };
    headers.check = check;
    packet.write(headers.transport, tcp).is_some()
}
