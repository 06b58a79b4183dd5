//! What the rest of `lbd` sees of control: a consistent picture that never changes.

use std::{sync::Arc, time::Instant};

use lb_common::abi::BackendState;

use super::{Blocks, DrainViews};
use crate::{
    health::Probes,
    model::{Backend, Config, Finding, Health, HealthView, Pool, Service, Share, Shared, Timestamp},
    plan::Sources,
    reconcile::Statistics,
};

/// The state after an event. A new one is published whenever something in it changed.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the snapshots.
    pub generation: u64,
    /// The desired state.
    pub config: Config,
    /// Whether it differs from the file, by changes that were not to be written.
    pub unsaved: bool,
    /// Keys of the configuration whose new values take effect when `lbd` is started again.
    pub restart_needed: Vec<&'static str>,
    /// Why the maps do not hold the desired state; control tries again by itself.
    pub problem: Option<String>,
    /// The services of `config`, in its order.
    pub services: Vec<Shared<ServiceView>>,
    /// Ids of removed backends whose flows are to be deleted; then [`super::Event::BackendReleased`] frees them.
    pub releasing: Vec<u32>,
    /// Backends that are drained, by id; a change of their numbers of flows alone is not announced.
    pub drains: DrainViews,
    /// Until when what was applied is to be confirmed; then what was before comes back.
    pub confirm_until: Option<Timestamp>,
    /// When control wants a [`super::Event::Tick`] at the latest.
    pub wake_at: Option<Instant>,
    /// Sources that are blocked by request.
    pub blocks: Arc<Blocks>,
    /// Who is let in beside what the configuration says.
    pub sources: Sources,
    /// What reconciliation did so far; a change of this alone is not announced.
    pub reconciled: Statistics,
    /// The prepared probes of the checked services.
    pub probes: Probes,
    /// The health that `services` shows.
    pub(super) health: HealthView,
    /// Changes when ids may have.
    pub(super) renumbered: u64,
}

/// A service with what it is in the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its id in the maps.
    pub id: u16,
    /// What the operator wants.
    pub desired: Shared<Service>,
    /// How its backends are doing together.
    pub pool: Shared<Pool>,
    /// Its backends, in the same order.
    pub backends: Vec<BackendView>,
}

/// A backend with what it is in the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// Its id in the maps.
    pub id: u32,
    /// What the operator wants.
    pub desired: Backend,
    /// What its checks say.
    pub health: Health,
    /// Since when, and why.
    pub finding: Finding,
    /// What it is to its pool.
    pub share: Share,
    /// What all of that comes to.
    pub state: BackendState,
}

impl Snapshot {
    /// Whether all that others act upon is the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let Self {
            generation: _,
            config,
            unsaved,
            restart_needed,
            problem,
            services,
            releasing,
            drains,
            confirm_until,
            wake_at,
            blocks,
            sources: _,
            reconciled: _,
            probes,
            health: _,
            renumbered: _,
        } = self;
        *config == other.config
            && *unsaved == other.unsaved
            && *restart_needed == other.restart_needed
            && *problem == other.problem
            && *services == other.services
            && *releasing == other.releasing
            && drains.len() == other.drains.len()
            && drains.iter().zip(&*other.drains).all(|(a, b)| a.0 == b.0 && a.1.is_like(b.1))
            && *confirm_until == other.confirm_until
            && *wake_at == other.wake_at
            && (Arc::ptr_eq(blocks, &other.blocks) || *blocks == other.blocks)
            && probes.is(&other.probes)
    }

    /// Whether the figures that are not announced are the same.
    pub(super) fn has_figures_of(&self, other: &Self) -> bool {
        self.reconciled == other.reconciled && Arc::ptr_eq(&self.drains, &other.drains)
    }

    /// Whether the same backends are to be checked in the same way as in another.
    #[must_use]
    pub fn has_checks_of(&self, other: &Self) -> bool {
        self.renumbered == other.renumbered
            && self.config.services == other.config.services
            && self.probes.is(&other.probes)
    }

    /// The service of a name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceView> {
        self.services.iter().find(|service| service.desired.name.as_str() == name).map(|view| &**view)
    }

    /// The service with an id.
    #[must_use]
    pub fn service_by_id(&self, id: u16) -> Option<&ServiceView> {
        self.services.iter().find(|service| service.id == id).map(|view| &**view)
    }

    /// The backend with an id, and its service.
    #[must_use]
    pub fn backend_by_id(&self, id: u32) -> Option<(&ServiceView, &BackendView)> {
        self.backends().find(|(_, backend)| backend.id == id)
    }

    /// Every backend with its service.
    pub fn backends(&self) -> impl Iterator<Item = (&ServiceView, &BackendView)> {
        self.services
            .iter()
            .flat_map(|service| service.backends.iter().map(move |backend| (&**service, backend)))
    }
}

impl ServiceView {
    /// The backend of a name.
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&BackendView> {
        self.backends.iter().find(|backend| backend.desired.name.as_str() == name)
    }
}
