//! Stage 4, admit, the part that the operator wants: lists of sources, and how many flows may begin in a second.

use super::{Verdict, Work, family::Family};
use crate::{
    Tables,
    abi::{AclData, AclKey, AdmissionFlags, DropReason, Refusal, SourceKey},
    bucket::Rate,
    tables::AddressTables,
    verdict::Step,
};

/// Nobody refuses it.
const ADMITTED: u32 = u32::MAX;
/// Rules that may be over and stand before one that counts.
const OVER: u32 = 4;

/// Refuses a packet that would begin a flow of the service, by its lists and its rates; `ABSENT`: it may.
#[inline(always)]
pub(super) fn check<A, T>(tables: &T, work: &Work<A>) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if !tables.has_admission() {
        return Ok(());
    }
    client(tables, work.headers.key.src, work.service.id)?;
    end(tables, work.service.id, limited(tables, work.headers.key.src, work.service.id))
}

/// Refuses a client of a service by its lists.
#[inline(always)]
pub(super) fn client<A, T>(tables: &T, client: A, service: u16) -> Result<(), Verdict>
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
pub(super) fn client_step<A, T>(tables: &T, of: A, service: u16) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    client(tables, of, service).into()
}

/// Refuses a source that is blocked for all services, and counts nothing.
#[inline(always)]
pub(super) fn is_blocked<A, T>(tables: &T, source: A) -> Result<(), Verdict>
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
    Err(Verdict::drop_for(refusal + DropReason::SourceBlocked as u32))
}

const _: () = {
    let mut index = 0;
    while index < Refusal::ALL.len() {
        let refusal = Refusal::ALL[index];
        assert!(refusal as u32 + DropReason::SourceBlocked as u32 == refusal.reason() as u32);
        index += 1;
    }
};

/// Number of the [`Refusal`] by the lists, or [`ADMITTED`].
#[inline(never)]
fn listed<A, T>(tables: &T, source: A, service: u16) -> u32
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
fn rule<A, T>(tables: &T, source: A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let admission = tables.admission(service).unwrap_or_default();
    if admission.list == 0 {
        return Found::LET_IN;
    }
    let mut key =
        AclKey { bits: AclData::<A>::ALL_BITS, data: AclData { list: admission.list, addr: source } };
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

/// Number of the [`Refusal`] by the rates, or [`ADMITTED`]. The buckets are read and written without a lock: what two CPUs let in at the same
/// instant may count as one.
#[inline(never)]
fn limited<A, T>(tables: &T, source: A, service: u16) -> u32
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let admission = tables.admission(service).unwrap_or_default();
    if admission.source_rate == 0 && admission.flow_rate == 0 {
        return ADMITTED;
    }
    let now = tables.nanos();
    if admission.source_rate != 0 {
        let rate = Rate::new(admission.source_rate, admission.source_burst);
        let key =
            SourceKey { addr: source.prefix(admission.source_prefix as u8).words(), service: service.into() };
        match rate.take(tables.source_bucket(&key).unwrap_or_default(), now) {
            Some(full_at) => tables.set_source_bucket(&key, full_at),
            None => return Refusal::SourceLimited as u32,
        }
    }
    if admission.flow_rate != 0 {
        let rate = Rate::new(admission.flow_rate, admission.flow_burst);
        match rate.take(tables.service_bucket(service).unwrap_or_default(), now) {
            Some(full_at) => tables.set_service_bucket(service, full_at),
            None => return Refusal::ServiceLimited as u32,
        }
    }
    ADMITTED
}
