//! Stage 3, service: what the client wants to reach.

use super::{Verdict, drop, family::Family, parse::Headers, pass};
use crate::{
    Tables,
    abi::{DropReason, Service, ServiceKey},
    tables::AddressTables,
};

/// The service a packet is for: the one of its port, else that of every port. A packet for no service is not for us.
#[inline(always)]
pub(super) fn find<A, T>(tables: &T, headers: &Headers<A>) -> Result<Service, Verdict>
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let key = &headers.key;
    let mut wanted = ServiceKey { addr: key.dst, port: key.dport, proto: key.proto, pad: 0 };
    if let Some(service) = tables.service(&wanted) {
        return known(service, headers);
    }
    wanted.port = 0;
    match tables.service(&wanted) {
        Some(service) => known(service, headers),
        None => pass(),
    }
}

/// A later fragment of a flow that was forgotten can't begin it anew.
#[inline(always)]
fn known<A>(service: Service, headers: &Headers<A>) -> Result<Service, Verdict> {
    if headers.has_transport { Ok(service) } else { drop(DropReason::FragmentWithoutFirst) }
}

/// Whether an address is the VIP of any service, or a SNAT address.
#[inline(always)]
pub(super) fn is_own<A, T>(tables: &T, addr: A) -> bool
where
    A: Family,
    T: AddressTables<A>,
{
    let mut key = ServiceKey { addr, port: 0, proto: A::ICMP, pad: 0 };
    if tables.service(&key).is_some() {
        return true;
    }
    key.proto = ServiceKey::<A>::SNAT;
    tables.service(&key).is_some()
}

/// Whether an address is the VIP of any service.
#[inline(always)]
pub(super) fn is_vip<A, T>(tables: &T, addr: A) -> bool
where
    A: Family,
    T: AddressTables<A>,
{
    tables.service(&ServiceKey { addr, port: 0, proto: A::ICMP, pad: 0 }).is_some()
}
