//! The maps that are pinned.

use std::collections::BTreeMap;
use std::path::Path;

use lb_common::abi::{
    Abi, Admission, Backend, BackendLimits, BackendSignals, Buckets, Interface, Latencies, Origin, Places,
    Refusals, Service, ServiceKey, Settings, TrafficCounters,
};
use lb_common::maps;

use super::acl::AclMaps;
use super::error::access;
use super::slots::{Slots, WrittenSlots};
use super::{LbMaps, MapError, Operation, Part, shapes};
use crate::plan::{EntryKey, MapImage, PortRange};
use crate::sys::bpf::Map;

/// The maps that are pinned in a directory.
#[derive(Debug)]
pub struct PinnedMaps {
    services_v4: Map,
    services_v6: Map,
    origins_v4: Map,
    origins_v6: Map,
    acl: AclMaps,
    admissions: Map,
    service_buckets: Map,
    service_refusals: Map,
    own_addresses: Map,
    slots: Slots,
    backends: Map,
    backend_flows: Map,
    backend_limits: Map,
    backend_places: Map,
    service_places: Map,
    backend_signals: Map,
    backend_latencies: Map,
    snat_addresses: Map,
    ports: Map,
    interfaces: Map,
    settings: Map,
    service_counters: Map,
    backend_counters: Map,
}

