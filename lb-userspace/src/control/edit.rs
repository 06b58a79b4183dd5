//! Changes that an operator can ask for, and how they change a draft.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{Error, HealthRules, MAX_DRAIN, RateChange, SourceChange};
use crate::model::{
    AdminState, Algorithm, Backend, BackendName, Draft, Drain, DrainEnd, HealthCheck, Invalid, Mode, OnDown,
    OnFull, ProbeSettings, ProbeType, Service, ServiceName, Shared, SynCookies, Timestamp,
};

/// A change of the desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Adds a service, at the end.
    AddService(Box<Service>),
    /// Changes a service.
    SetService {
        /// Which.
        service: ServiceName,
        /// What of it.
        change: Box<ServiceChange>,
    },
    /// Removes a service with its backends.
    RemoveService {
        /// Which.
        service: ServiceName,
    },
    /// Adds a backend, at the end of its service.
    AddBackend {
        /// Where.
        service: ServiceName,
        /// What.
        backend: Backend,
    },
    /// Changes a backend.
    SetBackend {
        /// Where.
        service: ServiceName,
        /// Which.
        backend: BackendName,
        /// What of it.
        change: BackendChange,
    },
    /// Lets a backend keep its flows but take none.
    DrainBackend {
        /// Where.
        service: ServiceName,
        /// Which.
        backend: BackendName,
        /// How long it has, and what happens then; `None`: as long as its flows take.
        deadline: Option<(Duration, DrainEnd)>,
    },
    /// Removes a backend; its flows end.
    RemoveBackend {
        /// Where.
        service: ServiceName,
        /// Which.
        backend: BackendName,
    },
}

/// Shortest time that a drain may be given.
const MIN_DRAIN: Duration = Duration::from_millis(100);

/// What changes of a service; `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// Mode. `nat` also drops the SNAT addresses, unless some are given.
    pub mode: Option<Mode>,
    /// Algorithm. Any but `source-hash` also drops the affinity prefix, unless one is given or affinity is kept.
    pub algorithm: Option<Algorithm>,
    /// Size of the slot table.
    pub slots: Option<u32>,
    /// Affinity prefix; the inner `None`: all bits.
    pub affinity_prefix: Option<Option<u8>>,
    /// For how long a client gets the backend it had; zero: not at all, which also drops the affinity prefix of an algorithm other than
    /// `source-hash`, unless one is given.
    pub affinity_timeout: Option<Duration>,
    /// Most flows at once; 0: any number.
    pub max_connections: Option<u32>,
    /// What becomes of packets that would begin one flow too many.
    pub on_full: Option<OnFull>,
    /// Whether SYNs are answered by cookies.
    pub syn_cookies: Option<SynCookies>,
    /// Who may begin flows.
    pub sources: SourceChange,
    /// How many may begin.
    pub rates: RateChange,
    /// SNAT addresses: the whole list.
    pub snat_addresses: Option<Vec<IpAddr>>,
    /// What becomes of TCP connections of a backend that takes no packets any more.
    pub on_down: Option<OnDown>,
    /// Over which a backend's weight rises after it came back.
    pub slow_start: Option<Duration>,
    /// With fewer healthy others than this, backups take flows.
    pub backup_below: Option<u32>,
    /// Health check.
    pub health: Option<HealthChange>,
}

/// What changes of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// No check any more.
    Remove,
    /// A check with these parameters; `None` stays, or is the default if there was no check.
    Set {
        /// Between the starts of two probes.
        interval: Option<Duration>,
        /// How long an answer may take.
        timeout: Option<Duration>,
        /// Successes in a row that bring a backend back.
        rise: Option<u32>,
        /// Failures in a row that take it out.
        fall: Option<u32>,
        /// Where to connect.
        port: Option<u16>,
        /// Everything about when, and what follows.
        rules: Box<HealthRules>,
        /// What a probe does. Another type drops the settings that do not belong to it.
        probe_type: Option<ProbeType>,
        /// Where probes are sent from.
        source: Option<IpAddr>,
        /// Keys that belong to the type.
        settings: ProbeSettings,
    },
}

