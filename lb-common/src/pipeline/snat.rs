//! Source ports towards the backend: kept, or allocated from the pool of the (SNAT address, backend) pair.
//!
//! A pool is a bitmap of 65 536 ports. Allocation looks for a clear bit in a bounded number of words, and takes it by an atomic
//! OR; `lbd` clears the bits of flows that ended, and sets those outside the configured range for ever. The bitmap only finds
//! ports quickly: that no two live flows share one is guaranteed by the flow table itself (`establish::claim`).

use super::{Work, establish, family::Family};
use crate::{
    Tables,
    abi::DropReason,
    hash,
    maps::{MAX_SNAT_PER_SERVICE, PORT_WORDS},
    tables::AddressTables,
    verdict::{Step, Verdict},
};

/// Words of a pool searched for a clear bit in one part of the search.
const WORDS_SEARCHED: u32 = 64;
/// Parts of a search. 256 of at most 1024 words, spread evenly: at 95 % use at least 50 words have a clear bit. If these are any 50,
/// the search misses all of them once in 500 000 times; never if they lie side by side, or if each has a few.
const PARTS: u32 = 4;
/// Parts searched, with those that are searched again because another CPU was faster, or because a bit was clear by mistake.
const SEARCHES: u32 = PARTS + 2;
/// Ports tried at random.
const ATTEMPTS: u32 = 4;
/// Distances between words that are searched after each other: ports that are in use lie side by side, where clients kept
/// theirs. Prime, so that no word is seen twice (the second one is for ranges that are a multiple of the first).
const STRIDES: [u32; 2] = [397, 389];

/// Which of the service's SNAT addresses a flow takes: by hash, so that a client's flows spread over all.
#[inline(always)]
fn position<A: Family, T: Tables>(tables: &T, work: &Work<A>) -> u32 {
    let count = work.service.snat_count.min(MAX_SNAT_PER_SERVICE);
    if count == 0 { 0 } else { (hash::flow(tables.seed(), &work.headers.key) >> 8) % u32::from(count) }
}

/// The first word of the pool of such an address and the backend selected.
#[inline(always)]
fn pool<A>(work: &Work<A>, position: u32) -> u32 {
    work.selected.backend.pool_base.wrapping_add(position).wrapping_mul(PORT_WORDS)
}

/// `full-nat`: a SNAT address, with the client's port if it is free, else another one of the pool. Stores the entry of the answers;
/// false if every port is in use. The two are called one after the other, so that their stacks don't add up.
#[inline(always)]
pub(super) fn claim_allocated<A, T>(tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let step = claim_same(tables, work);
    step == Step::DONE || (step == Step::ABSENT && search(tables, work))
}

/// Takes a SNAT address, and the client's port; `ABSENT`: the port is in use.
#[inline(never)]
fn claim_same<A, T>(tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let position = position(tables, work);
    let Some(address) = tables.snat_address(work.service.snat_base.wrapping_add(position)) else {
        return Step::end(Verdict::drop(DropReason::PortsExhausted));
    };
    work.flow.src = A::from_words(address);
    let wanted = u32::from(u16::from_be(work.headers.key.sport));
    if is_own(tables, wanted) && take(tables, pool(work, position), wanted) && establish::claim(tables, work)
    {
        Step::DONE
    } else {
        Step::ABSENT
    }
}

/// Looks for a free port, from where the flow's hash says. Constant time.
#[inline(never)]
fn search<A, T>(tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let place = hash::flow(tables.seed(), &work.headers.key);
    let pool = pool(work, position(tables, work));
    let mut part = 0;
    for _ in 0..SEARCHES {
        // Not known to the verifier, or it would follow the search once for every value.
        part = tables.opaque(part as usize) as u32;
        let port = free_port(tables, pool, place, part);
        if port == 0 {
            // Under a flood most bits are of flows that were forgotten.
            if part == 0 && guess(tables, work) {
                return true;
            }
            part += 1;
        } else if take(tables, pool, port) {
            work.flow.sport = (port as u16).to_be();
            if establish::claim(tables, work) {
                return true;
            }
        }
    }
    recycle(tables, work)
}

/// A port whose bit is clear, in one part of the words of the range, from number `place` on; 0 if there is none.
#[inline(never)]
fn free_port<T: Tables>(tables: &T, pool: u32, place: u32, part: u32) -> u32 {
    let (min, max) = tables.port_range();
    let first = u32::from(min) / 64;
    let words = (u32::from(max) / 64).saturating_sub(first) + 1;
    let stride = if words % STRIDES[0] == 0 { STRIDES[1] } else { STRIDES[0] };
    let mut position = (place % words + part * WORDS_SEARCHED * stride) % words;
    for step in 0..WORDS_SEARCHED {
        if part * WORDS_SEARCHED + step >= words {
            return 0;
        }
        let word = (first + position) % PORT_WORDS;
        let Some(used) = tables.port_word(pool + word) else { return 0 };
        if used != u64::MAX {
            // A port of the other machine's only where this one's are used up.
            let own = used | !tables.own_ports();
            return word * 64 + lowest_clear(if own == u64::MAX { used } else { own });
        }
        position = (position + stride) % words;
    }
    0
}

/// The last resort of a full pool (`lbd`, which gives ports back, may be away): a port whose connection is over.
#[inline(always)]
fn recycle<A, T>(tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    for _ in 0..ATTEMPTS {
        if guess(tables, work) {
            return true;
        }
    }
    false
}

/// Tries a port of the range at random, whatever its bit says; false if a live flow has it.
#[inline(always)]
fn guess<A, T>(tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let (min, max) = tables.port_range();
    let ports = u32::from(max).saturating_sub(min.into()) + 1;
    let port = u32::from(min) + tables.random() % ports;
    work.flow.sport = (port as u16).to_be();
    establish::claim(tables, work)
}

/// `nat`: the client's port; another one only if a flow of another VIP has the same addresses and ports towards the backend.
/// Stores the entry of the answers.
#[inline(always)]
pub(super) fn claim_kept<A, T>(tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if establish::claim(tables, work) {
        return true;
    }
    for _ in 0..ATTEMPTS {
        work.flow.sport = (1024 + (tables.random() % (65536 - 1024)) as u16).to_be();
        if establish::claim(tables, work) {
            return true;
        }
    }
    false
}

/// Sets a port's bit; whether it was clear.
#[inline(always)]
fn take<T: Tables>(tables: &T, pool: u32, port: u32) -> bool {
    let bit = 1u64 << (port % 64);
    let word = pool + port / 64 % PORT_WORDS;
    match tables.port_word(word) {
        Some(used) if used & bit == 0 => {
            matches!(tables.port_word_set(word, bit), Some(before) if before & bit == 0)
        }
        _ => false,
    }
}

/// Whether a port is one that this machine gives away first.
#[inline(always)]
fn is_own<T: Tables>(tables: &T, port: u32) -> bool {
    tables.own_ports() >> (port % 64) & 1 != 0
}

/// Position of the lowest clear bit of a word that has one.
#[inline(always)]
fn lowest_clear(word: u64) -> u32 {
    (!word).trailing_zeros() & 63
}
