//! Affinity with a timeout: a client that comes back gets the backend it had.

use super::{Work, family::Family, flow, select::Selected};
use crate::{
    Tables,
    abi::{Affinity, AffinityKey},
    verdict::Step,
};

/// Selects the backend that the client had, if it still takes packets; `ABSENT`: it had none.
#[inline(always)]
pub(super) fn recall<A: Family, T: Tables>(tables: &T, work: &mut Work<A>) -> Step {
    if work.service.affinity_timeout == 0 { Step::ABSENT } else { look_up(tables, work) }
}

#[inline(never)]
fn look_up<A: Family, T: Tables>(tables: &T, work: &mut Work<A>) -> Step {
    let key = key(work);
    let Some(known) = tables.affinity(&key) else { return Step::ABSENT };
    let Some(backend) = tables.backend(known.backend) else { return Step::ABSENT };
    // A tick that another CPU wrote a moment ago may lie ahead of ours.
    let expired = tables.now().saturating_sub(known.seen) > work.service.affinity_timeout;
    let same = backend.service == work.service.id && Affinity::place_of(&backend) == known.place;
    if expired || !same || !flow::takes_packets(&backend) {
        return Step::ABSENT;
    }
    tables.touch_affinity(&key, tables.now());
    work.selected = Selected { id: known.backend, backend, is_recalled: true };
    Step::DONE
}

/// Remembers the backend selected. One that has no place for the flow of a client that knows it stays the client's.
#[inline(always)]
pub(super) fn remember<A: Family, T: Tables>(tables: &T, work: &Work<A>) {
    if work.service.affinity_timeout != 0 && !work.selected.is_recalled {
        store(tables, work);
    }
}

#[inline(never)]
fn store<A: Family, T: Tables>(tables: &T, work: &Work<A>) {
    let Selected { id, backend, .. } = &work.selected;
    let place = Affinity::place_of(backend);
    tables.set_affinity(&key(work), &Affinity { backend: *id, place, seen: tables.now(), reserved: 0 });
}

#[inline(always)]
fn key<A: Family>(work: &Work<A>) -> AffinityKey {
    let client = work.headers.key.src.prefix(work.service.affinity_prefix).words();
    AffinityKey { client, service: work.service.id.into() }
}
