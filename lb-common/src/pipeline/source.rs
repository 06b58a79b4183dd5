//! Stage 4, admit, the part about addresses: sources that no client can have.

use super::{Verdict, drop, family::Family, parse::Headers, select::Selected, service};
use crate::{
    Tables,
    abi::{DropReason, Mode, Service},
    tables::AddressTables,
    verdict::Step,
};

/// Refuses a packet to a VIP whose source no client can have: an address that is never seen on a wire (RFC 1812 §5.3.7), a SNAT address, or a
/// VIP, which the destination of a LAND packet is one case of. A function of its own because of the stack.
#[inline(never)]
pub(super) fn check<A, T>(tables: &T, headers: &Headers<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    checked(tables, headers.key.src).into()
}

#[inline(always)]
fn checked<A, T>(tables: &T, source: A) -> Result<(), Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    if source.is_martian() {
        return drop(DropReason::MartianSource);
    }
    if tables.may_be_own(source.words()) && service::is_own(tables, source) {
        return drop(DropReason::OwnSource);
    }
    Ok(())
}

/// Refuses a client whose packet its backend would get from its own address.
#[inline(always)]
pub(super) fn is_not_backend<A: Family>(
    service: &Service,
    selected: &Selected,
    source: A,
) -> Result<(), Verdict> {
    if service.mode == Mode::Nat as u8 && source == A::from_words(selected.backend.addr) {
        return drop(DropReason::Hairpin);
    }
    Ok(())
}
