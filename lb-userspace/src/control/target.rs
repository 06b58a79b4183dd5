//! The maps, as control sees them: a desired state goes in, ids and states come out.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use ipnet::IpNet;
use lb_common::abi::{BackendState, Interface};

use super::{Error, ErrorKind, view};
use crate::{
    acl::ListFiles,
    health::Pools,
    maps::{LbMaps, MapError},
    model::{AdminState, Backend, Config, Draft, DrainEnd, HealthView, Limits, Service},
    plan::{BackendAt, Inputs, MapImage, PlanError, Planner, Sources},
    reconcile::{Drift, Policy, Reconciler, Round, Statistics},
};

/// What the maps are to hold before and after a change.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Before.
    pub before: Arc<MapImage>,
    /// After.
    pub after: Arc<MapImage>,
}

/// The maps with the plan for them.
pub(super) struct Target {
    maps: Box<dyn LbMaps>,
    planner: Planner,
    reconciler: Reconciler,
    /// What was planned last.
    image: Arc<MapImage>,
    interfaces: BTreeMap<u32, Interface>,
    /// Backends whose drain's deadline has passed, see [`Inputs::resets`].
    resets: BTreeSet<BackendAt>,
    /// Who is let in beside what the configuration says.
    sources: Sources,
    /// Key of the flow hash if the configuration names none.
    seed: u64,
    /// Sizes of the maps: the configuration's when `lbd` was started.
    limits: Limits,
}

impl Target {
    /// Learns from the maps which ids are in use, and their seed; `random` is the seed if they have none. `interfaces` are those
    /// the program is attached to, by ifindex.
    pub(super) fn adopt(
        mut maps: Box<dyn LbMaps>,
        interfaces: BTreeMap<u32, Interface>,
        random: u64,
        limits: Limits,
    ) -> Result<Self, Error> {
        let dump = maps.dump().map_err(|error| from_maps(&error))?;
        Ok(Self {
            maps,
            planner: Planner::restore(&dump),
            reconciler: Reconciler::new(Policy::default()),
            image: Arc::default(),
            interfaces,
            resets: BTreeSet::new(),
            sources: Sources::default(),
            seed: dump.seed().unwrap_or(random),
            limits,
        })
    }

    /// Plans for a desired state and brings the maps to it. After an error of the maps they may hold a part of it.
    pub(super) fn apply(
        &mut self,
        config: &Config,
        health: &HealthView,
        pools: &Pools,
        now: Instant,
    ) -> Result<(), Error> {
        self.plan(config, health, pools)?;
        self.run(now)
    }

    /// Plans for a desired state, to which [`Target::run`] brings the maps.
    pub(super) fn plan(&mut self, config: &Config, health: &HealthView, pools: &Pools) -> Result<(), Error> {
        let config = &self.limited(config)?;
        self.resets = resets_of(config, &self.resets);
        let inputs = Inputs {
            config,
            health,
            pools: pools.all(),
            resets: &self.resets,
            sources: &self.sources,
            interfaces: &self.interfaces,
            seed: config.seed.unwrap_or(self.seed),
        };
        let image = self.planner.plan(&inputs).map_err(|error| from_plan(&error))?;
        self.image = Arc::clone(&image);
        self.reconciler.desire(image, true);
        Ok(())
    }

