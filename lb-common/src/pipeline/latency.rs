//! How long handshakes take. A SYN takes no entry in most cases, so that there is no flow to keep its time in: handshakes share a table of
//! stamps. An established packet never comes here.

use super::family::Family;
use crate::{
    Tables,
    abi::{FlowKey, Latency, Stamp},
    hash,
    maps::TIMED_HANDSHAKES,
};

/// A packet of a handshake that was sent on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client's SYN.
    Begun = 0,
    /// The backend's first SYN-ACK.
    Answered = 1,
    /// The client's ACK.
    Complete = 2,
    /// A RST instead of a SYN-ACK.
    Refused = 3,
}

/// Lowest bit of the tag of a handshake that waits for the client's ACK.
const ANSWERED: u32 = 1;

/// Notes that a handshake came to a stage; `key` is that of the client's packets. A SYN or a SYN-ACK that is repeated does not move the time of the
/// first one: what is lost on the way counts, as it does for the client.
#[inline(never)]
pub(super) fn note<A: Family, T: Tables>(tables: &T, key: &FlowKey<A>, backend: u32, stage: u32) {
    let hash = hash::flow(tables.seed(), key);
    let index = hash % TIMED_HANDSHAKES;
    let Some(stamp) = tables.stamp(index) else { return };
    let now = Stamp::time(tables.nanos());
    let waited = now.wrapping_sub(stamp.since);
    // The bits of the index say nothing more; one of them is the stage's, another one keeps the tag from being 0.
    let begun = hash & !ANSWERED | 2;
    let own = stamp.tag & !ANSWERED == begun && waited < Stamp::LIFETIME;
    let answered = stamp.tag & ANSWERED != 0;
    let free = stamp.tag == 0 || waited >= Stamp::PATIENCE;
    if stage == Stage::Begun as u32 {
        // A SYN on a connection that is waiting for an ACK is a new one.
        if own && answered || !own && free {
            tables.set_stamp(index, Stamp { tag: begun, since: now });
        }
    } else if stage == Stage::Answered as u32 {
        if own && !answered {
            tables.count_latency(backend, Latency::Handshake, waited);
        }
        if own || free {
            tables.set_stamp(index, Stamp { tag: begun | ANSWERED, since: now });
        }
    } else if own {
        if stage == Stage::Complete as u32 && answered {
            tables.count_latency(backend, Latency::Rtt, waited);
        }
        tables.set_stamp(index, Stamp::default());
    }
}
