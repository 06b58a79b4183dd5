//! Addresses that VRRP moved here a moment ago: which other machine knows the flows that it began.

use std::net::IpAddr;
use std::path::Path;

use lb_common::abi::{Relay, Service, ServiceKey};
use lb_common::maps;
use lb_common::wire::{ICMP, ICMPV6};

use super::error::access;
use super::{MapError, floating_key, shapes};
use crate::sys::bpf::Map;

/// `RELAYS`, written by VRRP's thread alone, and whether an address is a VIP of a service.
#[derive(Debug)]
pub struct RelayMap {
    relays: Map,
    services_v4: Map,
    services_v6: Map,
}

impl RelayMap {
    /// The maps pinned in `directory`. What an earlier run left is forgotten.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`], [`MapError::Access`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        let open = |name| shapes::open(directory, name);
        let map = Self {
            relays: open(maps::RELAYS)?,
            services_v4: open(maps::SERVICES_V4)?,
            services_v6: open(maps::SERVICES_V6)?,
        };
        let left: Vec<([u32; 4], Relay)> = map.relays.entries().map_err(access(maps::RELAYS, "read"))?;
        for (key, _) in left {
            map.relays.delete(&key).map_err(access(maps::RELAYS, "write"))?;
        }
        Ok(map)
    }

    /// Has packets for an address passed on.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn set(&self, address: IpAddr, relay: &Relay) -> Result<(), MapError> {
        self.relays.update(&floating_key(address), relay).map_err(access(maps::RELAYS, "write"))
    }

    /// Ends that.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn forget(&self, address: IpAddr) -> Result<(), MapError> {
        self.relays.delete(&floating_key(address)).map(drop).map_err(access(maps::RELAYS, "write"))
    }

    /// Whether clients connect to an address.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn is_vip(&self, address: IpAddr) -> Result<bool, MapError> {
        let words = floating_key(address);
        let (service, name): (std::io::Result<Option<Service>>, _) = match address {
            IpAddr::V4(_) => {
                let key = ServiceKey { addr: words[0], port: 0, proto: ICMP, pad: 0 };
                (self.services_v4.lookup(&key), maps::SERVICES_V4)
            }
            IpAddr::V6(_) => {
                let key = ServiceKey { addr: words, port: 0, proto: ICMPV6, pad: 0 };
                (self.services_v6.lookup(&key), maps::SERVICES_V6)
            }
        };
        service.map(|service| service.is_some()).map_err(access(name, "read"))
    }
}
