//! Health: how it is checked, and what was found.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    /// Time between two probes from the first outcome that contradicts what is known until the verdict; `None`: `interval`.
    pub fast_interval: Option<Duration>,
    /// How much later than its turn a probe may start; at most half of `interval`.
    pub jitter: Duration,
    /// What is done about a backend that goes up and down.
    pub damping: Damping,
    /// When a backend is checked out of turn.
    pub passive: Passive,
    /// Percentage of the service's backends that may be taken out by their health at once, rounded down.
    pub max_ejected: u8,
    /// When a smaller percentage of the backends is healthy, all are used; 0: never.
    pub panic_threshold: u8,
}

/// When a backend that goes up and down is held down, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// How often it may go down within `window` before it is held down; 0: as often as it likes.
    pub max_flaps: u32,
    /// Over which its going down is counted; for each that it stays up it is trusted a step more.
    pub window: Duration,
    /// For how long it is held down the first time; then twice as long each time.
    pub hold: Duration,
    /// For how long at most.
    pub max_hold: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            max_flaps: 5,
            window: Duration::from_secs(60),
            hold: Duration::from_secs(10),
            max_hold: Duration::from_secs(300),
        }
    }
}

/// When what clients' connections show of a backend makes it suspect: it is then checked at once, and the check decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passive {
    /// Whether that is done.
    pub enabled: bool,
    /// Over which SYNs and what answers them are counted.
    pub window: Duration,
    /// How many SYNs must be unanswered, or refused, or how many ICMP errors there must be; at least 1.
    pub count: u32,
    /// Percentage of all SYNs that those unanswered or refused must be; at least 1.
    pub percent: u8,
}

impl Default for Passive {
    fn default() -> Self {
        Self { enabled: true, window: Duration::from_secs(3), count: 3, percent: 50 }
    }
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
            fast_interval: None,
            jitter: Duration::ZERO,
            damping: Damping::default(),
            passive: Passive::default(),
            max_ejected: 100,
            panic_threshold: 1,
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

/// Why a probe failed or could not be made: the end of a sentence, no longer than a line.
pub type Reason = Cow<'static, str>;

/// What the checks of a backend came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Its health.
    pub health: Health,
    /// Since when; `None`: nothing was found yet.
    pub since: Option<Instant>,
    /// Why it is down, the last failure; or why it cannot be checked.
    pub reason: Option<Reason>,
    /// Until when it stays down even if its checks succeed, as it went up and down too often.
    pub held_until: Option<Instant>,
    /// How often its health changed.
    pub transitions: u64,
}

/// What was found of the backends of a service.
pub type Findings = BTreeMap<BackendName, Finding>;

/// The health of every checked backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthView(Shared<BTreeMap<ServiceName, Shared<Findings>>>);

impl HealthView {
    /// The health of a backend; [`Health::Unknown`] if nothing was recorded.
    #[must_use]
    pub fn of(&self, service: &ServiceName, backend: &BackendName) -> Health {
        self.finding(service, backend).map(|finding| finding.health).unwrap_or_default()
    }

    /// All that is known of a backend.
    #[must_use]
    pub fn finding(&self, service: &ServiceName, backend: &BackendName) -> Option<&Finding> {
        self.0.get(service)?.get(backend)
    }

    /// What was found of a service's backends.
    #[must_use]
    pub fn of_service(&self, service: &ServiceName) -> Option<&Shared<Findings>> {
        self.0.get(service)
    }

    /// Records what was found of a backend; true if its health was another before.
    pub fn record(&mut self, service: &ServiceName, backend: &BackendName, finding: Finding) -> bool {
        if self.finding(service, backend) == Some(&finding) {
            return false;
        }
        let health = finding.health;
        let backends = self.0.entry(service.clone()).or_default();
        backends.insert(backend.clone(), finding).unwrap_or_default().health != health
    }

    /// Records the health of a backend and nothing else; true if it was another before.
    pub fn set(&mut self, service: &ServiceName, backend: &BackendName, health: Health) -> bool {
        self.record(service, backend, Finding { health, ..Finding::default() })
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
            backends.iter().map(move |(backend, finding)| (service, backend, finding.health))
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
