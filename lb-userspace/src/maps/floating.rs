//! VIPs that are held by VRRP: what the data path has to know of them while `lbd` lives, and after.

use std::net::IpAddr;
use std::path::Path;

use lb_common::abi::{Address, Floating, Mac};
use lb_common::maps;

use super::error::access;
use super::{MapError, shapes};
use crate::sys::bpf::Map;

/// `FLOATING`, written by VRRP's thread alone.
#[derive(Debug)]
pub struct FloatingMap(Map);

impl FloatingMap {
    /// The map pinned in `directory`.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        shapes::open(directory, maps::FLOATING).map(Self)
    }

    /// What there is.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn entries(&self) -> Result<Vec<([u32; 4], Floating)>, MapError> {
        self.0.entries().map_err(access(maps::FLOATING, "read"))
    }

    /// Vouches for a VIP until a time (`CLOCK_MONOTONIC`, nanoseconds), which ends a fence; returns how many claims of other machines
    /// were seen so far. `mac` is where the VIP is, if it is not at the interface's own address.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn vouch(&self, key: [u32; 4], alive_until: u64, mac: Option<Mac>) -> Result<u32, MapError> {
        let present: Option<Floating> = self.0.lookup(&key).map_err(access(maps::FLOATING, "read"))?;
        let claims = present.unwrap_or_default().claims;
        let floating = Floating { alive_until, fenced_at: 0, claims, mac: mac.unwrap_or_default() };
        self.0.update(&key, &floating).map_err(access(maps::FLOATING, "write"))?;
        Ok(claims)
    }

    /// Forgets a VIP that is not this machine's any more.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn forget(&self, key: [u32; 4]) -> Result<(), MapError> {
        self.0.delete(&key).map(drop).map_err(access(maps::FLOATING, "write"))
    }
}

/// The key of an address.
#[must_use]
pub fn floating_key(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => u32::from_ne_bytes(v4.octets()).words(),
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            std::array::from_fn(|word| {
                u32::from_ne_bytes(std::array::from_fn(|byte| octets[4 * word + byte]))
            })
        }
    }
}
