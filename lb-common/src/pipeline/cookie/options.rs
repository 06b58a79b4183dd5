//! The options of a TCP segment.

use crate::{Packet, Tables, abi::CookieFlags, pipeline::parse::Headers, wire::Tcp};

/// What is read of the options.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pipeline) struct Options {
    /// Offset of the timestamps' two words in the frame; 0: there are none.
    pub(super) timestamps_at: usize,
    /// Offset of the first block of a selective acknowledgement; 0: there is none.
    pub(super) sack_at: usize,
    /// Number of its blocks.
    pub(super) blocks: u32,
    /// The sender's timestamp.
    pub(super) value: u32,
    /// The timestamp that is returned.
    pub(super) echo: u32,
    /// Largest segment; 0: not said.
    pub(super) mss: u16,
    /// [`CookieFlags`] bits of what is there.
    pub(super) kinds: u8,
    /// Window scale.
    pub(super) scale: u8,
}

/// Most options that are looked at, padding included: what sane senders have is 6.
const MOST: u32 = 20;
/// Largest window scale (RFC 7323 §2.3).
const LARGEST_SCALE: u8 = 14;
const END: u8 = 0;
const PADDING: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// Reads the options of a segment, up to the first one that cannot be.
#[inline(never)]
pub(super) fn read<A, P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers<A>,
    options: &mut Options,
) -> u32 {
    *options = Options::default();
    let Some([words, _]) = packet.read::<[u8; 2]>(headers.transport + 12) else { return 0 };
    let end = headers.transport + (usize::from(words >> 4) * 4).min(headers.payload());
    let mut at = headers.transport + size_of::<Tcp>();
    for _ in 0..MOST {
        at = tables.opaque(at);
        if at >= end {
            break;
        }
        // A last byte that nothing follows is padding or the end.
        let Some([kind, length]) = packet.read::<[u8; 2]>(at) else { break };
        if kind == PADDING {
            at += 1;
            continue;
        }
        let length = usize::from(length);
        if kind == END || length < 2 || at + length > end {
            break;
        }
        take(packet, options, at, usize::from(kind) << 8 | length);
        at += length;
    }
    0
}

/// Takes what an option says; its kind and length are one number.
#[inline(never)]
fn take<P: Packet>(packet: &P, options: &mut Options, at: usize, which: usize) -> u32 {
    let is = |kind: u8, length: usize| which == usize::from(kind) << 8 | length;
    if is(TIMESTAMPS, 10) {
        if let Some([value, echo]) = packet.read::<[u32; 2]>(at + 2) {
            options.timestamps_at = at + 2;
            options.value = u32::from_be(value);
            options.echo = u32::from_be(echo);
            options.kinds |= CookieFlags::TIMESTAMPS;
        }
    } else if which >> 8 == usize::from(SACK) {
        options.sack_at = at + 2;
        options.blocks = ((which & 0xff) as u32 - 2) / 8;
    } else if is(MSS, 4) {
        options.mss = u16::from_be(packet.read::<u16>(at + 2).unwrap_or(0));
    } else if is(WINDOW_SCALE, 3) {
        if let Some([_, scale]) = packet.read::<[u8; 2]>(at + 1) {
            options.scale = scale.min(LARGEST_SCALE);
            options.kinds |= CookieFlags::SCALES;
        }
    } else if is(SACK_PERMITTED, 2) {
        options.kinds |= CookieFlags::SACK;
    }
    0
}
