//! The commands that talk to the daemon.

use std::time::Duration;

use hyper::{Method, body::Bytes};
use serde::Serialize;

use super::{
    acl,
    args::{
        BackendArg, BackendCommand, BackendOptions, ChangeArgs, ServiceAdd, ServiceCommand, ServiceOptions,
        ServiceSet,
    },
    drain,
    failure::{Exit, Failure},
    render::{self, Style},
};
use crate::api::{
    Backend, BackendPatch, Checked, Client, Health, NewBackend, NewService, Repaired, Service, ServicePatch,
    Stats, Status, encode,
};
use crate::model::AdminState;

pub(super) type Text = Result<String, Failure>;

/// What every command needs.
#[derive(Debug)]
pub(super) struct Session {
    /// The daemon.
    pub(super) client: Client,
    /// JSON instead of text.
    pub(super) json: bool,
    /// JSON as one line.
    pub(super) lines: bool,
    /// How text looks.
    pub(super) style: Style,
}

impl Session {
    /// A value as JSON or as text.
    pub(super) fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Text {
        if !self.json {
            return Ok(text(value));
        }
        let json =
            if self.lines { serde_json::to_string(value) } else { serde_json::to_string_pretty(value) };
        json.map(|json| json + "\n").map_err(|error| Failure::new(Exit::General, error.to_string()))
    }
}

pub(super) async fn status(session: &Session) -> Text {
    let status: Status = session.client.get("/v1/status").await?;
    session.show(&status, |status| render::status(status, session.style))
}

pub(super) async fn service(session: &Session, command: ServiceCommand) -> Text {
    let client = &session.client;
    match command {
        ServiceCommand::List => {
            let services: Vec<Service> = client.get("/v1/services").await?;
            session.show(&services, |services| render::services(services, session.style))
        }
        ServiceCommand::Show { service } => {
            let service: Service = client.get(&service_path(&service.service)).await?;
            session.show(&service, |service| render::service(service, session.style))
        }
        ServiceCommand::Add(add) => {
            let path = with_query("/v1/services".to_owned(), add.change);
            let service: Service = client.send(Method::POST, &path, &new_service(&add)).await?;
            session.show(&service, |service| done("service", &[&service.name], "added", add.change))
        }
        ServiceCommand::Set(set) => {
            let patch = service_patch(&set)?;
            let path = with_query(service_path(&set.service.service), set.change);
            let service: Service = client.send(Method::PATCH, &path, &patch).await?;
            session.show(&service, |service| done("service", &[&service.name], "changed", set.change))
        }
        ServiceCommand::Remove { service, change } => {
            client
                .call(Method::DELETE, &with_query(service_path(&service.service), change), Bytes::new())
                .await?;
            Ok(removed(session, "service", &[&service.service], change))
        }
    }
}

