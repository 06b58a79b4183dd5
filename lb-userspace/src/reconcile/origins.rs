//! What is to be done about origins, and about the addresses that are ours.
//!
//! A backend that is `EXCLUSIVE` relies on its origin: what it sends to clients has no flow to go by. So the origin is written before
//! the backend says so, and stays until the backend says so no more.

use std::collections::BTreeMap;

use lb_common::abi::{Backend, BackendFlags, BackendState, Origin};

use super::changes::{Change, changes};
use crate::maps::Operation;
use crate::plan::MapImage;

/// Sets the bits of addresses that are ours now, too.
pub(super) fn add_addresses(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (word, bits) in &wanted.own_addresses {
        let before = found.own_addresses.get(word).copied().unwrap_or_default();
        if bits & !before != 0 {
            operations.push(Operation::OwnAddresses { word: *word, bits: bits | before });
        }
    }
}

/// Clears the bits of addresses that are ours no more.
pub(super) fn remove_addresses(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for (word, before) in &found.own_addresses {
        let bits = wanted.own_addresses.get(word).copied().unwrap_or_default();
        if before & !bits != 0 {
            operations.push(Operation::RemoveOwnAddresses { word: *word, bits });
        }
    }
}

/// What differs about origins, in three parts.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Backends that may not rely on their origin any more, as they are without `EXCLUSIVE`.
    pub(super) withdrawn: BTreeMap<u32, Backend>,
    /// Then this is to be done.
    pub(super) early: Vec<Operation>,
    /// And this when the backends are gone.
    pub(super) late: Vec<Operation>,
}

impl Origins {
    /// `backends` are the differences between those.
    pub(super) fn new(wanted: &MapImage, found: &MapImage, backends: &[Change<'_, u32, Backend>]) -> Self {
        let mut origins = Self::default();
        let losing = backends
            .iter()
            .filter(|backend| backend.wanted.is_some_and(|after| is_used(after) && !is_exclusive(after)));
        origins
            .withdrawn
            .extend(losing.filter_map(|backend| Some((*backend.key, withdraw(backend.found?)?))));
        let mut writes = Vec::new();
        for Change { key, wanted: after, found: before } in changes(&wanted.origins, &found.origins) {
            if let Some(origin) = after {
                writes.push(Operation::Origin { key: *key, origin: *origin });
            }
            let Some(before) = before else { continue };
            if after.is_none() && !is_left_over(before, wanted, found) {
                origins.late.push(Operation::RemoveOrigin(*key));
                continue;
            }
            if after.is_none() {
                origins.early.push(Operation::RemoveOrigin(*key));
            }
            // One that stays as it is relies on another origin, or on this one as it is to be.
            let id = &before.backend;
            let relying = found.backends.get(id).filter(|backend| wanted.backends.get(id) != Some(backend));
            origins.withdrawn.extend(relying.and_then(withdraw).map(|backend| (*id, backend)));
        }
        origins.early.append(&mut writes);
        origins
    }
}

/// Whether nobody relies on an origin that is not wanted any more, as its backend is gone already or its id another's. Such ones have
/// to make room: there are no more origins than backends.
fn is_left_over(origin: &Origin<[u32; 4]>, wanted: &MapImage, found: &MapImage) -> bool {
    let before = found.backends.get(&origin.backend).filter(|backend| is_used(backend));
    let Some(before) = before else { return true };
    wanted.backends.get(&origin.backend).is_some_and(|after| !super::diff::same(before, after))
}

fn is_used(backend: &Backend) -> bool {
    backend.state != BackendState::Unused as u8
}

fn is_exclusive(backend: &Backend) -> bool {
    backend.flags & BackendFlags::EXCLUSIVE != 0
}

/// The element without `EXCLUSIVE`; `None` if it has not got it.
fn withdraw(backend: &Backend) -> Option<Backend> {
    is_exclusive(backend).then_some(Backend { flags: backend.flags & !BackendFlags::EXCLUSIVE, ..*backend })
}
