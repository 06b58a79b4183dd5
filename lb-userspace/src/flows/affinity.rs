//! Affinities: those whose time is over are removed, the others are counted.

use std::{collections::BTreeMap, io, ops::ControlFlow};

use lb_common::abi::{Affinity, AffinityKey};

use super::{FlowMaps, tables::Surroundings};

/// Clients that one scan removes; more of them are left to the next one.
const MOST_REMOVED: usize = 1 << 18;

/// Removes the clients whose time is over, or whose service keeps none any more; how many are left, by service.
pub(super) fn settle(maps: &FlowMaps, around: &Surroundings, now: u32) -> io::Result<BTreeMap<u16, u64>> {
    let mut clients = BTreeMap::new();
    let is_over = |key: &AffinityKey, affinity: &Affinity| {
        let service = u16::try_from(key.service).ok().and_then(|id| around.services.get(&id));
        let timeout = service.map_or(0, |service| service.affinity_timeout);
        // One that came after the scan began counts as just now.
        timeout == 0 || now.saturating_sub(affinity.seen) > timeout
    };
    let mut over = Vec::new();
    maps.affinity.scan::<AffinityKey, Affinity>(|chunk| {
        for (key, affinity) in chunk.iter::<AffinityKey, Affinity>() {
            if is_over(&key, &affinity) {
                over.push(key);
            } else if let Ok(service) = u16::try_from(key.service) {
                *clients.entry(service).or_default() += 1;
            }
        }
        if over.len() < MOST_REMOVED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for key in over {
        // The client may have come back since.
        if maps.affinity.lookup(&key)?.is_none_or(|affinity| is_over(&key, &affinity)) {
            maps.affinity.delete(&key)?;
        }
    }
    Ok(clients)
}
