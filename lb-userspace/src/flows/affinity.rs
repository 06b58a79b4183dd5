//! Affinities: those whose time is over are removed, the others are counted.

use std::{collections::BTreeMap, io};

use lb_common::abi::{Affinity, AffinityKey};

use super::{FlowMaps, tables::Surroundings};

/// Removes the clients whose time is over, or whose service keeps none any more; how many are left, by service.
pub(super) fn settle(maps: &FlowMaps, around: &Surroundings, now: u32) -> io::Result<BTreeMap<u16, u64>> {
    let mut clients = BTreeMap::new();
    let is_over = |key: &AffinityKey, affinity: &Affinity| {
        let service = u16::try_from(key.service).ok().and_then(|id| around.services.get(&id));
        let timeout = service.map_or(0, |service| service.affinity_timeout);
        // One that came after the scan began counts as just now.
        timeout == 0 || now.saturating_sub(affinity.seen) > timeout
    };
    let found = maps.affinity.entries::<AffinityKey, Affinity>()?;
    for (key, affinity) in found {
        // The client may have come back since.
        let over = is_over(&key, &affinity)
            && maps.affinity.lookup(&key)?.is_none_or(|affinity| is_over(&key, &affinity));
        if over {
            maps.affinity.delete(&key)?;
        } else if let Ok(service) = u16::try_from(key.service) {
            *clients.entry(service).or_default() += 1;
        }
    }
    Ok(clients)
}
