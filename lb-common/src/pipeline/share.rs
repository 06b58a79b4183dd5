//! Limits of one source: how many flows of a service it has at once, and how many of these that nobody answered yet.
//!
//! As with `limit`, only flows that begin, are answered or end come here, and of them only those of services with such a limit. What ends or
//! answers a flow clears [`FlowFlags::SOURCE_COUNTED`]; whoever did that gives the place back, in a function that is called from higher up, as
//! the stack is.

use super::{
    Work,
    admission::{self, ADMITTED},
    family::Family,
    flow::has_answer,
};
use crate::{
    Tables,
    abi::{Admission, Flow, FlowFlags, FlowKey, Refusal, Source},
    tables::{AddressTables, Gone, SourceEntry as _, Tier},
    verdict::{Step, Verdict},
};

/// Bit of what [`claim`] returns: there is no place.
pub(super) const REFUSED: u32 = 1 << 16;

/// Number of the [`Refusal`] of one more flow of a source that has these, or [`ADMITTED`].
#[inline(always)]
pub(super) fn refusal(admission: &Admission, source: &Source) -> u32 {
    if source.flows.is_full(admission.source_flows) {
        Refusal::SourceFull as u32
    } else if source.embryonic.is_full(admission.source_embryonic) {
        Refusal::SourceEmbryonic as u32
    } else {
        ADMITTED
    }
}

/// Takes a place for the flow that a packet begins, and notes that in its flags; `ABSENT`: it has what it needs.
#[inline(always)]
pub(super) fn take<A, T>(tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let taken = claim(tables, &work.headers.key.src, work.service.id);
    if taken & REFUSED != 0 {
        return Step::end(Verdict::drop_for(taken ^ REFUSED));
    }
    work.flow.flags = taken as u8;
    Step::ABSENT
}

/// Takes a place for a flow of a client: the [`FlowFlags`] bits that say so, 0 if it needs none, or [`REFUSED`] with the number of the
/// drop reason.
#[inline(always)]
pub(super) fn claim<A, T>(tables: &T, client: &A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if tables.has_admission() { claim_counted(tables, client, service) } else { 0 }
}

#[inline(never)]
fn claim_counted<A, T>(tables: &T, client: &A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some(admission) = tables.admission(service) else { return 0 };
    if !admission.counts_flows() {
        return 0;
    }
    let key = admission::source_key(&admission, client, service);
    let Some(source) = tables.source(&key, true) else { return 0 };
    let refusal = refusal(&admission, &source.take());
    if refusal == ADMITTED {
        return FlowFlags::SOURCE_COUNTED.into();
    }
    source.untake();
    tables.count_refusal(service, refusal);
    REFUSED | admission::reason(refusal)
}

/// Takes back that a place was taken for a flow, which did not begin.
#[inline(never)]
pub(super) fn untake<A, T>(tables: &T, client: &A, service: u16)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if let Some(admission) = tables.admission(service)
        && let Some(source) = tables.source(&admission::source_key(&admission, client, service), false)
    {
        source.untake();
    }
}

/// Gives the place of a flow of this tier back that ended, if `flags` say that it was given up.
#[inline(always)]
pub(super) fn ended<A, T>(tables: &T, key: &FlowKey<A>, flow: &Flow<A>, tier: Tier, flags: u32)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if flags & u32::from(FlowFlags::SOURCE_COUNTED) != 0 {
        let unanswered = tier == Tier::Embryonic && !has_answer(flow);
        let gone = if unanswered { Gone::Unanswered } else { Gone::Ended };
        give_back(tables, key, flow, gone);
    }
}

/// Gives places of a flow, by either of its entries, back.
#[inline(never)]
pub(super) fn give_back<A, T>(tables: &T, key: &FlowKey<A>, flow: &Flow<A>, gone: Gone)
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let client = if flow.is_reverse() { &flow.dst } else { &key.src };
    if let Some(admission) = tables.admission(flow.service)
        && let Some(source) = tables.source(&admission::source_key(&admission, client, flow.service), false)
    {
        source.give_back(gone);
    }
}
