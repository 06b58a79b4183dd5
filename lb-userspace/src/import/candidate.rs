//! What the readers found, before it is a configuration: services as the input has them, each with the statements it comes from.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::check::Checked;
use super::names::Names;
use super::report::{Effect, Id, Ledger};
use super::{Options, check};
use crate::config::format_duration;
use crate::model::{
    AdminState, Algorithm, Backend, BackendName, DEFAULT_WEIGHT, Draft, InterfaceName, Limits, Mode, OnDown,
    Protocol, Segment, Service, ServiceAddress, ServiceName, Shared, SourceList, Timeouts, VirtualRouter,
    check_services,
};

/// The interface of a configuration whose input names none.
const PLACEHOLDER: &str = "eth0";
/// Most services of a configuration; what the model accepts.
const MOST_SERVICES: usize = 65_535;
/// Most backends of a configuration; what the model accepts.
const MOST_BACKENDS: usize = 1 << 20;
/// Most pairs of SNAT address and backend; what the model accepts.
const MOST_POOLS: usize = 1 << 16;

/// Bounds of a slow start.
const SLOW_START: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Everything found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) services: Vec<Candidate>,
    /// Interfaces that the input names.
    pub(super) interfaces: Vec<String>,
    pub(super) timeouts: Timeouts,
    pub(super) vrrp: Vec<VirtualRouter>,
}

/// A service of the input.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) statement: Id,
    /// The name it should have.
    pub(super) name: String,
    pub(super) at: ServiceAddress,
    pub(super) algorithm: Algorithm,
    /// Bits of the client's address that count.
    pub(super) affinity_prefix: Option<u8>,
    /// For how long a client gets the backend it had; zero: no affinity is kept.
    pub(super) affinity_timeout: Duration,
    /// Whether its backends see another address than the client's.
    pub(super) source_nat: bool,
    /// Addresses that they see, as far as the input says.
    pub(super) snat_addresses: Vec<IpAddr>,
    /// Who may begin flows.
    pub(super) sources: SourceList,
    pub(super) backends: Vec<CandidateBackend>,
}

impl Candidate {
    /// A service without backends.
    pub(super) fn new(statement: Id, name: impl Into<String>, at: ServiceAddress) -> Self {
        Self {
            statement,
            name: name.into(),
            at,
            algorithm: Algorithm::default(),
            affinity_prefix: None,
            affinity_timeout: Duration::ZERO,
            source_nat: false,
            snat_addresses: Vec::new(),
            sources: SourceList::default(),
            backends: Vec::new(),
        }
    }
}

/// A backend of the input.
#[derive(Clone, Debug)]
pub(super) struct CandidateBackend {
    pub(super) statement: Id,
    /// The name it should have; `None`: one made of its address.
    pub(super) name: Option<String>,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// `None`: the input gives none.
    pub(super) weight: Option<u32>,
    pub(super) state: AdminState,
    /// Whether it takes flows only while too few of the others are healthy.
    pub(super) backup: bool,
    /// Most connections at once; 0: any number.
    pub(super) max_connections: u32,
    /// Over which its weight rises.
    pub(super) slow_start: Duration,
    /// Whether its connections are reset when it goes down.
    pub(super) reset: bool,
    /// How it is checked.
    pub(super) check: Option<Checked>,
}

impl CandidateBackend {
    /// A backend of which nothing else is known.
    pub(super) fn new(statement: Id, address: IpAddr, port: u16) -> Self {
        Self {
            statement,
            name: None,
            address,
            port,
            weight: None,
            state: AdminState::Enabled,
            backup: false,
            max_connections: 0,
            slow_start: Duration::ZERO,
            reset: false,
            check: None,
        }
    }
}

impl Found {
    /// A configuration of it that is valid; what cannot be in one is reported and left out.
    pub(super) fn draft(self, file: &Arc<str>, options: &Options, ledger: &mut Ledger) -> Draft {
        let mut draft = Draft {
            interfaces: interfaces(&self.interfaces, file, options, ledger),
            timeouts: self.timeouts,
            vrrp: self.vrrp,
            ..Draft::default()
        };
        let (mut names, mut origins) = (Names::default(), Vec::new());
        for candidate in self.services {
            let Some((service, statements)) = candidate.service(&mut names, options, ledger) else {
                continue;
            };
            draft.services.push(Shared::from(service));
            origins.push(statements);
        }
        repair(&mut draft, &mut origins, ledger);
        grow_limits(&mut draft);
        if draft.services.is_empty() {
            ledger.general(file, Effect::Assumed, "there is no service that can be imported");
        }
        draft
    }
}

/// The statements of a service and of its backends.
struct Origin {
    service: Id,
    backends: Vec<Id>,
}

