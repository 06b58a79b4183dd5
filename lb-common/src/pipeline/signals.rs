//! What packets say of a backend's health: SYNs, what answers them, and ICMP errors about it. `lbd` watches the counts: they make a backend
//! suspect, and a check of it decides.

use super::{
    Work, cookie,
    family::Family,
    latency::{self, Stage},
    parse::Headers,
};
use crate::{
    Tables,
    abi::{Flow, FlowFlags, FlowState, Signal},
    wire::{ACK, FIN, RST, SYN, TCP},
};

/// Counts a packet that was sent on by a flow that was not answered yet; the flow's state is the one that the packet met. A backend that is
/// alive answers each connection once, by a SYN-ACK or a RST, however often either end repeats itself.
#[inline(always)]
pub(super) fn count<A: Family, T: Tables>(tables: &T, work: &mut Work<A>) {
    let Work { headers, flow, twin_key, .. } = work;
    let reverse = flow.is_reverse();
    if headers.key.proto != TCP {
        return;
    }
    let stage = if flow.state == FlowState::SynSent as u8 {
        let Some(signal) = of_tcp(headers.flags, reverse) else { return };
        tables.count_signal(flow.backend, signal);
        match signal {
            Signal::Syn => Stage::Begun,
            Signal::SynAck => Stage::Answered,
            _ => Stage::Refused,
        }
    } else if flow.state == FlowState::SynReceived as u8 && !reverse && completes(headers.flags) {
        if flow.flags & FlowFlags::COOKIE == 0 {
            cookie::completed(tables, flow.service);
        }
        Stage::Complete
    } else {
        return;
    };
    if tables.times_handshakes() {
        if reverse {
            flow.write_twin_key(TCP, twin_key);
        } else {
            *twin_key = headers.key;
        }
        latency::note(tables, twin_key, flow.backend, stage as u32);
    }
}

/// Whether a client's packet ends the handshake.
#[inline(always)]
fn completes(flags: u8) -> bool {
    flags & (SYN | ACK | RST) == ACK
}

/// A RST that answers a SYN acknowledges it (RFC 9293 §3.10.7.1); those about connections that were forgotten do not.
#[inline(always)]
fn of_tcp(flags: u8, reverse: bool) -> Option<Signal> {
    match flags & (SYN | ACK | RST | FIN) {
        SYN if !reverse => Some(Signal::Syn),
        kind if kind == SYN | ACK && reverse => Some(Signal::SynAck),
        kind if kind == RST | ACK && reverse => Some(Signal::Reset),
        _ => None,
    }
}

/// Counts an ICMP error that was sent on to a client: what it quotes led to no backend.
#[inline(always)]
pub(super) fn count_error<A: Family, T: Tables>(
    tables: &T,
    headers: &Headers<A>,
    quote: &Headers<A>,
    flow: &Flow<A>,
    (kind, code): (u8, u8),
) {
    if flow.is_reverse() && A::is_unreachable(kind, code) {
        let own = headers.key.src == quote.key.dst;
        tables.count_signal(flow.backend, if own { Signal::Unreachable } else { Signal::RouterUnreachable });
    }
}
