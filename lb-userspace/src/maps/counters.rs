//! Reads the counters, summed over the CPUs.

use std::ops::{AddAssign, ControlFlow};
use std::path::Path;

use lb_common::abi::{Abi, DropReason, InterfaceCounters, Refusals, TrafficCounters};
use lb_common::maps;

use super::error::access;
use super::{MapError, shapes};
use crate::sys::bpf::Map;

/// The counter maps.
#[derive(Debug)]
pub struct Counters {
    services: Map,
    backends: Map,
    backend_flows: Map,
    interfaces: Map,
    drops: Map,
    refusals: Map,
}

/// All counters at about one moment. Elements that were never counted are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By service id.
    pub services: Vec<TrafficCounters>,
    /// By backend id.
    pub backends: Vec<TrafficCounters>,
    /// Live flows by backend id.
    pub backend_flows: Vec<u64>,
    /// By ifindex.
    pub interfaces: Vec<InterfaceCounters>,
    /// By [`DropReason`].
    pub drops: Vec<u64>,
    /// By service id.
    pub refusals: Vec<Refusals>,
}

impl Totals {
    /// A service's traffic.
    #[must_use]
    pub fn service(&self, id: u16) -> TrafficCounters {
        self.services.get(usize::from(id)).copied().unwrap_or_default()
    }

    /// A backend's traffic.
    #[must_use]
    pub fn backend(&self, id: u32) -> TrafficCounters {
        self.backends.get(id as usize).copied().unwrap_or_default()
    }

    /// A backend's live flows.
    #[must_use]
    pub fn flows(&self, backend: u32) -> u64 {
        self.backend_flows.get(backend as usize).copied().unwrap_or_default()
    }

    /// An interface's traffic.
    #[must_use]
    pub fn interface(&self, ifindex: u32) -> InterfaceCounters {
        self.interfaces.get(ifindex as usize).copied().unwrap_or_default()
    }

    /// Packets that a service refused.
    #[must_use]
    pub fn refusals(&self, service: u16) -> Refusals {
        self.refusals.get(usize::from(service)).copied().unwrap_or_default()
    }

    /// Packets dropped for a reason.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or_default()
    }
}

impl Counters {
    /// Opens the counter maps pinned in `directory`.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        Self::with(|name| shapes::open(directory, name))
    }

    /// The maps that `open` gives by name.
    pub(super) fn with(open: impl Fn(&'static str) -> Result<Map, MapError>) -> Result<Self, MapError> {
        Ok(Self {
            services: open(maps::SERVICE_COUNTERS)?,
            backends: open(maps::BACKEND_COUNTERS)?,
            backend_flows: open(maps::BACKEND_FLOWS)?,
            interfaces: open(maps::INTERFACE_COUNTERS)?,
            drops: open(maps::DROPS)?,
            refusals: open(maps::SERVICE_REFUSALS)?,
        })
    }

    /// Reads those of services and drops; the others are left out, and 0.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn read_services(&self) -> Result<Totals, MapError> {
        Ok(Totals {
            services: sums(&self.services, maps::SERVICE_COUNTERS, TrafficCounters::add_assign)?,
            drops: sums(&self.drops, maps::DROPS, u64::add_assign)?,
            ..Totals::default()
        })
    }

    /// Reads all of them, in batches.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn read(&self) -> Result<Totals, MapError> {
        Ok(Totals {
            services: sums(&self.services, maps::SERVICE_COUNTERS, TrafficCounters::add_assign)?,
            backends: sums(&self.backends, maps::BACKEND_COUNTERS, TrafficCounters::add_assign)?,
            backend_flows: sums(&self.backend_flows, maps::BACKEND_FLOWS, u64::add_assign)?,
            interfaces: sums(&self.interfaces, maps::INTERFACE_COUNTERS, add_interface)?,
            drops: sums(&self.drops, maps::DROPS, u64::add_assign)?,
            refusals: self.read_refusals()?,
        })
    }

    /// Reads the packets that services refused, by the id of the service.
    ///
    /// # Errors
    /// [`MapError::Access`].
    pub fn read_refusals(&self) -> Result<Vec<Refusals>, MapError> {
        sums(&self.refusals, maps::SERVICE_REFUSALS, Refusals::add_assign)
    }
}

fn sums<V: Abi + Default>(
    map: &Map,
    name: &'static str,
    add: impl Fn(&mut V, V),
) -> Result<Vec<V>, MapError> {
    let mut sums = vec![V::default(); map.info().shape.max_entries as usize];
    map.scan::<u32, V>(|chunk| {
        chunk.each_value::<u32, V>(|index, value| {
            if let Some(sum) = sums.get_mut(index as usize) {
                add(sum, value);
            }
        });
        ControlFlow::Continue(())
    })
    .map_err(access(name, "read it"))?;
    Ok(sums)
}

fn add_interface(sum: &mut InterfaceCounters, more: InterfaceCounters) {
    sum.rx_packets += more.rx_packets;
    sum.rx_bytes += more.rx_bytes;
    sum.tx_packets += more.tx_packets;
    sum.tx_bytes += more.tx_bytes;
    sum.passed += more.passed;
    sum.dropped += more.dropped;
}