fn interfaces(
    found: &[String],
    file: &Arc<str>,
    options: &Options,
    ledger: &mut Ledger,
) -> Vec<InterfaceName> {
    let given = if options.interfaces.is_empty() {
        found.iter().filter_map(|name| InterfaceName::new(name.as_str()).ok()).collect()
    } else {
        options.interfaces.clone()
    };
    let mut unique = HashSet::new();
    let mut list: Vec<InterfaceName> =
        given.into_iter().filter(|name: &InterfaceName| unique.insert(name.clone())).collect();
    if options.interfaces.is_empty() && !list.is_empty() {
        let names: Vec<&str> = list.iter().map(InterfaceName::as_str).collect();
        let message = format!(
            "interfaces = {names:?} comes from vrrp_instance; clients and backends must both be reached through them (--interface)"
        );
        ledger.general(file, Effect::Assumed, message);
    }
    if list.is_empty() {
        list.extend(InterfaceName::new(PLACEHOLDER).ok());
        let message = format!(
            "the input names no interfaces; interfaces = [\"{PLACEHOLDER}\"] is a placeholder: give those that clients and backends are \
             reached through (--interface)"
        );
        ledger.general(file, Effect::Assumed, message);
    }
    list
}

impl Candidate {
    fn service(self, names: &mut Names, options: &Options, ledger: &mut Ledger) -> Option<(Service, Origin)> {
        let name = ServiceName::new(names.take(&self.name)).ok()?;
        let mut service = Service::new(name, self.at);
        service.sources = self.sources.clone();
        service.algorithm = self.algorithm;
        service.affinity_timeout = self.affinity_timeout;
        let keeps = self.algorithm == Algorithm::SourceHash || !self.affinity_timeout.is_zero();
        service.affinity_prefix = self.affinity_prefix.filter(|_| keeps);
        self.set_mode(&mut service, options, ledger);
        let checks: Vec<(Id, Option<&Checked>)> =
            self.backends.iter().map(|backend| (backend.statement, backend.check.as_ref())).collect();
        let mut ports = self.backends.iter().map(|backend| backend.port);
        let server_port = ports.next().filter(|first| *first != 0 && ports.all(|port| port == *first));
        service.health = check::of_service(&self.at, &checks, server_port, ledger);
        self.set_pool(&mut service, ledger);
        let weights = weights(&self.backends, ledger);
        let mut backend_names = Names::default();
        let mut origin = Origin { service: self.statement, backends: Vec::new() };
        for (backend, weight) in self.backends.into_iter().zip(weights) {
            let wanted =
                backend.name.unwrap_or_else(|| backend_name(backend.address, backend.port, self.at.port));
            let Ok(name) = BackendName::new(backend_names.take(&wanted)) else { continue };
            let CandidateBackend { address, port, state, backup, max_connections, .. } = backend;
            service.backends.push(Backend {
                name,
                address,
                port,
                weight,
                state,
                drain: None,
                backup,
                max_connections,
            });
            origin.backends.push(backend.statement);
        }
        Some((service, origin))
    }

    /// What is said of each server there, and of the service here.
    fn set_pool(&self, service: &mut Service, ledger: &mut Ledger) {
        let slowest = self.backends.iter().map(|backend| backend.slow_start).max().unwrap_or_default();
        let any_reset = self.backends.iter().any(|backend| backend.reset);
        service.slow_start =
            if slowest.is_zero() { slowest } else { slowest.clamp(SLOW_START.0, SLOW_START.1) };
        service.on_down = if any_reset { OnDown::Reset } else { OnDown::Reselect };
        for backend in &self.backends {
            if backend.slow_start != service.slow_start {
                let time = format_duration(service.slow_start);
                ledger.changed(
                    backend.statement,
                    format!("slow start is the same for all backends of a service: {time}"),
                );
            }
            if backend.reset != any_reset {
                ledger.changed(
                    backend.statement,
                    "what becomes of connections is the same for all backends of a service: they are reset when it goes down",
                );
            }
        }
    }

    fn set_mode(&self, service: &mut Service, options: &Options, ledger: &mut Ledger) {
        if !self.source_nat {
            return;
        }
        let same_family = |address: &&IpAddr| address.is_ipv4() == self.at.address.is_ipv4();
        let given =
            if self.snat_addresses.is_empty() { &options.snat_addresses } else { &self.snat_addresses };
        let mut unique = HashSet::new();
        service.snat_addresses =
            given.iter().filter(same_family).filter(|address| unique.insert(**address)).copied().collect();
        if service.snat_addresses.is_empty() {
            ledger.changed(
                self.statement,
                "its backends saw an address of the balancer, and see the client's in mode `nat`: their way back to the clients must lead \
                 through this machine; --snat-address ADDRESS imports it as mode `full-nat` instead",
            );
        } else {
            service.mode = Mode::FullNat;
        }
    }
}

/// A name made of an address.
fn backend_name(address: IpAddr, port: u16, service_port: u16) -> String {
    if port == service_port { format!("b-{address}") } else { format!("b-{address}-{port}") }
}

