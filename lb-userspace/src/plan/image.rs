//! What the maps hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::abi::{Admission, Backend, BackendLimits, Interface, Origin, Service, Settings};

use super::{AclRules, EntryKey};

/// The slots of a service: backend ids. Shared, because it is large.
pub type SlotTable = Arc<[u32]>;

/// Stands in a dump for a slot table whose content is not known; no table to be written is equal to it.
#[must_use]
pub fn unknown_slots() -> SlotTable {
    Arc::from([u32::MAX])
}

/// `pool_base` of a backend without port pools.
pub const NO_POOL: u32 = u32::MAX;

/// What the maps hold, or are to hold. Elements that are absent are unused (all 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapImage {
    /// `SERVICES_V4` and `SERVICES_V6`, entries that only say that an address is a VIP included.
    pub services: BTreeMap<EntryKey, Service>,
    /// `SLOTS` by service id. In a dump, [`unknown_slots`] stands for those whose content is not known.
    pub slots: BTreeMap<u16, SlotTable>,
    /// `BACKENDS` by id. A removed backend whose flows may not be gone yet is there with state `Unused`.
    pub backends: BTreeMap<u32, Backend>,
    /// `BACKEND_LIMITS` by id.
    pub limits: BTreeMap<u32, BackendLimits>,
    /// `ORIGINS_V4` and `ORIGINS_V6` by the address, port and protocol of backends; IPv4 VIPs in the first word.
    pub origins: BTreeMap<EntryKey, Origin<[u32; 4]>>,
    /// `ACL_V4` and `ACL_V6`, by the number of the list; none is empty.
    pub acls: BTreeMap<u32, AclRules>,
    /// `ADMISSION` by service id; 0: for all services.
    pub admissions: BTreeMap<u16, Admission>,
    /// `OWN_ADDRESSES`.
    pub own_addresses: BTreeMap<u32, u64>,
    /// `SNAT_ADDRESSES`, wire order.
    pub snat_addresses: BTreeMap<u32, [u32; 4]>,
    /// `INTERFACES` by ifindex.
    pub interfaces: BTreeMap<u32, Interface>,
    /// `SETTINGS`. Its `fib_generation` is not planned: 0 here, kept as it is in the map.
    pub settings: Settings,
}

impl MapImage {
    /// The seed in the settings; `None` if none was ever written.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        let [low, high] = self.settings.seed;
        let written = self.settings.timeouts.iter().any(|ticks| *ticks != 0);
        written.then(|| u64::from(low) | u64::from(high) << 32)
    }
}
