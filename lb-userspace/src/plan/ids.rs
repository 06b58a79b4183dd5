//! Who has which id. An id stays for as long as its service or backend exists.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::{Backend, BackendFlags, BackendState, Mode, Service};
use lb_common::maps::{DEFAULT_SNAT_ADDRESSES, MAX_SNAT_PER_SERVICE};

use super::ranges::{Block, Ranges};
use super::{MapImage, NO_POOL, PlanError, address_of, address_words, family_of};
use crate::model::{Limits, ServiceAddress};

/// What makes a backend itself: where it is, for which service. Its name may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendAt {
    /// Its service.
    pub service: ServiceAddress,
    /// Its address.
    pub address: IpAddr,
    /// Its port, host order.
    pub port: u16,
}

/// The ids in use.
#[derive(Clone, Debug)]
pub struct Ids {
    services: BTreeMap<ServiceAddress, u16>,
    backends: BTreeMap<BackendAt, u32>,
    /// Removed, flows perhaps not gone: the elements as they stand in the map until then.
    releasing: BTreeMap<u32, Backend>,
    down_before: BTreeSet<u32>,
    /// Those whose connections get a RST when they are removed.
    reset: BTreeSet<u32>,
    snat: Ranges<u16>,
    snat_lists: BTreeMap<u16, Vec<[u32; 4]>>,
    pools: Ranges<u32>,
    /// As many ids as the plan under way may need, the lowest free ones last.
    free_services: Vec<u16>,
    free_backends: Vec<u32>,
}

impl Default for Ids {
    fn default() -> Self {
        Self::restore(&MapImage::default())
    }
}

impl Ids {
    /// The ids that a dump shows to be in use.
    #[must_use]
    pub fn restore(dump: &MapImage) -> Self {
        let mut ids = Self {
            services: BTreeMap::new(),
            backends: BTreeMap::new(),
            releasing: BTreeMap::new(),
            down_before: BTreeSet::new(),
            reset: BTreeSet::new(),
            snat: Ranges::new(u32::MAX),
            snat_lists: BTreeMap::new(),
            pools: Ranges::new(u32::MAX),
            free_services: Vec::new(),
            free_backends: Vec::new(),
        };
        let mut by_id: BTreeMap<u16, (ServiceAddress, &Service)> = BTreeMap::new();
        for (key, service) in &dump.services {
            if let Some(at) = key.service_address().filter(|_| service.id != 0) {
                ids.services.insert(at, service.id);
                by_id.insert(service.id, (at, service));
                ids.restore_snat(service, dump);
            }
        }
        for (id, backend) in &dump.backends {
            ids.restore_backend(*id, backend, by_id.get(&backend.service).copied());
        }
        ids
    }

    fn restore_snat(&mut self, service: &Service, dump: &MapImage) {
        let block = Block { base: service.snat_base, count: u32::from(service.snat_count) };
        let range = block.base..block.base.saturating_add(block.count);
        let list: Option<Vec<_>> = range.map(|index| dump.snat_addresses.get(&index).copied()).collect();
        if let Some(list) = list {
            self.snat.restore(service.id, block);
            self.snat_lists.insert(service.id, list);
        }
    }

    fn restore_backend(&mut self, id: u32, backend: &Backend, service: Option<(ServiceAddress, &Service)>) {
        let Some(address) = address_of(backend.addr, backend.family) else { return };
        let live = service.filter(|_| backend.state != BackendState::Unused as u8);
        let count = match live {
            Some((_, service)) if service.mode == Mode::FullNat as u8 => service.snat_count,
            Some(_) => 0,
            // How many it had is not known any more.
            None => MAX_SNAT_PER_SERVICE,
        };
        if backend.pool_base != NO_POOL {
            self.pools.restore(id, Block { base: backend.pool_base, count: u32::from(count) });
        }
        if let Some((service, _)) = live {
            let at = BackendAt { service, address, port: u16::from_be(backend.port) };
            self.backends.insert(at, id);
            self.set_reset(id, backend.flags & BackendFlags::RESET != 0);
            if backend.state == BackendState::Down as u8 {
                self.down_before.insert(id);
            }
        } else {
            self.releasing.insert(id, removed(*backend));
        }
    }