/// The weights; where all have the same weight of 0 or 1 or none is given, the default, so that backends that are added later fit.
fn weights(backends: &[CandidateBackend], ledger: &mut Ledger) -> Vec<u16> {
    let alike = backends.iter().all(|backend| backend.weight.unwrap_or(1) == 1);
    let mut weights = Vec::with_capacity(backends.len());
    for backend in backends {
        let weight = backend.weight.unwrap_or(1);
        weights.push(if alike { DEFAULT_WEIGHT } else { u16::try_from(weight).unwrap_or(u16::MAX) });
        if weight > u32::from(u16::MAX) {
            ledger
                .changed(backend.statement, format!("weight {weight} is more than 65535, which it has now"));
        }
    }
    weights
}

/// Takes out what the model refuses, each with a word on why. What is wrong with a service's own keys takes the service out.
fn repair(draft: &mut Draft, origins: &mut Vec<Origin>, ledger: &mut Ledger) {
    // No limits here: they are made large enough afterwards.
    let limits = Limits { services: u32::MAX, backends: u32::MAX, port_pools: u32::MAX, ..Limits::default() };
    trim(draft, origins, ledger);
    loop {
        let services: Vec<(usize, &Service)> =
            draft.services.iter().map(|service| &**service).enumerate().collect();
        let invalid = check_services(&services, &limits);
        if invalid.is_empty() {
            return;
        }
        let (mut bad_services, mut bad_backends) = (HashSet::new(), HashSet::new());
        let mut bad_checks = HashSet::new();
        for wrong in &invalid {
            let message = format!("{wrong}").replacen(&format!("{}: ", wrong.path), "", 1);
            let message = format!("not importable: {}", with_names(&message, &draft.services));
            match wrong.path.segments() {
                [
                    Segment::Key(_),
                    Segment::Index(service),
                    Segment::Key(key),
                    Segment::Index(backend),
                    ..,
                ] if key == "backends" => {
                    if bad_backends.insert((*service, *backend)) {
                        ledger.dropped(origins[*service].backends[*backend], message);
                    }
                }
                [Segment::Key(_), Segment::Index(service), Segment::Key(key), ..] if key == "health" => {
                    bad_checks.insert(*service);
                    let message = message.replacen("not importable", "its servers are not checked", 1);
                    ledger.changed(origins[*service].service, message);
                }
                [Segment::Key(_), Segment::Index(service), ..] => {
                    if bad_services.insert(*service) {
                        ledger.dropped(origins[*service].service, message);
                    }
                }
                // Nothing but services is looked at.
                _ => bad_services.extend(0..origins.len()),
            }
        }
        let mut bad_backends: Vec<(usize, usize)> = bad_backends.into_iter().collect();
        bad_backends.sort_unstable();
        for (service, backend) in bad_backends.into_iter().rev() {
            draft.services[service].backends.remove(backend);
            origins[service].backends.remove(backend);
        }
        bad_checks.into_iter().for_each(|service: usize| draft.services[service].health = None);
        remove_all(origins, &bad_services);
        remove_all(&mut draft.services, &bad_services);
    }
}

/// Removes what is at these places.
fn remove_all<T>(list: &mut Vec<T>, places: &HashSet<usize>) {
    let mut index = 0;
    list.retain(|_| {
        index += 1;
        !places.contains(&(index - 1))
    });
}

/// A message with names instead of places in a list that the reader does not see.
fn with_names(message: &str, services: &[Shared<Service>]) -> String {
    let mut named = message.to_owned();
    for (index, service) in services.iter().enumerate() {
        let place = format!("services[{index}]");
        if !named.contains(&place) {
            continue;
        }
        for (index, backend) in service.backends.iter().enumerate() {
            named = named.replace(
                &format!("{place}.backends[{index}]"),
                &format!("backend `{}` of service `{}`", backend.name, service.name),
            );
        }
        named = named.replace(&place, &format!("service `{}`", service.name));
    }
    named
}

/// Takes out what is more than any configuration can hold.
fn trim(draft: &mut Draft, origins: &mut Vec<Origin>, ledger: &mut Ledger) {
    let (mut backends, mut pools, mut keep) = (0, 0, 0);
    for service in &draft.services {
        backends += service.backends.len();
        pools += service.backends.len() * service.snat_addresses.len();
        if backends > MOST_BACKENDS || pools > MOST_POOLS || keep == MOST_SERVICES {
            break;
        }
        keep += 1;
    }
    for origin in &origins[keep..] {
        ledger.dropped(origin.service, "this is more than a configuration can hold");
    }
    draft.services.truncate(keep);
    origins.truncate(keep);
}

/// Makes the maps large enough for what was imported.
fn grow_limits(draft: &mut Draft) {
    let backends: usize = draft.services.iter().map(|service| service.backends.len()).sum();
    let pools: usize =
        draft.services.iter().map(|service| service.backends.len() * service.snat_addresses.len()).sum();
    let at_least = |limit: u32, needed: usize| limit.max(u32::try_from(needed).unwrap_or(u32::MAX));
    draft.limits.services = at_least(draft.limits.services, draft.services.len());
    draft.limits.backends = at_least(draft.limits.backends, backends);
    draft.limits.port_pools = at_least(draft.limits.port_pools, pools);
}

/// Whether a service is UDP.
pub(super) const fn is_udp(at: &ServiceAddress) -> bool {
    matches!(at.protocol, Protocol::Udp)
}