pub(super) async fn backend(session: &Session, command: BackendCommand) -> Text {
    let client = &session.client;
    match command {
        BackendCommand::List { service: Some(service) } => {
            let backends: Vec<Backend> = client.get(&format!("{}/backends", service_path(&service))).await?;
            session.show(&backends, |backends| render::backends(&service, backends, session.style))
        }
        BackendCommand::Show(backend) => {
            let shown: Backend = client.get(&backend_path(&backend)).await?;
            session.show(&shown, |shown| render::backend(&backend.service.service, shown, session.style))
        }
        BackendCommand::List { service: None } => {
            let services: Vec<Service> = client.get("/v1/services").await?;
            let all: Vec<OfService<'_>> = services.iter().flat_map(OfService::all).collect();
            session.show(&all, |_| render::all_backends(&services, session.style))
        }
        BackendCommand::Add { backend: BackendArg { service, backend }, endpoint, options, change } => {
            let body = NewBackend {
                name: backend,
                address: endpoint.address.to_string(),
                port: endpoint.port,
                weight: options.weight,
                state: options.state,
                backup: options.backup,
                max_connections: options.max_connections,
            };
            let path = with_query(format!("{}/backends", service_path(&service.service)), change);
            let backend: Backend = client.send(Method::POST, &path, &body).await?;
            session.show(&backend, |backend| {
                done("backend", &[&service.service, &backend.name], "added", change)
            })
        }
        BackendCommand::Set { backend, options, change } => {
            let BackendOptions { weight, state, backup, max_connections } = options;
            let patch = BackendPatch { weight, state, backup, max_connections };
            if patch == BackendPatch::default() {
                return Err(nothing_to_change("--weight, --state, --backup or --max-connections"));
            }
            let path = with_query(backend_path(&backend), change);
            let changed: Backend = client.send(Method::PATCH, &path, &patch).await?;
            let service = &backend.service.service;
            session.show(&changed, |changed| done("backend", &[service, &changed.name], "changed", change))
        }
        BackendCommand::Drain(args) => drain::drain(session, args).await,
        BackendCommand::Undrain { backend, change } | BackendCommand::Enable { backend, change } => {
            drain::set_state(session, &backend, AdminState::Enabled, change).await
        }
        BackendCommand::Disable { backend, change } => {
            drain::set_state(session, &backend, AdminState::Disabled, change).await
        }
        BackendCommand::Remove { backend, change } => {
            client.call(Method::DELETE, &with_query(backend_path(&backend), change), Bytes::new()).await?;
            Ok(removed(session, "backend", &[&backend.service.service, &backend.backend], change))
        }
    }
}

/// A backend with the name of its service, for the list of all.
#[derive(Serialize)]
struct OfService<'a> {
    service: &'a str,
    #[serde(flatten)]
    backend: &'a Backend,
}

impl<'a> OfService<'a> {
    /// All backends of a service.
    fn all(service: &'a Service) -> impl Iterator<Item = Self> {
        service.backends.iter().map(|backend| OfService { service: &service.name, backend })
    }
}

pub(super) async fn stats(session: &Session, rate: Option<u64>) -> Text {
    let first: Stats = session.client.get("/v1/stats").await?;
    let Some(seconds) = rate else {
        return session.show(&first, |stats| render::stats(stats, render::Figures::Totals, session.style));
    };
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let second: Stats = session.client.get("/v1/stats").await?;
    let rates = render::rates(&first, &second, Duration::from_secs(seconds));
    session.show(&rates, |rates| render::stats(rates, render::Figures::Rates, session.style))
}

pub(super) async fn reload(session: &Session) -> Text {
    let loaded: Checked = session.client.json(Method::POST, "/v1/config/reload", Bytes::new()).await?;
    session.show(&loaded, |loaded| {
        format!("configuration loaded; services: {}, backends: {}\n", loaded.services, loaded.backends)
    })
}

pub(super) async fn repair(session: &Session) -> Text {
    let repaired: Repaired = session.client.json(Method::POST, "/v1/config/repair", Bytes::new()).await?;
    session.show(&repaired, render::repaired)
}