impl PinnedMaps {
    /// Opens the maps pinned in `directory` (the one with the ABI version in its name) and checks that they are what this
    /// version needs.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        Self::with(|name| shapes::open(directory, name))
    }

    /// The maps that `open` gives by name.
    pub(super) fn with(open: impl Fn(&'static str) -> Result<Map, MapError>) -> Result<Self, MapError> {
        Ok(Self {
            services_v4: open(maps::SERVICES_V4)?,
            services_v6: open(maps::SERVICES_V6)?,
            origins_v4: open(maps::ORIGINS_V4)?,
            origins_v6: open(maps::ORIGINS_V6)?,
            acl: AclMaps { v4: open(maps::ACL_V4)?, v6: open(maps::ACL_V6)? },
            admissions: open(maps::ADMISSION)?,
            service_buckets: open(maps::SERVICE_BUCKETS)?,
            service_refusals: open(maps::SERVICE_REFUSALS)?,
            own_addresses: open(maps::OWN_ADDRESSES)?,
            slots: Slots::new(open(maps::SLOTS)?),
            backends: open(maps::BACKENDS)?,
            backend_flows: open(maps::BACKEND_FLOWS)?,
            backend_limits: open(maps::BACKEND_LIMITS)?,
            backend_places: open(maps::BACKEND_PLACES)?,
            service_places: open(maps::SERVICE_PLACES)?,
            backend_signals: open(maps::BACKEND_SIGNALS)?,
            backend_latencies: open(maps::BACKEND_LATENCIES)?,
            snat_addresses: open(maps::SNAT_ADDRESSES)?,
            ports: open(maps::PORTS)?,
            interfaces: open(maps::INTERFACES)?,
            settings: open(maps::SETTINGS)?,
            service_counters: open(maps::SERVICE_COUNTERS)?,
            backend_counters: open(maps::BACKEND_COUNTERS)?,
        })
    }

    /// The slot tables that are written through this object.
    #[must_use]
    pub fn slot_tables(&self) -> WrittenSlots {
        self.slots.written().clone()
    }

    fn settings(&self) -> Result<Settings, MapError> {
        let found = self.settings.lookup(&0_u32).map_err(access(maps::SETTINGS, "read the settings"))?;
        Ok(found.unwrap_or_default())
    }

    fn write_settings(&self, settings: &Settings) -> Result<(), MapError> {
        self.settings.update(&0_u32, settings).map_err(access(maps::SETTINGS, "write the settings"))
    }

    fn write_service(&self, key: EntryKey, service: &Service) -> Result<(), MapError> {
        let v4 = key.v4().map(|key| self.services_v4.update(&key, service));
        let v6 = key.v6().map(|key| self.services_v6.update(&key, service));
        v4.or(v6).unwrap_or(Ok(())).map_err(access(services(key), format!("write {key}")))
    }

    fn remove_service(&self, key: EntryKey) -> Result<(), MapError> {
        let v4 = key.v4().map(|key| self.services_v4.delete(&key));
        let v6 = key.v6().map(|key| self.services_v6.delete(&key));
        v4.or(v6).unwrap_or(Ok(false)).map(drop).map_err(access(services(key), format!("remove {key}")))
    }

    fn write_origin(&self, key: EntryKey, origin: &Origin<[u32; 4]>) -> Result<(), MapError> {
        let Origin { vip, port, service, backend } = *origin;
        let short = Origin { vip: vip[0], port, service, backend };
        let v4 = key.v4().map(|key| self.origins_v4.update(&key, &short));
        let v6 = key.v6().map(|key| self.origins_v6.update(&key, origin));
        v4.or(v6).unwrap_or(Ok(())).map_err(access(origins(key), format!("write {key}")))
    }

    fn remove_origin(&self, key: EntryKey) -> Result<(), MapError> {
        let v4 = key.v4().map(|key| self.origins_v4.delete(&key));
        let v6 = key.v6().map(|key| self.origins_v6.delete(&key));
        v4.or(v6).unwrap_or(Ok(false)).map(drop).map_err(access(origins(key), format!("remove {key}")))
    }

    fn services(&self) -> Result<BTreeMap<EntryKey, Service>, MapError> {
        let v4 = self.services_v4.entries::<ServiceKey<u32>, Service>();
        let v4 = v4.map_err(access(maps::SERVICES_V4, "read it"))?;
        let v6 = self.services_v6.entries::<ServiceKey<[u32; 4]>, Service>();
        let v6 = v6.map_err(access(maps::SERVICES_V6, "read it"))?;
        let v4 = v4.into_iter().map(|(key, service)| (EntryKey::from(key), service));
        Ok(v4.chain(v6.into_iter().map(|(key, service)| (EntryKey::from(key), service))).collect())
    }

    fn origins(&self) -> Result<BTreeMap<EntryKey, Origin<[u32; 4]>>, MapError> {
        let v4 = self.origins_v4.entries::<ServiceKey<u32>, Origin<u32>>();
        let v4 = v4.map_err(access(maps::ORIGINS_V4, "read it"))?;
        let v6 = self.origins_v6.entries::<ServiceKey<[u32; 4]>, Origin<[u32; 4]>>();
        let v6 = v6.map_err(access(maps::ORIGINS_V6, "read it"))?;
        let v4 = v4.into_iter().map(|(key, Origin { vip, port, service, backend })| {
            (EntryKey::from(key), Origin { vip: [vip, 0, 0, 0], port, service, backend })
        });
        Ok(v4.chain(v6.into_iter().map(|(key, origin)| (EntryKey::from(key), origin))).collect())
    }

    fn reset_pools(&self, first: u32, count: u32, ports: PortRange) -> Result<(), MapError> {
        let words: Vec<u64> = (0..maps::PORT_WORDS).map(|word| ports.initial_word(word)).collect();
        (first..first.saturating_add(count)).try_for_each(|pool| {
            let start = pool.saturating_mul(maps::PORT_WORDS);
            let indexes: Vec<u32> = (start..start.saturating_add(maps::PORT_WORDS)).collect();
            let action = format!("set port pool {pool} up");
            self.ports.update_batch(&indexes, &words).map_err(access(maps::PORTS, action))
        })
    }

    fn reset_backend_counters(&self, id: u32) -> Result<(), MapError> {
        let action = || format!("reset backend {id}");
        self.backend_counters
            .update(&id, &TrafficCounters::default())
            .map_err(access(maps::BACKEND_COUNTERS, action()))?;
        self.backend_signals
            .update(&id, &BackendSignals::default())
            .map_err(access(maps::BACKEND_SIGNALS, action()))?;
        // Where nothing is measured it has no element for the backend.
        if id < self.backend_latencies.info().shape.max_entries {
            self.backend_latencies
                .update(&id, &Latencies::default())
                .map_err(access(maps::BACKEND_LATENCIES, action()))?;
        }
        self.backend_flows.update(&id, &0_u64).map_err(access(maps::BACKEND_FLOWS, action()))?;
        self.backend_places.update(&id, &Places::default()).map_err(access(maps::BACKEND_PLACES, action()))
    }
}

fn services(key: EntryKey) -> &'static str {
    if key.address.is_ipv4() { maps::SERVICES_V4 } else { maps::SERVICES_V6 }
}

fn origins(key: EntryKey) -> &'static str {
    if key.address.is_ipv4() { maps::ORIGINS_V4 } else { maps::ORIGINS_V6 }
}

