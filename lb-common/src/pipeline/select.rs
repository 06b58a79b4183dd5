//! Stage 5, select: hash, counter or chance -> slot -> backend. Which algorithm filled the slots is not known here.

use super::{Verdict, drop, family::Family};
use crate::{
    Tables,
    abi::{Backend, BackendState, DropReason, FlowKey, Selector, Service},
    hash,
    maps::slot_position,
};

/// Slots tried when the first one's backend takes no flows: between a failure and the next slot table.
const ATTEMPTS: u32 = 4;

/// A backend that takes flows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selected {
    /// Its id.
    pub(super) id: u32,
    /// Itself.
    pub(super) backend: Backend,
    /// Whether it is the one that the client had.
    pub(super) is_recalled: bool,
}

/// The backend of a new flow.
#[inline(always)]
pub(super) fn backend<A, T>(tables: &T, service: &Service, key: &FlowKey<A>) -> Result<Selected, Verdict>
where
    A: Family,
    T: Tables,
{
    let slots = match tables.slot_element(service.id, 0) {
        Some([slots, _]) if slots != 0 => slots,
        _ => return drop(DropReason::NoBackend),
    };
    let index = index(tables, service, key);
    for attempt in 0..ATTEMPTS {
        if let Some(selected) = slot(tables, service.id, index.wrapping_add(attempt), slots) {
            if service.selector == Selector::LeastFlows as u8 && attempt == 0 {
                return Ok(less_loaded(tables, selected, slot(tables, service.id, tables.random(), slots)));
            }
            return Ok(selected);
        }
    }
    drop(DropReason::NoBackend)
}

/// The number that picks the slot.
#[inline(always)]
fn index<A: Family, T: Tables>(tables: &T, service: &Service, key: &FlowKey<A>) -> u32 {
    if service.selector == Selector::FlowHash as u8 || service.selector == Selector::SourceHash as u8 {
        hashed(tables, service, key)
    } else if service.selector == Selector::Rotation as u8 {
        tables.rotate(service.id)
    } else {
        tables.random()
    }
}

/// The same number for all flows that are to go to one backend: those of a client where its affinity counts, else each for itself.
#[inline(always)]
pub(super) fn hashed<A: Family, T: Tables>(tables: &T, service: &Service, key: &FlowKey<A>) -> u32 {
    if service.selector == Selector::SourceHash as u8 || service.affinity_timeout != 0 {
        hash::source(tables.seed(), key.src, service.affinity_prefix)
    } else {
        hash::flow(tables.seed(), key)
    }
}

/// The backend of slot `index % slots`, if it takes flows.
#[inline(always)]
fn slot<T: Tables>(tables: &T, service: u16, index: u32, slots: u32) -> Option<Selected> {
    if slots == 0 {
        return None;
    }
    let id = slot_id(tables, service, index % slots);
    let backend = tables.backend(id)?;
    (id != 0 && backend.state == BackendState::Active as u8).then_some(Selected {
        id,
        backend,
        is_recalled: false,
    })
}

/// The id in a slot; 0: none.
#[inline(always)]
pub(super) fn slot_id<T: Tables>(tables: &T, service: u16, slot: u32) -> u32 {
    let (element, half) = slot_position(slot);
    match tables.slot_element(service, element) {
        Some([even, odd]) => {
            if half == 0 {
                even
            } else {
                odd
            }
        }
        None => 0,
    }
}

/// The one with fewer live flows for its weight: power of two choices (Mitzenmacher 2001).
#[inline(always)]
fn less_loaded<T: Tables>(tables: &T, first: Selected, second: Option<Selected>) -> Selected {
    let Some(second) = second else { return first };
    let load = |one: &Selected, other: &Selected| {
        (tables.backend_flows(one.id) + 1).wrapping_mul(u64::from(other.backend.weight))
    };
    if load(&second, &first) < load(&first, &second) { second } else { first }
}
