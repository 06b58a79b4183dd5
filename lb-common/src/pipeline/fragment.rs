//! Fragments: the first one has the ports, later ones follow it.

use super::{
    Verdict,
    family::Family,
    parse::{Fragment, Headers},
    service,
};
use crate::{
    Tables,
    abi::{DropReason, FragmentKey, FragmentPorts},
    tables::AddressTables,
    verdict::Step,
};

/// Ticks after which a recorded first fragment is forgotten: longer than hosts wait for reassembly (RFC 8200: 60 s).
const MAX_AGE: u32 = 60;

/// The ports of a later fragment's packet. A fragment for a VIP that nothing is known of is dropped. A function of its own, as [`store`] is:
/// fragments are rare, and their keys need not be on the stack of all other packets.
#[inline(never)]
pub(super) fn follow<A, T>(tables: &T, headers: &mut Headers<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    match tables.fragment(&key(headers)) {
        Some(ports) if tables.now().wrapping_sub(ports.seen) <= MAX_AGE => {
            headers.key.sport = ports.sport;
            headers.key.dport = ports.dport;
            Step::DONE
        }
        _ if service::is_vip(tables, headers.key.dst) => {
            Step::end(Verdict::drop(DropReason::FragmentWithoutFirst))
        }
        _ => Step::end(Verdict::PASS),
    }
}

/// Records the ports of a first fragment that is forwarded.
#[inline(always)]
pub(super) fn remember<A, T>(tables: &T, headers: &Headers<A>)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if headers.fragment == Fragment::First {
        store(tables, headers);
    }
}

#[inline(never)]
fn store<A, T>(tables: &T, headers: &Headers<A>)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let ports = FragmentPorts { sport: headers.key.sport, dport: headers.key.dport, seen: tables.now() };
    tables.insert_fragment(&key(headers), &ports);
}

#[inline(always)]
fn key<A: Family>(headers: &Headers<A>) -> FragmentKey<A> {
    FragmentKey {
        src: headers.key.src,
        dst: headers.key.dst,
        id: headers.fragment_id,
        proto: headers.key.proto,
        pad: [0; 3],
    }
}
