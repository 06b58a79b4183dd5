//! Stage 4, admit, the part that the operator wants: lists of sources, how many flows may begin in a second, and how many packets may come.

use super::{Verdict, Work, family::Family, share};
use crate::{
    Tables,
    abi::{AclData, AclKey, Admission, AdmissionFlags, DropReason, Refusal, SourceKey},
    bucket::Rate,
    tables::{AddressTables, Metered, SourceEntry as _},
    verdict::Step,
};

/// Nobody refuses it.
pub(super) const ADMITTED: u32 = u32::MAX;
/// Rules that may be over and stand before one that counts.
const OVER: u32 = 4;

/// Refuses a packet that would begin a flow of the service, by its lists, limits and rates; `ABSENT`: it may. A function of its own because of
/// the stack.
#[inline(never)]
pub(super) fn check<A, T>(tables: &T, work: &Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let (source, service) = (&work.headers.key.src, work.service.id);
    let check = || {
        client(tables, source, service)?;
        packet(tables, source, service)?;
        end(tables, service, limited(tables, source, service))
    };
    match check() {
        Ok(()) => Step::ABSENT,
        Err(verdict) => Step::end(verdict),
    }
}

/// Refuses a client of a service by its lists.
#[inline(always)]
pub(super) fn client<A, T>(tables: &T, client: &A, service: u16) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if !tables.has_admission() {
        return Ok(());
    }
    end(tables, service, listed(tables, client, service))
}

/// [`client`] as a step; `DONE`: it may.
#[inline(never)]
pub(super) fn client_step<A, T>(tables: &T, of: &A, service: u16) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    client(tables, of, service).into()
}

/// Refuses a client's packet of a service by the rates of packets.
#[inline(always)]
pub(super) fn packet<A, T>(tables: &T, client: &A, service: u16) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if !tables.has_packet_rates() {
        return Ok(());
    }
    end(tables, service, metered(tables, client, service))
}

/// Whether clients' packets of a service are counted: its flows are [`crate::abi::NextHop::METERED`].
#[inline(always)]
pub(super) fn is_metered<T: Tables>(tables: &T, service: u16) -> bool {
    tables.has_packet_rates() && tables.admission(service).is_some_and(|admission| admission.counts_packets())
}

/// Refuses a source that is blocked for all services, and counts nothing.
#[inline(always)]
pub(super) fn is_blocked<A, T>(tables: &T, source: &A) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if tables.has_admission() && rule(tables, source, 0) == Found::DENIED {
        return super::drop(DropReason::SourceBlocked);
    }
    Ok(())
}

/// Counts a refusal, by its number.
#[inline(always)]
fn end<T: Tables>(tables: &T, service: u16, refusal: u32) -> Result<(), Verdict> {
    if refusal == ADMITTED {
        return Ok(());
    }
    tables.count_refusal(service, refusal);
    Err(Verdict::drop_for(reason(refusal)))
}

/// Number of the drop reason of a refusal, by its number.
#[inline(always)]
pub(super) const fn reason(refusal: u32) -> u32 {
    const LATER: u32 = Refusal::SourceFull as u32;
    if refusal < LATER {
        refusal + DropReason::SourceBlocked as u32
    } else {
        refusal - LATER + DropReason::SourceFull as u32
    }
}

const _: () = {
    let mut index = 0;
    while index < Refusal::ALL.len() {
        let refusal = Refusal::ALL[index];
        assert!(reason(refusal as u32) == refusal.reason() as u32);
        index += 1;
    }
};

/// Number of the [`Refusal`] by the lists, or [`ADMITTED`].
#[inline(never)]
fn listed<A, T>(tables: &T, source: &A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if rule(tables, source, 0) == Found::DENIED {
        return Refusal::Blocked as u32;
    }
    match rule(tables, source, service) {
        Found::DENIED => Refusal::Denied as u32,
        _ => ADMITTED,
    }
}

/// What a list says of a source, as a number.
struct Found;