/// What changes of a backend; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendChange {
    /// Weight.
    pub weight: Option<u16>,
    /// State.
    pub state: Option<AdminState>,
    /// Whether it is a backup.
    pub backup: Option<bool>,
    /// Most flows at once; 0: any number.
    pub max_connections: Option<u32>,
}

impl Edit {
    /// Changes a draft at the time `wall`. What comes out is to be checked.
    ///
    /// # Errors
    /// What is to be changed is not there, or what is to be added is there already.
    pub fn apply(&self, draft: &mut Draft, wall: Timestamp) -> Result<(), Error> {
        match self {
            Self::AddService(service) => add_service(draft, service),
            Self::SetService { service, change } => change.apply(find_service(draft, service)?),
            Self::RemoveService { service } => {
                find_service(draft, service)?;
                draft.services.retain(|other| other.name != *service);
                Ok(())
            }
            Self::AddBackend { service, backend } => add_backend(find_service(draft, service)?, backend),
            Self::SetBackend { service, backend, change } => {
                change.apply(find_backend(find_service(draft, service)?, backend)?);
                Ok(())
            }
            Self::DrainBackend { service, backend, deadline } => {
                let path = format!("services[{service}].backends[{backend}].deadline");
                let backend = find_backend(find_service(draft, service)?, backend)?;
                backend.state = AdminState::Draining;
                backend.drain = match *deadline {
                    None => None,
                    Some((time, then)) if (MIN_DRAIN..=MAX_DRAIN).contains(&time) => {
                        Some(Drain { until: wall.after(time), then })
                    }
                    Some((time, _)) => {
                        let time = time.as_secs_f64();
                        return Err(Error::invalid(
                            path,
                            format!("{time} s is not a deadline; expected 100ms to 168h"),
                        ));
                    }
                };
                Ok(())
            }
            Self::RemoveBackend { service, backend } => {
                let service = find_service(draft, service)?;
                find_backend(service, backend)?;
                service.backends.retain(|other| other.name != *backend);
                Ok(())
            }
        }
    }
}

/// As in the log: what is done to what.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(service) => write!(f, "add service {} at {}", service.name, service.at()),
            Self::SetService { service, .. } => write!(f, "change service {service}"),
            Self::RemoveService { service } => write!(f, "remove service {service}"),
            Self::AddBackend { service, backend } => {
                let at = SocketAddr::new(backend.address, backend.port);
                write!(f, "add backend {} at {at} to service {service}", backend.name)
            }
            Self::SetBackend { service, backend, .. } => {
                write!(f, "change backend {backend} of service {service}")
            }
            Self::DrainBackend { service, backend, deadline } => {
                write!(f, "drain backend {backend} of service {service}")?;
                match deadline {
                    Some((time, then)) => write!(f, " for {time:?}, then {then}"),
                    None => Ok(()),
                }
            }
            Self::RemoveBackend { service, backend } => {
                write!(f, "remove backend {backend} from service {service}")
            }
        }
    }
}

impl ServiceChange {
    fn apply(&self, service: &mut Service) -> Result<(), Error> {
        if let Some(mode) = self.mode {
            service.mode = mode;
            if mode == Mode::Nat {
                service.snat_addresses.clear();
            }
        }
        if let Some(algorithm) = self.algorithm {
            service.algorithm = algorithm;
        }
        service.affinity_timeout = self.affinity_timeout.unwrap_or(service.affinity_timeout);
        let changed = self.algorithm.is_some() || self.affinity_timeout.is_some();
        if changed && service.algorithm != Algorithm::SourceHash && service.affinity_timeout.is_zero() {
            service.affinity_prefix = None;
        }
        service.max_connections = self.max_connections.unwrap_or(service.max_connections);
        service.on_full = self.on_full.unwrap_or(service.on_full);
        service.syn_cookies = self.syn_cookies.unwrap_or(service.syn_cookies);
        service.slots = self.slots.or(service.slots);
        self.sources.apply(&mut service.sources);
        self.rates.apply(&mut service.rates);
        if let Some(on_down) = self.on_down {
            service.on_down = on_down;
        }
        if let Some(prefix) = self.affinity_prefix {
            service.affinity_prefix = prefix;
        }
        if let Some(addresses) = &self.snat_addresses {
            service.snat_addresses.clone_from(addresses);
        }
        service.slow_start = self.slow_start.unwrap_or(service.slow_start);
        service.backup_below = self.backup_below.unwrap_or(service.backup_below);
        if let Some(change) = &self.health {
            service.health = change.apply(service.health.as_ref()).map_err(|found| {
                super::invalid::within(&found, &format!("services[{}].health", service.name))
            })?;
        }
        Ok(())
    }
}

