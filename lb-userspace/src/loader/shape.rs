//! Shapes of maps: what the object defines, what is pinned, and what follows when they differ.

use std::path::Path;

use lb_common::maps;

use super::{LoaderError, PinDirectory};
use crate::{
    model::{Limits, TableFull},
    plan::snat_size,
    sys::bpf::{Map, MapShape},
};

/// A shape as text for the operator.
pub(super) fn describe(shape: &MapShape) -> String {
    let MapShape { map_type, key_size, value_size, max_entries, flags } = shape;
    format!(
        "type {map_type}, {key_size}-byte keys, {value_size}-byte values, {max_entries} entries, flags {flags:#x}"
    )
}

/// The shape of the map that is pinned at `path`, if one is.
pub(super) fn pinned_shape(path: &Path) -> Result<Option<MapShape>, LoaderError> {
    if !path.exists() {
        return Ok(None);
    }
    let map = Map::open(path).map_err(LoaderError::path(path, "open this pinned map"))?;
    Ok(Some(map.info().shape))
}

/// What to do about a pinned map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It fits: use it.
    Reuse,
    /// Its contents can be made again: remove it, the loader makes a new one.
    Remake,
    /// Make a new one and move the contents there.
    Move,
    /// It belongs to another version.
    Refuse,
}

/// Maps whose contents must not be lost. The others only count, or are filled from the configuration and the system.
const KEPT: &[&str] = &[
    maps::FLOWS_V4,
    maps::FLOWS_V6,
    maps::EMBRYONIC_V4,
    maps::EMBRYONIC_V6,
    maps::SERVICES_V4,
    maps::SERVICES_V6,
    maps::BACKENDS,
    maps::SNAT_ADDRESSES,
    maps::PORTS,
    maps::SETTINGS,
    maps::BACKEND_PLACES,
    maps::SERVICE_PLACES,
    maps::AFFINITY,
    maps::COOKIES_V4,
    maps::COOKIES_V6,
    maps::SYN_COOKIES,
];

/// The types of `FLOWS`: one that refuses when it is full, and one that forgets.
const HASH: u32 = 1;
const LRU_HASH: u32 = 9;
const ESTABLISHED: [&str; 2] = [maps::FLOWS_V4, maps::FLOWS_V6];

/// The type of a map, those that `FLOWS` may have as one.
pub(super) fn kind(map_type: u32) -> u32 {
    if map_type == LRU_HASH { HASH } else { map_type }
}

/// Whether the map `name` is one of those that refuse established flows when they are full.
pub(super) fn keeps_established(name: &str, shape: &MapShape) -> bool {
    ESTABLISHED.contains(&name) && shape.map_type == HASH
}

/// What becomes of the map `name` that is pinned as `pinned` and defined as `defined`.
pub(super) fn fate(name: &str, pinned: MapShape, defined: MapShape) -> Fate {
    if pinned == defined {
        Fate::Reuse
    } else if !KEPT.contains(&name) {
        Fate::Remake
    } else if is_movable(name, pinned, defined) {
        Fate::Move
    } else {
        Fate::Refuse
    }
}

/// Whether the elements are the same.
fn is_movable(name: &str, pinned: MapShape, defined: MapShape) -> bool {
    let same_type = pinned.map_type == defined.map_type
        || ESTABLISHED.contains(&name) && kind(pinned.map_type) == kind(defined.map_type);
    same_type && (pinned.key_size, pinned.value_size) == (defined.key_size, defined.value_size)
}

/// Bytes of `FLOW_EVENTS`: half a second of 50 000 flows that begin and end in each.
const FLOW_EVENTS_BYTES: u32 = 1 << 22;
/// A next hop has 16 bits for the interface's index.
const MOST_INTERFACES: u32 = 1 << 16;

/// Numbers of entries of the maps whose size is configurable, and the types of those whose type is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    entries: Vec<(&'static str, u32)>,
    table_full: Option<TableFull>,
}

