//! Stage 4, admit: which packets may begin a flow.

use super::{Verdict, drop, family::Family, parse::Headers};
use crate::{
    Tables,
    abi::{DropReason, FlowState},
    tables::AddressTables,
    wire::{ACK, RST, SYN, UDP},
};

/// Refuses packets that never begin a flow: a RST ends one, a SYN-ACK answers one.
#[inline(always)]
pub(super) fn new_flow<A>(headers: &Headers<A>) -> Result<(), Verdict> {
    if headers.flags & RST != 0 {
        return drop(DropReason::RstWithoutFlow);
    }
    if headers.flags & (SYN | ACK) == SYN | ACK {
        return drop(DropReason::SynAckWithoutFlow);
    }
    Ok(())
}

/// Ticks for which the table of established flows counts as full, since an answered flow found no room in it.
const FULL_TICKS: u32 = 1;

/// Refuses packets that would begin a flow while the table of established ones is full, where that is wanted.
#[inline(always)]
pub(super) fn has_room<A, T>(tables: &T) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if !tables.refuses_when_full() {
        return Ok(());
    }
    let full_at = AddressTables::<A>::full_at(tables);
    if full_at != 0 && tables.now().saturating_sub(full_at) <= FULL_TICKS {
        return drop(DropReason::FlowTableFull);
    }
    Ok(())
}

/// The state a flow begins in. A connection met in its middle is picked up: a failover partner sees such.
#[inline(always)]
pub(super) fn initial_state<A>(headers: &Headers<A>) -> FlowState {
    if headers.key.proto == UDP {
        FlowState::UdpNew
    } else if headers.flags & SYN != 0 {
        FlowState::SynSent
    } else {
        FlowState::PickedUp
    }
}