    /// The id of a service.
    #[must_use]
    pub fn service(&self, at: ServiceAddress) -> Option<u16> {
        self.services.get(&at).copied()
    }

    /// The id of a backend.
    #[must_use]
    pub fn backend(&self, at: &BackendAt) -> Option<u32> {
        self.backends.get(at).copied()
    }

    /// The ids of removed backends that wait for [`Ids::release`].
    pub fn releasing(&self) -> impl Iterator<Item = u32> {
        self.releasing.keys().copied()
    }

    /// Frees the id of a removed backend. To be called once a scan that began after the removal has deleted the backend's flows.
    /// False if the id was not waiting for it.
    pub fn release(&mut self, id: u32) -> bool {
        let waited = self.releasing.remove(&id).is_some();
        if waited {
            self.pools.release(id);
        }
        waited
    }

    /// Whether the backend was down when `lbd` was started and nothing was heard of it since.
    pub(super) fn was_down(&self, id: u32) -> bool {
        self.down_before.contains(&id)
    }

    /// Forgets that a backend was down.
    pub(super) fn heard_of(&mut self, id: u32) {
        self.down_before.remove(&id);
    }

    /// Notes whether the backend's connections get a RST when it is removed.
    pub(super) fn set_reset(&mut self, id: u32, reset: bool) {
        if reset {
            self.reset.insert(id);
        } else {
            self.reset.remove(&id);
        }
    }

    /// The elements of removed backends.
    pub(super) fn removed(&self) -> impl Iterator<Item = (u32, Backend)> {
        self.releasing.iter().map(|(id, backend)| (*id, *backend))
    }

    /// Gives up everything that is not wanted any more.
    pub(super) fn keep(
        &mut self,
        limits: &Limits,
        wanted: &BTreeSet<BackendAt>,
        services: &BTreeSet<ServiceAddress>,
    ) {
        self.snat.resize(snat_size(limits));
        self.pools.resize(limits.port_pools);
        // Ids beyond a limit that was lowered stand in no map any more.
        self.services.retain(|_, id| u32::from(*id) <= limits.services);
        self.backends.retain(|_, id| *id <= limits.backends);
        self.releasing.retain(|id, _| *id <= limits.backends);
        let gone: Vec<BackendAt> = self.backends.keys().filter(|at| !wanted.contains(at)).copied().collect();
        for at in gone {
            let (Some(id), Some(service)) = (self.backends.remove(&at), self.service(at.service)) else {
                continue;
            };
            self.down_before.remove(&id);
            let backend = Backend {
                addr: address_words(at.address),
                port: at.port.to_be(),
                family: family_of(at.address),
                pool_base: self.pools.of(id).map_or(NO_POOL, |block| block.base),
                service,
                flags: if self.reset.remove(&id) { BackendFlags::RESET } else { 0 },
                ..Backend::default()
            };
            self.releasing.insert(id, removed(backend));
        }
        let held: BTreeSet<u16> = self.releasing.values().map(|backend| backend.service).collect();
        self.services.retain(|at, id| services.contains(at) || held.contains(id));
        let live: BTreeSet<u16> =
            self.services.iter().filter(|(at, _)| services.contains(at)).map(|(_, id)| *id).collect();
        self.snat_lists.retain(|id, _| live.contains(id));
        self.snat.retain(|id| live.contains(&id));
        self.find_free(limits, wanted.len(), services.len());
    }