impl HealthChange {
    /// The check after the change.
    ///
    /// # Errors
    /// The settings do not make a probe of the type; paths are from the table of the check.
    pub fn apply(&self, current: Option<&HealthCheck>) -> Result<Option<HealthCheck>, Vec<Invalid>> {
        let Self::Set { interval, timeout, rise, fall, port, rules, probe_type, source, settings } = self
        else {
            return Ok(None);
        };
        let current = rules.apply(current.cloned().unwrap_or_default());
        Ok(Some(HealthCheck {
            probe: current.probe.changed(*probe_type, *source, settings)?.into(),
            interval: interval.unwrap_or(current.interval),
            timeout: timeout.unwrap_or(current.timeout),
            rise: rise.unwrap_or(current.rise),
            fall: fall.unwrap_or(current.fall),
            port: port.or(current.port),
            ..current
        }))
    }
}

impl BackendChange {
    fn apply(self, backend: &mut Backend) {
        backend.weight = self.weight.unwrap_or(backend.weight);
        backend.state = self.state.unwrap_or(backend.state);
        if backend.state != AdminState::Draining {
            backend.drain = None;
        }
        backend.backup = self.backup.unwrap_or(backend.backup);
        backend.max_connections = self.max_connections.unwrap_or(backend.max_connections);
    }
}

fn add_service(draft: &mut Draft, service: &Service) -> Result<(), Error> {
    if draft.service(&service.name).is_some() {
        return Err(Error::conflict(
            format!("services[{}]", service.name),
            format!(
                "there is a service `{0}` already; change it with `lbctl service set {0}`, or take another name",
                service.name
            ),
        ));
    }
    if let Some(other) = draft.services.iter().find(|other| other.at() == service.at()) {
        let message = format!(
            "service `{}` has {} already; a service is unique in address, protocol and port",
            other.name,
            service.at()
        );
        return Err(Error::conflict(format!("services[{}].address", service.name), message));
    }
    draft.services.push(service.clone().into());
    Ok(())
}

fn add_backend(service: &mut Service, backend: &Backend) -> Result<(), Error> {
    if service.backend(&backend.name).is_some() {
        return Err(Error::conflict(
            format!("services[{}].backends[{}]", service.name, backend.name),
            format!(
                "service `{0}` has a backend `{1}` already; change it with `lbctl backend set {0} {1}`, or take another name",
                service.name, backend.name
            ),
        ));
    }
    service.backends.push(backend.clone());
    Ok(())
}

fn find_service<'a>(draft: &'a mut Draft, name: &ServiceName) -> Result<&'a mut Service, Error> {
    let Some(position) = draft.services.iter().position(|service| service.name == *name) else {
        return Err(unknown_service(name.as_str(), &draft.services));
    };
    Ok(&mut draft.services[position])
}

fn find_backend<'a>(service: &'a mut Service, name: &BackendName) -> Result<&'a mut Backend, Error> {
    let Some(position) = service.backends.iter().position(|backend| backend.name == *name) else {
        return Err(unknown_backend(service, name.as_str()));
    };
    Ok(&mut service.backends[position])
}

/// There is no such service among `services`.
pub(crate) fn unknown_service(name: &str, services: &[Shared<Service>]) -> Error {
    let known: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    Error::unknown(format!("services[{name}]"), "service", name, &known)
}

/// There is no such backend in the service.
pub(crate) fn unknown_backend(service: &Service, name: &str) -> Error {
    let known: Vec<&str> = service.backends.iter().map(|backend| backend.name.as_str()).collect();
    Error::unknown(format!("services[{}].backends[{name}]", service.name), "backend", name, &known)
}
