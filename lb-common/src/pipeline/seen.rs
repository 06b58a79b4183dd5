//! What there is to know of a packet when its way has ended, for captures. Nothing here is on the way of a packet.

use super::{Work, Workspace, family::Family};
use crate::{Verdict, abi::Seen, verdict::Action};

/// What the flow table had to do with a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TableUse {
    /// If it has a flow, that is one of an entry which was there.
    #[default]
    Met,
    /// It began one.
    Begun,
    /// If it has a flow, no entry is of it.
    Unused,
}

impl Workspace {
    /// To be called before a packet's way, of which [`Self::seen`] is asked afterwards: nothing is left of the packet before.
    #[inline(always)]
    pub fn forget(&mut self) {
        forget(&mut self.v4);
        forget(&mut self.v6);
    }

    /// Fills in what is known of a packet that arrived at `ingress` and took the long way to this verdict.
    #[inline(always)]
    pub fn seen(&self, ingress: u32, verdict: Verdict, seen: &mut Seen) {
        let (action, mut told) = (verdict.action(), 0);
        seen.words[Seen::INGRESS] = ingress;
        seen.words[Seen::EGRESS] = match action {
            Action::Transmit => ingress,
            Action::Redirect => verdict.argument(),
            Action::Pass | Action::Drop => 0,
        };
        if is_read(&self.v4) {
            fill(&self.v4, action, seen);
            told = self.v4.told;
        } else if is_read(&self.v6) {
            fill(&self.v6, action, seen);
            told = self.v6.told;
        } else {
            seen.words[Seen::CLIENT] = 0;
            seen.words[Seen::CLIENT + 1] = 0;
            seen.words[Seen::CLIENT + 2] = 0;
            seen.words[Seen::CLIENT + 3] = 0;
            seen.words[Seen::VIP] = 0;
            seen.words[Seen::VIP + 1] = 0;
            seen.words[Seen::VIP + 2] = 0;
            seen.words[Seen::VIP + 3] = 0;
            seen.words[Seen::PORTS] = 0;
            seen.words[Seen::SERVICE] = 0;
            seen.words[Seen::BACKEND] = 0;
            seen.kinds = Seen::NO_DIRECTION | Seen::NO_FLOW;
        }
        seen.kinds |= Seen::verdict_bit(action as u32);
        seen.reason = if action == Action::Drop { verdict.argument() + 1 } else { told };
    }
}

#[inline(always)]
fn forget<A: Family>(work: &mut Work<A>) {
    work.headers.length = 0;
    work.flow.backend = 0;
    work.service.id = 0;
    work.selected.id = 0;
    work.table = TableUse::Met;
    work.told = 0;
}

/// Whether a network header was read.
#[inline(always)]
fn is_read<A>(work: &Work<A>) -> bool {
    work.headers.length != 0
}

#[inline(always)]
fn fill<A: Family>(work: &Work<A>, action: Action, seen: &mut Seen) {
    let Work { headers, flow, quote, service, selected, table, .. } = work;
    // A service is looked for where no live entry is there; what is handed to the host may have met a dead one.
    let begins = service.id != 0;
    let has_flow =
        flow.backend != 0 && action as u32 != Action::Pass as u32 && (!begins || flow.backend == selected.id);
    let key = if headers.key.proto == A::ICMP && has_flow { &quote.key.reversed() } else { &headers.key };
    let reverse = has_flow && flow.is_reverse();
    let (client, vip, ports) = if reverse {
        (flow.dst, flow.src, Seen::pair(flow.dport, flow.sport))
    } else {
        (key.src, key.dst, Seen::pair(key.sport, key.dport))
    };
    let [a, b, c, d] = client.words();
    seen.words[Seen::CLIENT] = a;
    seen.words[Seen::CLIENT + 1] = b;
    seen.words[Seen::CLIENT + 2] = c;
    seen.words[Seen::CLIENT + 3] = d;
    let [a, b, c, d] = vip.words();
    seen.words[Seen::VIP] = a;
    seen.words[Seen::VIP + 1] = b;
    seen.words[Seen::VIP + 2] = c;
    seen.words[Seen::VIP + 3] = d;
    seen.words[Seen::PORTS] = ports;
    let id = if has_flow { flow.service } else { service.id };
    seen.words[Seen::SERVICE] = Seen::service_word(id, headers.key.proto, if A::IS_V6 { 6 } else { 4 });
    seen.words[Seen::BACKEND] = if has_flow { flow.backend } else { selected.id };
    seen.kinds = match (reverse, has_flow || begins) {
        (true, _) => Seen::TO_CLIENT,
        (false, true) => Seen::TO_BACKEND,
        (false, false) => Seen::NO_DIRECTION,
    } | match table {
        TableUse::Begun => Seen::FLOW_BEGUN,
        TableUse::Met if has_flow && !begins => Seen::FLOW_HIT,
        TableUse::Met | TableUse::Unused => Seen::NO_FLOW,
    };
}
