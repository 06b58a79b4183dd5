//! Stage 4, admit: which packets may begin a flow.

use super::{Verdict, drop, parse::Headers};
use crate::{
    abi::{DropReason, FlowState},
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
