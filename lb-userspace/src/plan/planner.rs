//! The planner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use lb_common::abi;

use super::admission::Lists;
use super::origins;
use super::settings::{settings, ticks};
use super::tables::{Ingredients, Tables};
use super::{BackendAt, EntryKey, Ids, MapImage, PlanError, Sources, address_words, family_of};
use crate::balance::{Candidate, registry};
use crate::model::{
    AdminState, Backend, Config, Health, HealthView, Limits, Mode, OnDown, OnFull, Pool, Protocol, Service,
    ServiceAddress, Share, Shared, Standing, SynCookies,
};

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The desired state.
    pub config: &'a Config,
    /// What the checks found; ignored for services without a check.
    pub health: &'a HealthView,
    /// What the backends of each service are to each other, in the order of the services; where it is missing, who is not down takes
    /// flows by its configured weight.
    pub pools: &'a [Shared<Pool>],
    /// Backends whose remaining flows are to end now, as a drain's deadline has passed: they are disabled whatever else is said, and
    /// both ends of their TCP connections get a RST, see [`abi::BackendFlags::RESET`].
    pub resets: &'a BTreeSet<BackendAt>,
    /// Who is let in beside what the configuration says.
    pub sources: &'a Sources,
    /// The interfaces the program is (to be) attached to, by ifindex.
    pub interfaces: &'a BTreeMap<u32, abi::Interface>,
    /// Key of the flow hash: the configuration's, or else the one in the maps ([`MapImage::seed`]), or else a random one.
    pub seed: u64,
}

/// Makes images and remembers ids.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    ids: Ids,
    lists: Lists,
    tables: Tables,
    last: Option<Last>,
    renumbered: u64,
}

/// The last image, and what it was made of.
#[derive(Clone, Debug)]
struct Last {
    limits: Limits,
    seed: u64,
    services: Vec<Shared<Service>>,
    health: HealthView,
    pools: Vec<Shared<Pool>>,
    resets: BTreeSet<BackendAt>,
    image: Arc<MapImage>,
}

impl Planner {
    /// A planner that goes on with the ids of a dump.
    #[must_use]
    pub fn restore(dump: &MapImage) -> Self {
        Self { ids: Ids::restore(dump), lists: Lists::restore(dump), ..Self::default() }
    }

    /// The ids in use, as of the last image.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Whether a backend was down when `lbd` was started and nothing was heard of it since.
    #[must_use]
    pub fn was_down(&self, at: &BackendAt) -> bool {
        self.ids.backend(at).is_some_and(|id| self.ids.was_down(id))
    }

    /// See [`Ids::release`].
    pub fn release(&mut self, backend: u32) -> bool {
        self.last = None;
        self.ids.release(backend)
    }

    /// How often ids may have changed.
    #[must_use]
    pub fn renumbered(&self) -> u64 {
        self.renumbered
    }

    /// What the maps are to hold.
    ///
    /// # Errors
    /// [`PlanError`] if it does not fit into the maps; ids are then as before.
    pub fn plan(&mut self, inputs: &Inputs<'_>) -> Result<Arc<MapImage>, PlanError> {
        let config = inputs.config;
        let image = match self.last.take() {
            Some(last) if last.has_ids_for(inputs) => self.plan_changes(last, inputs)?,
            _ => self.plan_all(inputs)?,
        };
        self.last = Some(Last {
            limits: config.limits,
            seed: inputs.seed,
            services: config.services.clone(),
            health: inputs.health.clone(),
            pools: inputs.pools.to_vec(),
            resets: inputs.resets.clone(),
            image: Arc::clone(&image),
        });
        Ok(image)
    }

    fn plan_all(&mut self, inputs: &Inputs<'_>) -> Result<Arc<MapImage>, PlanError> {
        self.renumbered += 1;
        let mut ids = self.ids.clone();
        let mut round = Round { ids: &mut ids, tables: &mut self.tables, image: MapImage::default() };
        round.fill(inputs)?;
        let mut image = round.image;
        self.lists.fill(&mut image, (inputs.config, inputs.sources), |service| ids.service(service.at()))?;
        self.ids = ids;
        Ok(Arc::new(image))
    }