impl LbMaps for PinnedMaps {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        match operation {
            Operation::Settings(settings) => {
                let fib_generation = self.settings()?.fib_generation;
                self.write_settings(&Settings { fib_generation, ..*settings })
            }
            Operation::FibGeneration(fib_generation) => {
                self.write_settings(&Settings { fib_generation: *fib_generation, ..self.settings()? })
            }
            Operation::Interface { ifindex, interface } => {
                write(&self.interfaces, maps::INTERFACES, *ifindex, interface)
            }
            Operation::SnatAddress { index, words } => {
                write(&self.snat_addresses, maps::SNAT_ADDRESSES, *index, words)
            }
            Operation::OwnAddresses { word, bits } | Operation::RemoveOwnAddresses { word, bits } => {
                write(&self.own_addresses, maps::OWN_ADDRESSES, *word, bits)
            }
            Operation::Origin { key, origin } => self.write_origin(*key, origin),
            Operation::RemoveOrigin(key) => self.remove_origin(*key),
            Operation::AclRules { list, rules } => self.acl.write(*list, rules),
            Operation::RemoveAclRules { list, prefixes } => self.acl.remove(*list, prefixes),
            Operation::Admission { service, admission } => {
                write(&self.admissions, maps::ADMISSION, u32::from(*service), admission)
            }
            Operation::ResetPools { first, count, ports } => self.reset_pools(*first, *count, *ports),
            Operation::ResetServiceCounters(id) => {
                let zero = TrafficCounters::default();
                write(&self.service_counters, maps::SERVICE_COUNTERS, u32::from(*id), &zero)?;
                write(&self.service_buckets, maps::SERVICE_BUCKETS, u32::from(*id), &Buckets::default())?;
                write(&self.service_refusals, maps::SERVICE_REFUSALS, u32::from(*id), &Refusals::default())?;
                write(&self.service_places, maps::SERVICE_PLACES, u32::from(*id), &Places::default())
            }
            Operation::ResetBackendCounters(id) => self.reset_backend_counters(*id),
            Operation::Backend { id, backend } => write(&self.backends, maps::BACKENDS, *id, backend),
            Operation::Limits { id, limits } => {
                write(&self.backend_limits, maps::BACKEND_LIMITS, *id, limits)
            }
            Operation::SlotTables(tables) => self.slots.replace(tables),
            Operation::RemoveSlotTables(services) => self.slots.remove(services),
            Operation::Service { key, service } => self.write_service(*key, service),
            Operation::RemoveService(key) => self.remove_service(*key),
        }
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        match part {
            Part::Settings => image.settings = self.settings()?,
            Part::Interfaces => image.interfaces = used::<Interface>(&self.interfaces, maps::INTERFACES)?,
            Part::Services => image.services = self.services()?,
            Part::Slots => image.slots = self.slots.dump()?,
            Part::Backends => image.backends = used::<Backend>(&self.backends, maps::BACKENDS)?,
            Part::Limits => {
                image.limits = used::<BackendLimits>(&self.backend_limits, maps::BACKEND_LIMITS)?;
            }
            Part::Origins => image.origins = self.origins()?,
            Part::Acls => image.acls = self.acl.read()?,
            Part::Admissions => {
                let used = used::<Admission>(&self.admissions, maps::ADMISSION)?;
                image.admissions = used.into_iter().map(|(id, admission)| (id as u16, admission)).collect();
            }
            Part::OwnAddresses => {
                image.own_addresses = used(&self.own_addresses, maps::OWN_ADDRESSES)?;
            }
            Part::SnatAddresses => {
                image.snat_addresses = used(&self.snat_addresses, maps::SNAT_ADDRESSES)?;
            }
        }
        Ok(())
    }
}

fn write<V: Abi>(map: &Map, name: &'static str, index: u32, value: &V) -> Result<(), MapError> {
    map.update(&index, value).map_err(access(name, format!("write element {index}")))
}

/// The elements of an array that are not all 0.
fn used<V: Abi + Default + PartialEq>(map: &Map, name: &'static str) -> Result<BTreeMap<u32, V>, MapError> {
    let all = map.entries::<u32, V>().map_err(access(name, "read it"))?;
    Ok(all.into_iter().filter(|(_, value)| *value != V::default()).collect())
}
