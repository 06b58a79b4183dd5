//! Health: how it is checked, and what was found.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BackendName, Probe, ServiceName, Shared, keyword::keyword};

/// How the backends of a service are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is done to each.
    pub probe: Shared<Probe>,
    /// Time between the starts of two probes.
    pub interval: Duration,
    /// Time after which a probe has failed; at most `interval`.
    pub timeout: Duration,
    /// Successes in a row that bring a backend back.
    pub rise: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// Where to connect; `None`: the backend's port.
    pub port: Option<u16>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            probe: Shared::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            rise: 2,
            fall: 3,
            port: None,
        }
    }
}

/// What is known of a backend's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Its checks succeed.
    Up,
    /// Its checks fail.
    Down,
    /// It is not checked, or not long enough. It takes flows, unless it was down before `lbd` was restarted.
    #[default]
    Unknown,
}

keyword!(Health { Up = "up", Down = "down", Unknown = "unknown" });

/// The health of every checked backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthView(Shared<BTreeMap<ServiceName, Shared<BTreeMap<BackendName, Health>>>>);

impl HealthView {
    /// The health of a backend; [`Health::Unknown`] if nothing was recorded.
    #[must_use]
    pub fn of(&self, service: &ServiceName, backend: &BackendName) -> Health {
        let backends = self.0.get(service);
        backends.and_then(|backends| backends.get(backend)).copied().unwrap_or_default()
    }

    /// Records the health of a backend; true if it was another before.
    pub fn set(&mut self, service: &ServiceName, backend: &BackendName, health: Health) -> bool {
        if self.0.get(service).and_then(|backends| backends.get(backend)) == Some(&health) {
            return false;
        }
        let backends = self.0.entry(service.clone()).or_default();
        backends.insert(backend.clone(), health).unwrap_or_default() != health
    }

    /// Forgets the backends for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&ServiceName, &BackendName) -> bool) {
        let mut gone = Vec::new();
        for (service, backend, _) in self.iter() {
            if !keep(service, backend) {
                gone.push((service.clone(), backend.clone()));
            }
        }
        for (service, backend) in gone {
            let Some(backends) = self.0.get_mut(&service) else { continue };
            backends.remove(&backend);
            if backends.is_empty() {
                self.0.remove(&service);
            }
        }
    }

    /// Every recorded backend, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &BackendName, Health)> {
        self.0.iter().flat_map(|(service, backends)| {
            backends.iter().map(move |(backend, health)| (service, backend, *health))
        })
    }

    /// Whether nothing differs from another view.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0) || self.0.is_empty() && other.0.is_empty()
    }

    /// Whether both say the same of a service.
    #[must_use]
    pub fn is_alike_for(&self, service: &ServiceName, other: &Self) -> bool {
        self.is(other) || self.0.get(service) == other.0.get(service)
    }
}