    /// Plans for the services that differ from last time. No id is given or taken.
    fn plan_changes(&mut self, last: Last, inputs: &Inputs<'_>) -> Result<Arc<MapImage>, PlanError> {
        let config = inputs.config;
        let Last { services, health, pools, resets, image, .. } = last;
        let other: BTreeSet<ServiceAddress> =
            resets.symmetric_difference(inputs.resets).map(|backend| backend.service).collect();
        let mut round =
            Round { ids: &mut self.ids, tables: &mut self.tables, image: Arc::unwrap_or_clone(image) };
        round.image.settings = settings(config, inputs.seed);
        round.image.interfaces.clone_from(inputs.interfaces);
        for (index, (before, service)) in services.iter().zip(&config.services).enumerate() {
            let pool = inputs.pools.get(index);
            let same_pool = match (pools.get(index), pool) {
                (None, None) => true,
                (Some(before), Some(after)) => before.is(after),
                _ => false,
            };
            if !same_pool
                || !before.is(service)
                || !health.is_alike_for(&service.name, inputs.health)
                || other.contains(&service.at())
            {
                round.service(service, pool.map(|pool| &**pool), inputs)?;
            }
        }
        let mut image = round.image;
        let ids = &self.ids;
        self.lists.fill(&mut image, (config, inputs.sources), |service| ids.service(service.at()))?;
        Ok(Arc::new(image))
    }
}

impl Last {
    /// Whether everything that is to have an id has it, and nothing else has.
    fn has_ids_for(&self, inputs: &Inputs<'_>) -> bool {
        let services = &inputs.config.services;
        self.limits == inputs.config.limits
            && self.seed == inputs.seed
            && self.services.len() == services.len()
            && self.services.iter().zip(services).all(|(a, b)| a.is(b) || has_same_ids(a, b))
    }
}

/// Whether two versions of a service need the same ids.
fn has_same_ids(a: &Service, b: &Service) -> bool {
    let places = |service: &Service| service.backends.iter().map(|b| (b.address, b.port)).collect::<Vec<_>>();
    (a.at(), a.mode, &a.snat_addresses) == (b.at(), b.mode, &b.snat_addresses) && places(a) == places(b)
}

/// One call of [`Planner::plan`].
struct Round<'a> {
    ids: &'a mut Ids,
    tables: &'a mut Tables,
    image: MapImage,
}

