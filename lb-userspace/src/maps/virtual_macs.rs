//! Virtual MAC addresses that the data path takes frames for.

use std::collections::BTreeMap;
use std::path::Path;

use lb_common::abi::VirtualMacs;
use lb_common::maps;

use super::error::access;
use super::{MapError, shapes};
use crate::sys::bpf::Map;

/// `VIRTUAL_MACS`, written by VRRP's thread alone.
#[derive(Debug)]
pub struct VirtualMacMap {
    map: Map,
    /// What is in it.
    known: BTreeMap<u32, VirtualMacs>,
}

impl VirtualMacMap {
    /// The map pinned in `directory`, with what an earlier run left in it.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`], [`MapError::Access`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        let map = shapes::open(directory, maps::VIRTUAL_MACS)?;
        let found: Vec<(u32, VirtualMacs)> = map.entries().map_err(access(maps::VIRTUAL_MACS, "read"))?;
        let known = found.into_iter().filter(|(_, macs)| *macs != VirtualMacs::default()).collect();
        Ok(Self { map, known })
    }

    /// Has it hold these addresses, by the index of their interfaces, and no others. What is in place already is not written.
    ///
    /// # Errors
    /// [`MapError::Access`]; to be called again then.
    pub fn hold(&mut self, wanted: &BTreeMap<u32, VirtualMacs>) -> Result<(), MapError> {
        let gone = self.known.keys().filter(|ifindex| !wanted.contains_key(ifindex));
        let gone: Vec<_> = gone.map(|ifindex| (*ifindex, VirtualMacs::default())).collect();
        let all = wanted.iter().map(|(ifindex, macs)| (*ifindex, *macs)).chain(gone);
        for (ifindex, macs) in all.collect::<Vec<_>>() {
            if self.known.get(&ifindex).copied().unwrap_or_default() == macs {
                continue;
            }
            self.map.update(&ifindex, &macs).map_err(access(maps::VIRTUAL_MACS, "write"))?;
            if macs == VirtualMacs::default() {
                self.known.remove(&ifindex);
            } else {
                self.known.insert(ifindex, macs);
            }
        }
        Ok(())
    }
}