impl Sizes {
    /// The sizes for these limits, with room for interfaces up to `highest_ifindex`, and for what is told of flows and
    /// for the times of handshakes where that is wanted.
    #[must_use]
    pub fn new(limits: &Limits, highest_ifindex: u32, tells_flows: bool, times_handshakes: bool) -> Self {
        // Id 0 is never a service or a backend.
        let services = limits.services.saturating_add(1);
        let backends = limits.backends.saturating_add(1);
        // Each service may have a VIP of its own, which has an entry too, as have SNAT addresses.
        let service_keys = limits.services.saturating_mul(2).saturating_add(snat_size(limits));
        let interfaces = highest_ifindex.min(MOST_INTERFACES - 1) + 1;
        let interfaces = interfaces.next_power_of_two().max(maps::DEFAULT_INTERFACES);
        let entries = vec![
            (maps::FLOWS_V4, limits.connections_v4.saturating_mul(2)),
            (maps::FLOWS_V6, limits.connections_v6.saturating_mul(2)),
            (maps::EMBRYONIC_V4, limits.embryonic.saturating_mul(2)),
            (maps::EMBRYONIC_V6, limits.embryonic.saturating_mul(2)),
            (maps::SERVICES_V4, service_keys),
            (maps::SERVICES_V6, service_keys),
            (maps::ORIGINS_V4, backends),
            (maps::ORIGINS_V6, backends),
            (maps::ACL_V4, limits.prefixes.saturating_mul(2)),
            (maps::ACL_V6, limits.prefixes.saturating_mul(2)),
            (maps::ADMISSION, services),
            (maps::SERVICE_BUCKETS, services),
            (maps::SERVICE_REFUSALS, services),
            (maps::SOURCES, limits.sources),
            (maps::SLOTS, services),
            (maps::ROTATION, services),
            (maps::SERVICE_COUNTERS, services),
            (maps::SERVICE_PLACES, services),
            (maps::BACKENDS, backends),
            (maps::BACKEND_FLOWS, backends),
            (maps::BACKEND_LIMITS, backends),
            (maps::BACKEND_PLACES, backends),
            (maps::BACKEND_HOPS, backends),
            (maps::BACKEND_SIGNALS, backends),
            (maps::BACKEND_LATENCIES, if times_handshakes { backends } else { 1 }),
            (maps::HANDSHAKES, if times_handshakes { maps::TIMED_HANDSHAKES } else { 1 }),
            (maps::BACKEND_COUNTERS, backends),
            (maps::SNAT_ADDRESSES, snat_size(limits)),
            (maps::PORTS, limits.port_pools.saturating_mul(maps::PORT_WORDS)),
            (maps::AFFINITY, limits.affinity),
            (maps::COOKIES_V4, limits.connections_v4),
            (maps::COOKIES_V6, limits.connections_v6),
            (maps::SYN_COOKIES, services),
            (maps::INTERFACES, interfaces),
            (maps::VIRTUAL_MACS, interfaces),
            (maps::INTERFACE_COUNTERS, interfaces),
            (maps::CLIENT_HOPS, interfaces),
            (maps::FLOW_EVENTS, if tells_flows { FLOW_EVENTS_BYTES } else { maps::FLOW_EVENTS_BYTES }),
        ];
        Self { entries, table_full: limits.table_full }
    }

    /// Each map and its number of entries.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.entries.iter().copied()
    }

    /// The type of a map that the object defines as of this one.
    pub(super) fn map_type(&self, name: &str, defined: u32) -> u32 {
        let keeps = self.table_full != Some(TableFull::EvictIdle);
        if keeps && ESTABLISHED.contains(&name) { HASH } else { defined }
    }

    /// The maps as they are to be where some are pinned already: tables of established flows stay of their type unless one is
    /// configured, so that an upgrade shares them.
    pub(super) fn adopt(
        &self,
        directory: &PinDirectory,
        defined: &mut [(&'static str, MapShape)],
    ) -> Result<(), LoaderError> {
        if self.table_full.is_some() {
            return Ok(());
        }
        for (name, shape) in defined.iter_mut().filter(|(name, _)| ESTABLISHED.contains(name)) {
            if let Some(pinned) = pinned_shape(&directory.map(name))?
                && kind(pinned.map_type) == kind(shape.map_type)
            {
                shape.map_type = pinned.map_type;
            }
        }
        Ok(())
    }

    /// The number of entries of a map, if it is configurable.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<u32> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, entries)| entries)
    }
}