fn new_service(add: &ServiceAdd) -> NewService {
    let (options, sources) = (&add.options, &add.options.sources);
    NewService {
        name: add.service.service.clone(),
        address: add.address.to_string(),
        protocol: add.protocol.clone(),
        port: add.port,
        mode: options.mode.clone(),
        algorithm: options.algorithm.clone(),
        slots: options.slots,
        affinity_prefix: options.affinity_prefix,
        affinity_timeout: options.affinity_timeout.clone(),
        max_connections: options.max_connections,
        on_full: options.on_full.clone(),
        syn_cookies: options.syn_cookies.clone(),
        allow: acl::list(sources.allow.as_ref()).unwrap_or_default(),
        allow_file: sources.allow_file.clone().filter(|file| !file.is_empty()),
        deny: acl::list(sources.deny.as_ref()).unwrap_or_default(),
        deny_file: sources.deny_file.clone().filter(|file| !file.is_empty()),
        flow_rate: options.rates.flow_rate,
        flow_burst: options.rates.flow_burst,
        source_flow_rate: options.rates.source_flow_rate,
        source_flow_burst: options.rates.source_flow_burst,
        packet_rate: options.rates.packet_rate,
        packet_burst: options.rates.packet_burst,
        source_packet_rate: options.rates.source_packet_rate,
        source_packet_burst: options.rates.source_packet_burst,
        source_max_connections: options.rates.source_max_connections,
        source_max_embryonic: options.rates.source_max_embryonic,
        source_prefix: options.rates.source_prefix,
        snat_addresses: options.snat_addresses.iter().map(ToString::to_string).collect(),
        on_down: options.on_down.clone(),
        slow_start: options.slow_start.clone(),
        backup_below: options.backup_below,
        health: health(options, add.health),
        backends: Vec::new(),
    }
}

fn service_patch(set: &ServiceSet) -> Result<ServicePatch, Failure> {
    let options = &set.options;
    let addresses: Vec<String> = options.snat_addresses.iter().map(ToString::to_string).collect();
    let mut patch = ServicePatch {
        mode: options.mode.clone(),
        algorithm: options.algorithm.clone(),
        slots: options.slots,
        affinity_prefix: options.affinity_prefix.map(Some),
        affinity_timeout: options.affinity_timeout.clone(),
        max_connections: options.max_connections,
        on_full: options.on_full.clone(),
        syn_cookies: options.syn_cookies.clone(),
        snat_addresses: (!addresses.is_empty()).then_some(addresses),
        on_down: options.on_down.clone(),
        slow_start: options.slow_start.clone(),
        backup_below: options.backup_below,
        health: if set.no_health { Some(None) } else { health(options, set.health).map(Some) },
        ..ServicePatch::default()
    };
    acl::add_rates(&mut patch, options.rates);
    acl::add_sources(&mut patch, &options.sources);
    if patch == ServicePatch::default() {
        return Err(nothing_to_change("an option such as --algorithm (see `lbctl service set --help`)"));
    }
    Ok(patch)
}

/// The health check that the options describe; naming one parameter is enough to want a check.
fn health(options: &ServiceOptions, wanted: bool) -> Option<Health> {
    let rules = &options.health_rules;
    let health = Health {
        fast_interval: rules.health_fast_interval.clone(),
        jitter: rules.health_jitter.clone(),
        max_flaps: rules.health_max_flaps,
        flap_window: rules.health_flap_window.clone(),
        hold_down: rules.health_hold_down.clone(),
        max_hold_down: rules.health_max_hold_down.clone(),
        max_ejected: rules.max_ejected,
        panic_threshold: rules.panic_threshold,
        ..options.health.body()
    };
    (wanted || health != Health::default()).then_some(health)
}

fn nothing_to_change(options: &str) -> Failure {
    Failure::new(Exit::Invalid, format!("nothing to change; give {options}"))
}

pub(super) fn service_path(service: &str) -> String {
    format!("/v1/services/{}", encode(service))
}

pub(super) fn backend_path(backend: &BackendArg) -> String {
    format!("{}/backends/{}", service_path(&backend.service.service), encode(&backend.backend))
}

pub(super) fn with_query(path: String, change: ChangeArgs) -> String {
    if change.runtime { path + "?runtime=true" } else { path }
}

pub(super) fn done(what: &str, names: &[&String], verb: &str, change: ChangeArgs) -> String {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let unsaved = if change.runtime { " (not in the configuration file)" } else { "" };
    format!("{what} {} {verb}{unsaved}\n", names.join(" "))
}

/// The API answers a removal with nothing; so does its JSON.
fn removed(session: &Session, what: &str, names: &[&String], change: ChangeArgs) -> String {
    if session.json { String::new() } else { done(what, names, "removed", change) }
}