impl Round<'_> {
    fn fill(&mut self, inputs: &Inputs<'_>) -> Result<(), PlanError> {
        let config = inputs.config;
        self.image.settings = settings(config, inputs.seed);
        self.image.interfaces.clone_from(inputs.interfaces);
        let services: BTreeSet<_> = config.services.iter().map(|service| service.at()).collect();
        let wanted =
            config.services.iter().flat_map(|service| service.backends.iter().map(|b| at(service, b)));
        self.ids.keep(&config.limits, &wanted.collect(), &services);
        for (index, service) in config.services.iter().enumerate() {
            self.service(service, inputs.pools.get(index).map(|pool| &**pool), inputs)?;
        }
        self.image.backends.extend(self.ids.removed());
        origins::add(&mut self.image);
        let ids = &self.image.slots;
        self.tables.retain(|id| ids.contains_key(&id));
        Ok(())
    }

    fn service(
        &mut self,
        service: &Service,
        pool: Option<&Pool>,
        inputs: &Inputs<'_>,
    ) -> Result<(), PlanError> {
        let limits = &inputs.config.limits;
        let id = self.ids.assign_service(service.at(), limits)?;
        let (_, selector) = registry(service.algorithm);
        let mut entry = abi::Service {
            id,
            mode: match service.mode {
                Mode::Nat => abi::Mode::Nat,
                Mode::FullNat => abi::Mode::FullNat,
            } as u8,
            selector: selector as u8,
            affinity_prefix: service.affinity_prefix.unwrap_or(if service.address.is_ipv4() {
                32
            } else {
                128
            }),
            flags: flags(service),
            affinity_timeout: ticks(service.affinity_timeout),
            ..abi::Service::default()
        };
        if !service.backends.is_empty() && !service.snat_addresses.is_empty() {
            let list: Vec<_> = service.snat_addresses.iter().copied().map(address_words).collect();
            entry.snat_base = self.ids.assign_snat(id, &list, limits)?;
            entry.snat_count = list.len() as u16;
            self.image.snat_addresses.extend((entry.snat_base..).zip(list));
        }
        self.image.services.insert(EntryKey::service(service.at()), entry);
        self.image.services.insert(EntryKey::vip(service.address), abi::Service::default());
        let snat =
            service.snat_addresses.iter().map(|address| (EntryKey::snat(*address), abi::Service::default()));
        self.image.services.extend(snat);
        self.backends(id, service, pool, inputs)
    }

    fn backends(
        &mut self,
        service_id: u16,
        service: &Service,
        pool: Option<&Pool>,
        inputs: &Inputs<'_>,
    ) -> Result<(), PlanError> {
        let limits = &inputs.config.limits;
        let (mut candidates, mut ids) = (Vec::new(), Vec::new());
        let limited = if service.is_limited() { abi::BackendFlags::LIMITED } else { 0 };
        for (index, backend) in service.backends.iter().enumerate() {
            let id = self.ids.assign_backend(&at(service, backend), limits)?;
            let share = self.share(service, backend, id, inputs.health);
            let share = pool.and_then(|pool| pool.shares.get(index).copied()).unwrap_or(share);
            let mut element = self.backend(service_id, service, (backend, share), id, inputs)?;
            element.flags |= limited;
            if element.state == abi::BackendState::Active as u8 && share.weight > 0 {
                let identity = SocketAddr::new(backend.address, backend.port).to_string();
                candidates.push(Candidate { identity, weight: share.weight });
                ids.push(id);
            }
            self.image.backends.insert(id, element);
        }
        self.limits(service, &ids);
        let (algorithm, slots, seed) = (service.algorithm, service.slot_count(), inputs.seed);
        let ingredients = Ingredients { algorithm, slots, seed, candidates, ids };
        self.image.slots.insert(service_id, self.tables.table(service_id, ingredients));
        Ok(())
    }

    /// The limits of the backends. Those that take flows make a ring, in the order of the configuration.
    fn limits(&mut self, service: &Service, takers: &[u32]) {
        for backend in &service.backends {
            let Some(id) = self.ids.backend(&at(service, backend)) else { continue };
            if !service.is_limited() {
                self.image.limits.remove(&id);
                continue;
            }
            let place = takers.iter().position(|taker| *taker == id);
            let next = place.and_then(|place| takers.get(place + 1)).or(takers.first());
            let limits = abi::BackendLimits {
                connections: backend.max_connections,
                service_connections: service.max_connections,
                next: next.copied().unwrap_or_default(),
                reserved: 0,
            };
            self.image.limits.insert(id, limits);
        }
    }

    /// What a backend is where nothing is said about the pool.
    fn share(&mut self, service: &Service, backend: &Backend, id: u32, health: &HealthView) -> Share {
        let health = service.health.as_ref().map_or(Health::Up, |_| health.of(&service.name, &backend.name));
        if health != Health::Unknown {
            self.ids.heard_of(id);
        }
        let down = health == Health::Down || self.ids.was_down(id);
        Share { standing: Standing::default(), down, weight: backend.weight.into() }
    }

    fn backend(
        &mut self,
        service_id: u16,
        service: &Service,
        (backend, share): (&Backend, Share),
        id: u32,
        inputs: &Inputs<'_>,
    ) -> Result<abi::Backend, PlanError> {
        let ended = inputs.resets.contains(&at(service, backend));
        let reset = service.protocol == Protocol::Tcp && (ended || service.on_down == OnDown::Reset);
        self.ids.set_reset(id, reset);
        Ok(abi::Backend {
            addr: address_words(backend.address),
            port: backend.port.to_be(),
            state: match backend.state {
                AdminState::Disabled => abi::BackendState::Disabled,
                _ if ended => abi::BackendState::Disabled,
                _ if share.down => abi::BackendState::Down,
                AdminState::Draining => abi::BackendState::Draining,
                AdminState::Enabled => abi::BackendState::Active,
            } as u8,
            family: family_of(backend.address),
            weight: if share.weight > 0 { share.weight } else { u32::from(backend.weight.max(1)) },
            pool_base: self.ids.assign_pools(id, service.snat_addresses.len(), &inputs.config.limits)?,
            service: service_id,
            flags: self.exclusive(id) | if reset { abi::BackendFlags::RESET } else { 0 },
        })
    }

    /// `origins::add` sets it; a change that leaves all places as they are leaves it as it is.
    fn exclusive(&self, id: u32) -> u16 {
        self.image.backends.get(&id).map_or(0, |before| before.flags & abi::BackendFlags::EXCLUSIVE)
    }
}

fn at(service: &Service, backend: &Backend) -> BackendAt {
    BackendAt { service: service.at(), address: backend.address, port: backend.port }
}

/// The flags of a service in the data path.
fn flags(service: &Service) -> u8 {
    let when_full = match service.on_full {
        OnFull::Drop => 0,
        OnFull::Reset => abi::ServiceFlags::RESET_WHEN_FULL,
    };
    let cookies = match service.syn_cookies {
        _ if service.protocol != Protocol::Tcp => 0,
        SynCookies::Off => 0,
        SynCookies::Auto => abi::ServiceFlags::COOKIES_AUTO,
        SynCookies::Always => abi::ServiceFlags::COOKIES_ALWAYS,
    };
    when_full | cookies
}