impl Found {
    const LET_IN: u32 = 0;
    const DENIED: u32 = 1;
}

/// What the list of a service (0: of all of them) says of a source.
#[inline(never)]
fn rule<A, T>(tables: &T, source: &A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some(admission) = tables.admission(service) else { return Found::LET_IN };
    if admission.list == 0 {
        return Found::LET_IN;
    }
    let mut key =
        AclKey { bits: AclData::<A>::ALL_BITS, data: AclData { list: admission.list, addr: *source } };
    for _ in 0..OVER {
        let Some(rule) = tables.acl(&key) else { break };
        if rule.counts(tables.now()) {
            return if rule.allow == 0 { Found::DENIED } else { Found::LET_IN };
        }
        // A shorter prefix counts in its place.
        let bits = u32::from(rule.bits);
        if bits == 0 {
            break;
        }
        key.bits = AclData::<A>::LIST_BITS + bits - 1;
    }
    if admission.flags & AdmissionFlags::LISTED_ONLY == 0 { Found::LET_IN } else { Found::DENIED }
}

/// What a client of a service is counted as.
#[inline(always)]
pub(super) fn source_key<A: Family>(admission: &Admission, client: &A, service: u16) -> SourceKey {
    SourceKey { addr: client.prefix(admission.source_prefix as u8).words(), service: service.into() }
}

/// Number of the [`Refusal`] by the limits and rates of flows, or [`ADMITTED`]. The buckets are read and written without a lock: what two CPUs
/// let in at the same instant may count as one.
#[inline(never)]
fn limited<A, T>(tables: &T, client: &A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some(admission) = tables.admission(service) else { return ADMITTED };
    // Each rate is read once: `lbd` may write 0.
    let per_second = admission.source_rate;
    if (per_second != 0 || admission.counts_flows())
        && let Some(source) = tables.source(&source_key(&admission, client, service), per_second != 0)
    {
        let refusal = share::refusal(&admission, &source.load());
        if refusal != ADMITTED {
            return refusal;
        }
        if per_second != 0 {
            let rate = Rate::new(per_second, admission.source_burst);
            let Some(full_at) = rate.take(source.load().flows_full_at, tables.nanos()) else {
                return Refusal::SourceLimited as u32;
            };
            source.set_full_at(Metered::Flows, full_at);
        }
    }
    let per_second = admission.flow_rate;
    if per_second != 0 {
        let rate = Rate::new(per_second, admission.flow_burst);
        let full_at = tables.service_buckets(service).map_or(0, |buckets| buckets.flows_full_at);
        let Some(full_at) = rate.take(full_at, tables.nanos()) else {
            return Refusal::ServiceLimited as u32;
        };
        tables.set_service_bucket(service, Metered::Flows, full_at);
    }
    ADMITTED
}

/// Number of the [`Refusal`] by the rates of packets, or [`ADMITTED`].
#[inline(never)]
fn metered<A, T>(tables: &T, client: &A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let Some(admission) = tables.admission(service) else { return ADMITTED };
    let per_second = admission.source_packet_rate;
    if per_second != 0
        && let Some(source) = tables.source(&source_key(&admission, client, service), true)
    {
        let rate = Rate::new(per_second, admission.source_packet_burst);
        let Some(full_at) = rate.take(source.load().packets_full_at, tables.nanos()) else {
            return Refusal::SourcePackets as u32;
        };
        source.set_full_at(Metered::Packets, full_at);
    }
    let per_second = admission.packet_rate;
    if per_second != 0 {
        let rate = Rate::new(per_second, admission.packet_burst);
        let full_at = tables.service_buckets(service).map_or(0, |buckets| buckets.packets_full_at);
        let Some(full_at) = rate.take(full_at, tables.nanos()) else {
            return Refusal::ServicePackets as u32;
        };
        tables.set_service_bucket(service, Metered::Packets, full_at);
    }
    ADMITTED
}
