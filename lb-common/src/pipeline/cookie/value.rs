//! What a cookie holds: in the sequence number a hash and the client's largest segment, in the timestamp the rest, as Linux has it.
//!
//! The hash is keyed, and of the connection, the client's sequence number and the time. Of all sequence numbers 16 are valid for an ACK (8
//! segment sizes, 2 periods), so that one guess in 2^28 is right, as in Linux. The kernel's own cookies (`bpf_tcp_raw_gen_syncookie_ipv4`) are
//! of no use here: their check does not say what the client's largest segment is.

use super::Options;
use crate::{
    Tables,
    abi::{Address, Cookie, CookieFlags, FlowKey},
    pipeline::family::Family,
    siphash::SipHash,
    tables::AddressTables,
};

/// Ticks (a power of 2) for which cookies are alike; they are valid in the following period, too: for 69 to 137 s.
pub(super) const PERIOD_TICKS: u32 = 64;
/// No segment size.
pub(super) const INVALID: u32 = u32::MAX;

/// Number of the present period.
#[inline(always)]
pub(super) fn period<T: Tables>(tables: &T) -> u32 {
    tables.now().wrapping_sub(tables.cookie_secret().unwrap_or_default().base) / PERIOD_TICKS
}

/// The hash of a client's connection.
#[inline(never)]
pub(super) fn mac<A, T>(tables: &T, key: &FlowKey<A>, client_isn: u32, period: u32) -> u64
where
    A: Address,
    T: Tables + AddressTables<A>,
{
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let ports = u32::from(key.sport) | u32::from(key.dport) << 16;
    let ([a, b, c, d], [e, f, g, h]) = (key.src.words(), key.dst.words());
    let mut hash = SipHash::new(tables.cookie_secret().unwrap_or_default().key);
    if A::IS_V6 {
        hash = hash.word(pair(a, b)).word(pair(c, d)).word(pair(e, f)).word(pair(g, h));
    } else {
        hash = hash.word(pair(a, e));
    }
    let length: u64 = if A::IS_V6 { 44 } else { 20 };
    hash.word(pair(ports, client_isn)).word(u64::from(period) | length << 56).finish()
}

/// Index of the segment size of a cookie of this or the last period, or [`INVALID`].
#[inline(always)]
pub(super) fn check<A, T>(tables: &T, key: &FlowKey<A>, cookie: &Cookie) -> u32
where
    A: Address,
    T: Tables + AddressTables<A>,
{
    let present = period(tables);
    let index = cookie.isn.wrapping_sub(mac(tables, key, cookie.client_isn, present) as u32);
    if index < SIZES {
        return index;
    }
    let last = present.wrapping_sub(1);
    let index = cookie.isn.wrapping_sub(mac(tables, key, cookie.client_isn, last) as u32);
    if index < SIZES { index } else { INVALID }
}

/// Number of segment sizes.
const SIZES: u32 = 8;

/// Segment sizes that are told apart: the least (RFC 9293 §3.7.1, RFC 8200 §5), tunnels, PPPoE, Ethernet, jumbo frames.
#[inline(always)]
fn sizes<A: Family>() -> [u16; SIZES as usize] {
    if A::IS_V6 {
        [1220, 1280, 1340, 1380, 1420, 1432, 1440, 8940]
    } else {
        [536, 1300, 1360, 1400, 1440, 1452, 1460, 8960]
    }
}

/// Index of the largest size that is at most `mss` (0: the client named none); the least is taken by all.
#[inline(always)]
pub(super) fn mss_index<A: Family>(mss: u16) -> u32 {
    let sizes = sizes::<A>();
    let mut index = 0;
    let mut at = 1;
    while at < SIZES {
        index += u32::from(mss >= sizes[at as usize]);
        at += 1;
    }
    index
}

/// The size of an index.
#[inline(always)]
pub(super) fn mss<A: Family>(index: u32) -> u16 {
    let sizes = sizes::<A>();
    let mut mss = sizes[0];
    let mut at = 1;
    while at < SIZES {
        if index >= at {
            mss = sizes[at as usize];
        }
        at += 1;
    }
    mss
}

/// Bits of a timestamp that hold options.
const OPTIONS: u32 = 0x1f;
/// The window scale of a client that has none.
const NO_SCALE: u32 = 0xf;
/// Set if the client takes selective acknowledgements.
const SACK: u32 = 0x10;

/// The timestamp of a SYN-ACK.
#[inline(always)]
pub(super) fn timestamp(mac: u64, options: &Options) -> u32 {
    let scale = if options.kinds & CookieFlags::SCALES != 0 { u32::from(options.scale) } else { NO_SCALE };
    let sack = if options.kinds & CookieFlags::SACK != 0 { SACK } else { 0 };
    (mac >> 32) as u32 & !OPTIONS | scale | sack
}

/// The [`CookieFlags`] in a timestamp.
#[inline(always)]
pub(super) fn kinds(timestamp: u32) -> u8 {
    let sack = if timestamp & SACK != 0 { CookieFlags::SACK } else { 0 };
    let scales = if timestamp & NO_SCALE != NO_SCALE { CookieFlags::SCALES } else { 0 };
    sack | scales
}

/// The window scale in a timestamp.
#[inline(always)]
pub(super) fn scale(timestamp: u32) -> u8 {
    (timestamp & NO_SCALE) as u8
}
