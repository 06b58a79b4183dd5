//! What each pinned map must be, so that bytes are what they seem. aya does not look.

use std::path::Path;

use lb_common::abi::{
    Abi, AclKey, AclRule, Admission, Affinity, AffinityKey, Backend, BackendLimits, BackendSignals, Buckets,
    Cookie, Floating, FlowKey, Interface, InterfaceCounters, Latencies, Origin, Places, Refusals, Relay,
    Service, ServiceKey, Settings, Source, SourceKey, Stamp, SynCookies, TrafficCounters, VirtualMacs,
};
use lb_common::maps;

use super::MapError;
use crate::sys::bpf::{Map, MapShape};

/// Slot tables that are written in one operation, which holds a file descriptor for each until it is done. Each operation waits
/// for the kernel once, some 10 ms.
pub const MAX_SLOT_TABLES_AT_ONCE: usize = 512;
/// Slots of these tables: 64 MiB, held twice until it is done.
pub const MAX_SLOTS_AT_ONCE: usize = 1 << 24;

/// `BPF_F_MMAPABLE`: an array may have it; its elements are the same.
const MMAPABLE: u32 = 0x400;
const HASH: u32 = 1;
pub(super) const ARRAY: u32 = 2;
const PER_CPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const LPM_TRIE: u32 = 11;
/// `BPF_F_NO_PREALLOC`, which all tries have, and what grows with attacks.
const NO_PREALLOC: u32 = 1;
const ARRAY_OF_MAPS: u32 = 12;

/// The shape of a map that this module uses; sizes are configurable, so `max_entries` is 0. `None` for the others.
pub(super) fn expected(name: &str) -> Option<MapShape> {
    Some(match name {
        maps::SERVICES_V4 => shape::<ServiceKey<u32>, Service>(HASH),
        maps::SERVICES_V6 => shape::<ServiceKey<[u32; 4]>, Service>(HASH),
        maps::ORIGINS_V4 => shape::<ServiceKey<u32>, Origin<u32>>(HASH),
        maps::ORIGINS_V6 => shape::<ServiceKey<[u32; 4]>, Origin<[u32; 4]>>(HASH),
        maps::ACL_V4 => MapShape { flags: NO_PREALLOC, ..shape::<AclKey<u32>, AclRule>(LPM_TRIE) },
        maps::ACL_V6 => MapShape { flags: NO_PREALLOC, ..shape::<AclKey<[u32; 4]>, AclRule>(LPM_TRIE) },
        maps::ADMISSION => shape::<u32, Admission>(ARRAY),
        maps::SOURCES => shape::<SourceKey, Source>(LRU_HASH),
        maps::SERVICE_REFUSALS => shape::<u32, Refusals>(PER_CPU_ARRAY),
        maps::OWN_ADDRESSES => shape::<u32, u64>(ARRAY),
        maps::SERVICE_BUCKETS => shape::<u32, Buckets>(ARRAY),
        maps::SLOTS => shape::<u32, u32>(ARRAY_OF_MAPS),
        maps::BACKENDS => shape::<u32, Backend>(ARRAY),
        maps::BACKEND_FLOWS | maps::ROTATION => shape::<u32, u64>(ARRAY),
        maps::PORTS => MapShape { flags: maps::MMAPABLE_FLAG, ..shape::<u32, u64>(ARRAY) },
        maps::BACKEND_SIGNALS => {
            MapShape { flags: maps::MMAPABLE_FLAG, ..shape::<u32, BackendSignals>(ARRAY) }
        }
        maps::BACKEND_LATENCIES => MapShape { flags: maps::MMAPABLE_FLAG, ..shape::<u32, Latencies>(ARRAY) },
        maps::FULL_AT => shape::<u32, u32>(ARRAY),
        maps::HANDSHAKES => shape::<u32, Stamp>(ARRAY),
        maps::BACKEND_LIMITS => shape::<u32, BackendLimits>(ARRAY),
        maps::BACKEND_PLACES | maps::SERVICE_PLACES => {
            MapShape { flags: maps::MMAPABLE_FLAG, ..shape::<u32, Places>(ARRAY) }
        }
        maps::AFFINITY => shape::<AffinityKey, Affinity>(LRU_HASH),
        maps::COOKIES_V4 => MapShape { flags: NO_PREALLOC, ..shape::<FlowKey<u32>, Cookie>(HASH) },
        maps::COOKIES_V6 => MapShape { flags: NO_PREALLOC, ..shape::<FlowKey<[u32; 4]>, Cookie>(HASH) },
        maps::SYN_COOKIES => shape::<u32, SynCookies>(ARRAY),
        maps::SNAT_ADDRESSES => shape::<u32, [u32; 4]>(ARRAY),
        maps::INTERFACES => shape::<u32, Interface>(ARRAY),
        maps::VIRTUAL_MACS => shape::<u32, VirtualMacs>(ARRAY),
        maps::FLOATING => shape::<[u32; 4], Floating>(HASH),
        maps::RELAYS => shape::<[u32; 4], Relay>(HASH),
        maps::SETTINGS => shape::<u32, Settings>(ARRAY),
        maps::SERVICE_COUNTERS | maps::BACKEND_COUNTERS => shape::<u32, TrafficCounters>(PER_CPU_ARRAY),
        maps::INTERFACE_COUNTERS => shape::<u32, InterfaceCounters>(PER_CPU_ARRAY),
        maps::DROPS | maps::ANSWERS => shape::<u32, u64>(PER_CPU_ARRAY),
        _ => return None,
    })
}

fn shape<K: Abi, V: Abi>(map_type: u32) -> MapShape {
    let (key_size, value_size) = (size_of::<K>() as u32, size_of::<V>() as u32);
    MapShape { map_type, key_size, value_size, max_entries: 0, flags: 0 }
}

/// Whether a map that is pinned as `path` under its own name is what the data path of this version uses.
///
/// # Errors
/// [`MapError::Shape`] names the differences.
pub fn check_shape(name: &str, path: &Path, found: MapShape) -> Result<(), MapError> {
    let Some(expected) = expected(name) else { return Ok(()) };
    let flags = if expected.map_type == ARRAY { found.flags & MMAPABLE } else { expected.flags };
    let expected = MapShape { max_entries: found.max_entries, flags, ..expected };
    if found == expected {
        return Ok(());
    }
    Err(MapError::Shape { path: path.to_owned(), found, expected })
}

/// Opens a pinned map and checks it.
pub(super) fn open(directory: &Path, name: &str) -> Result<Map, MapError> {
    let path = directory.join(name);
    let map = Map::open(&path).map_err(|source| MapError::Open { path: path.clone(), source })?;
    check_shape(name, &path, map.info().shape)?;
    Ok(map)
}