    /// A configuration with the sizes that the maps have.
    fn limited<'a>(&self, config: &'a Config) -> Result<Cow<'a, Config>, Error> {
        if config.limits == self.limits {
            return Ok(Cow::Borrowed(config));
        }
        let draft = Draft { limits: self.limits, ..config.draft() };
        draft.check().map(Cow::Owned).map_err(|found| {
            Error::conflict("limits", format!("{found}\nlimits take effect when lbd is started again"))
        })
    }

    /// What the maps are to hold now, and with another desired state. Nothing is changed.
    pub(super) fn preview(
        &self,
        config: &Config,
        health: &HealthView,
        pools: &Pools,
        files: ListFiles,
    ) -> Result<Preview, Error> {
        let config = &self.limited(config)?;
        let inputs = Inputs {
            config,
            health,
            pools: pools.all(),
            resets: &resets_of(config, &self.resets),
            sources: &Sources { files, ..self.sources.clone() },
            interfaces: &self.interfaces,
            seed: config.seed.unwrap_or(self.seed),
        };
        let after = self.planner.clone().plan(&inputs).map_err(|error| from_plan(&error))?;
        Ok(Preview { before: Arc::clone(&self.image), after })
    }

    /// Does what is due: another try, or a look whether somebody else changed the maps.
    pub(super) fn run(&mut self, now: Instant) -> Result<(), Error> {
        ended(self.reconciler.run(self.maps.as_mut(), now))
    }

    /// Looks now whether somebody else changed the maps, all of them, and puts right what is wrong.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), Error> {
        ended(self.reconciler.check(self.maps.as_mut(), now))
    }

    /// Whether the maps hold what was planned last, as far as is known.
    pub(super) fn is_converged(&self) -> bool {
        self.reconciler.is_converged()
    }

    /// What was done and what failed so far.
    pub(super) fn statistics(&self) -> Statistics {
        self.reconciler.statistics()
    }

    /// Takes the interfaces that the program is attached to; whether they are others than before.
    pub(super) fn set_interfaces(&mut self, interfaces: BTreeMap<u32, Interface>) -> bool {
        let changed = self.interfaces != interfaces;
        self.interfaces = interfaces;
        changed
    }

    /// Who is let in beside what the configuration says.
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Takes the content of the files that the configuration names; what it was before.
    pub(super) fn set_files(&mut self, files: ListFiles) -> ListFiles {
        std::mem::replace(&mut self.sources.files, files)
    }

    /// Takes the prefixes that are blocked by request, with the last tick of it; what they were before.
    pub(super) fn block(&mut self, blocked: Arc<BTreeMap<IpNet, u32>>) -> Arc<BTreeMap<IpNet, u32>> {
        std::mem::replace(&mut self.sources.blocked, blocked)
    }

    /// Ends the remaining flows of a backend, from the next plan on until it is called with `false`: it is disabled, and both ends of
    /// its TCP connections get a RST within about a second. Whether that is new.
    pub(super) fn reset_flows(&mut self, service: &Service, backend: &Backend, reset: bool) -> bool {
        let at = at(service, backend);
        if reset { self.resets.insert(at) } else { self.resets.remove(&at) }
    }

    /// Makes the data path forget the next hops it knows, with the next [`Target::run`].
    pub(super) fn forget_next_hops(&mut self) {
        self.reconciler.raise_fib_generation();
    }

    /// Frees the id of a removed backend; whether it was waiting for that.
    pub(super) fn release(&mut self, backend: u32) -> bool {
        self.planner.release(backend)
    }

    /// Ids of removed backends that wait for [`Target::release`].
    pub(super) fn releasing(&self) -> Vec<u32> {
        self.planner.ids().releasing().collect()
    }

    /// Changes when ids may have.
    pub(super) fn renumbered(&self) -> u64 {
        self.planner.renumbered()
    }

    /// Whether a backend was down when `lbd` was started and nothing was heard of it since.
    pub(super) fn was_down(&self, service: &Service, backend: &Backend) -> bool {
        self.planner.was_down(&at(service, backend))
    }

    /// Id of a service in the maps; 0: none.
    pub(super) fn service(&self, service: &Service) -> u16 {
        self.planner.ids().service(service.at()).unwrap_or_default()
    }

    /// Id and state of a backend in the maps; 0 and `Unused`: none.
    pub(super) fn backend(&self, service: &Service, backend: &Backend) -> (u32, BackendState) {
        let id = self.planner.ids().backend(&at(service, backend)).unwrap_or_default();
        let state =
            self.image.backends.get(&id).map_or(BackendState::Unused, |element| view::state(element.state));
        (id, state)
    }
}

/// Of the backends whose flows are reset those that a configuration still wants to be.
fn resets_of(config: &Config, resets: &BTreeSet<BackendAt>) -> BTreeSet<BackendAt> {
    if resets.is_empty() {
        return BTreeSet::new();
    }
    let over = |backend: &&Backend| {
        backend.state == AdminState::Draining
            && backend.drain.is_some_and(|drain| drain.then == DrainEnd::Rst)
    };
    let all = config.services.iter();
    let wanted =
        all.flat_map(|service| service.backends.iter().filter(over).map(|backend| at(service, backend)));
    wanted.filter(|backend| resets.contains(backend)).collect()
}

/// Says what a round found, and how it ended.
fn ended(round: Round) -> Result<(), Error> {
    for Drift { part, kind, count, examples } in round.drift {
        let (map, kind, examples) = (part.as_str(), kind.as_str(), examples.join(", "));
        tracing::warn!(map, kind, count, examples, "somebody else changed the maps: put right");
    }
    round.error.map_or(Ok(()), |error| Err(from_maps(&error)))
}

fn at(service: &Service, backend: &Backend) -> BackendAt {
    BackendAt { service: service.at(), address: backend.address, port: backend.port }
}

fn from_maps(error: &MapError) -> Error {
    Error::new(ErrorKind::Maps, "", error.to_string())
}

fn from_plan(error: &PlanError) -> Error {
    Error::new(ErrorKind::Conflict, "", error.to_string())
}