    fn find_free(&mut self, limits: &Limits, backends: usize, services: usize) {
        let held = self.releasing.values().map(|backend| backend.service);
        let taken: BTreeSet<u16> = self.services.values().copied().chain(held).collect();
        let last = u16::try_from(limits.services).unwrap_or(u16::MAX);
        self.free_services = (1..=last).filter(|id| !taken.contains(id)).take(services).collect();
        self.free_services.reverse();
        let taken: BTreeSet<u32> = self.backends.values().chain(self.releasing.keys()).copied().collect();
        self.free_backends = (1..=limits.backends).filter(|id| !taken.contains(id)).take(backends).collect();
        self.free_backends.reverse();
    }

    /// The id of a service, a new one if it has none.
    pub(super) fn assign_service(&mut self, at: ServiceAddress, limits: &Limits) -> Result<u16, PlanError> {
        if let Some(id) = self.service(at) {
            return Ok(id);
        }
        let id = self.free_services.pop().ok_or(PlanError::Limit {
            key: "limits.services",
            allowed: limits.services,
            needed: 1,
            waiting: self.releasing.len() as u32,
        })?;
        self.services.insert(at, id);
        Ok(id)
    }

    /// The id of a backend: the one it has, the one it had before it was removed, or a new one.
    pub(super) fn assign_backend(&mut self, at: &BackendAt, limits: &Limits) -> Result<u32, PlanError> {
        if let Some(id) = self.backend(at) {
            return Ok(id);
        }
        let service = self.service(at.service).unwrap_or_default();
        let same = |backend: &Backend| {
            backend.service == service
                && backend.port == at.port.to_be()
                && address_of(backend.addr, backend.family) == Some(at.address)
        };
        let before = self.releasing.iter().find(|(_, backend)| same(backend)).map(|(id, _)| *id);
        let id = match before {
            Some(id) => id,
            None => self.free_backend(limits)?,
        };
        self.releasing.remove(&id);
        self.backends.insert(*at, id);
        Ok(id)
    }

    fn free_backend(&mut self, limits: &Limits) -> Result<u32, PlanError> {
        self.free_backends.pop().ok_or(PlanError::Limit {
            key: "limits.backends",
            allowed: limits.backends,
            needed: 1,
            waiting: self.releasing.len() as u32,
        })
    }

    /// Where the SNAT addresses of a service stand.
    pub(super) fn assign_snat(
        &mut self,
        service: u16,
        list: &[[u32; 4]],
        limits: &Limits,
    ) -> Result<u32, PlanError> {
        if let Some(block) = self.snat.of(service)
            && self.snat_lists.get(&service).is_some_and(|known| known == list)
        {
            return Ok(block.base);
        }
        let block =
            self.snat.allocate(service, list.len() as u32).ok_or(self.no_pools(list.len(), limits))?;
        self.snat_lists.insert(service, list.to_vec());
        Ok(block.base)
    }

    /// The first of a backend's port pools, one for each SNAT address.
    pub(super) fn assign_pools(
        &mut self,
        backend: u32,
        count: usize,
        limits: &Limits,
    ) -> Result<u32, PlanError> {
        if count == 0 {
            self.pools.release(backend);
            return Ok(NO_POOL);
        }
        if let Some(block) = self.pools.of(backend).filter(|block| block.count == count as u32) {
            return Ok(block.base);
        }
        let block = self.pools.allocate(backend, count as u32).ok_or(self.no_pools(count, limits))?;
        Ok(block.base)
    }

    fn no_pools(&self, needed: usize, limits: &Limits) -> PlanError {
        PlanError::Limit {
            key: "limits.port_pools",
            allowed: limits.port_pools,
            needed: needed as u32,
            waiting: self.releasing.len() as u32,
        }
    }
}

/// Elements of `SNAT_ADDRESSES`: at least the default, and one for each port pool.
#[must_use]
pub fn snat_size(limits: &Limits) -> u32 {
    limits.port_pools.max(DEFAULT_SNAT_ADDRESSES)
}

/// What a removed backend leaves in its element until its flows are gone.
fn removed(backend: Backend) -> Backend {
    let flags = backend.flags & BackendFlags::RESET;
    Backend { state: BackendState::Unused as u8, weight: 0, flags, ..backend }
}
