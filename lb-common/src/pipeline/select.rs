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
    if service.selector == Selector::FlowHash as u8 {
        hash::flow(tables.seed(), key)
    } else if service.selector == Selector::SourceHash as u8 {
        hash::source(tables.seed(), key.src, service.affinity_prefix)
    } else if service.selector == Selector::Rotation as u8 {
        tables.rotate(service.id)
    } else {
        tables.random()
    }
}

/// The backend of slot `index % slots`, if it takes flows.
#[inline(always)]
fn slot<T: Tables>(tables: &T, service: u16, index: u32, slots: u32) -> Option<Selected> {
    if slots == 0 {
        return None;
    }
    let (element, half) = slot_position(index % slots);
    let [even, odd] = tables.slot_element(service, element)?;
    let id = if half == 0 { even } else { odd };
    let backend = tables.backend(id)?;
    (id != 0 && backend.state == BackendState::Active as u8).then_some(Selected { id, backend })
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
