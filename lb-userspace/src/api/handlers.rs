//! One function per method and path.

use std::sync::Arc;

use axum::{Json, extract::State, response::NoContent};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answer::{Answer, Created},
    convert,
    data::{DataError, DataSource},
    error::ApiError,
    extract::{Body, Names, Params, Text},
    resolve,
    router::Api,
    traffic::{Drop, Stats},
    types::{
        Backend, BackendPatch, Checked, NewBackend, NewDrain, NewService, Repaired, Service, ServicePatch,
        Status,
    },
    view::{self, Moment},
};
use crate::{
    config::Document,
    control::{Edit, Error, ErrorKind, Persist, Request, ServiceView, Snapshot},
    health::Rights,
    model::{BackendName, ServiceName},
};

/// The names in the path of a service.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ServicePath {
    /// Name of the service, or its address: `203.0.113.10:80/tcp`.
    service: String,
}

/// The names in the path of a backend.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BackendPath {
    /// Name of the service, or its address: `203.0.113.10:80/tcp`.
    service: String,
    /// Name of the backend, or its address: `10.0.0.11:8080`.
    backend: String,
}

/// Parameter of every change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Do not write it into the file.
    #[serde(default)]
    runtime: bool,
}

impl Change {
    fn request(&self, edit: Edit) -> Request {
        Request { edit, persist: if self.runtime { Persist::Runtime } else { Persist::File } }
    }
}

pub(super) async fn status(State(api): State<Api>) -> Answer<Status> {
    let flows = blocking(&api, DataSource::live_flows).await?;
    Ok(Json(describe(&api, flows).await?))
}

/// What lbd is doing, with so many flows.
pub(super) async fn describe(api: &Api, flows: u64) -> Result<Status, ApiError> {
    let snapshot = api.control.snapshot();
    let (uptime, interfaces) = blocking(api, |data| Ok((data.uptime(), data.interfaces()?))).await?;
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: uptime.as_secs(),
        config_file: api.config_file.clone(),
        unsaved_changes: snapshot.unsaved,
        restart_needed: snapshot.restart_needed.iter().map(|key| (*key).to_owned()).collect(),
        confirm_until: snapshot.confirm_until.map(|until| until.to_string()),
        problem: snapshot.problem.clone(),
        pins_out_of_reach: api.data.is_out_of_reach(),
        drift_repaired: snapshot.reconciled.drift.total(),
        event_subscribers: api.events.counts().subscriptions,
        interfaces,
        services: snapshot.services.len(),
        panic: view::in_panic(&snapshot),
        backends: view::totals(&snapshot),
        flows,
    })
}

pub(super) async fn services(State(api): State<Api>) -> Json<Vec<Service>> {
    let snapshot = api.control.snapshot();
    let moment = moment(&api, &snapshot);
    Json(snapshot.services.iter().map(|service| view::service(service, &moment)).collect())
}

pub(super) async fn service(
    State(api): State<Api>,
    Names(ServicePath { service: name }): Names<ServicePath>,
) -> Answer<Service> {
    let snapshot = api.control.snapshot();
    Ok(Json(view::service(find_service(&snapshot, &name)?, &moment(&api, &snapshot))))
}

pub(super) async fn add_service(
    State(api): State<Api>,
    Params(change): Params<Change>,
    Body(body): Body<NewService>,
) -> Result<Created<Service>, ApiError> {
    let service = convert::new_service(&body)?;
    let snapshot = api.control.request(change.request(Edit::AddService(Box::new(service)))).await?;
    Ok(Created(view::service(find_service(&snapshot, &body.name)?, &moment(&api, &snapshot))))
}

pub(super) async fn set_service(
    State(api): State<Api>,
    Names(ServicePath { service: name }): Names<ServicePath>,
    Params(change): Params<Change>,
    Body(body): Body<ServicePatch>,
) -> Answer<Service> {
    let service = service_name(&api.control.snapshot(), &name)?;
    let edit = Edit::SetService { service, change: Box::new(convert::service_change(&body)?) };
    let snapshot = api.control.request(change.request(edit)).await?;
    Ok(Json(view::service(find_service(&snapshot, &name)?, &moment(&api, &snapshot))))
}

pub(super) async fn remove_service(
    State(api): State<Api>,
    Names(ServicePath { service: name }): Names<ServicePath>,
    Params(change): Params<Change>,
) -> Result<NoContent, ApiError> {
    let service = service_name(&api.control.snapshot(), &name)?;
    api.control.request(change.request(Edit::RemoveService { service })).await?;
    Ok(NoContent)
}

pub(super) async fn backends(
    State(api): State<Api>,
    Names(ServicePath { service: name }): Names<ServicePath>,
) -> Answer<Vec<Backend>> {
    let snapshot = api.control.snapshot();
    let (service, moment) = (find_service(&snapshot, &name)?, moment(&api, &snapshot));
    Ok(Json(service.backends.iter().map(|backend| view::backend(service, backend, &moment)).collect()))
}

pub(super) async fn add_backend(
    State(api): State<Api>,
    Names(ServicePath { service: name }): Names<ServicePath>,
    Params(change): Params<Change>,
    Body(body): Body<NewBackend>,
) -> Result<Created<Backend>, ApiError> {
    let snapshot = api.control.snapshot();
    let service = find_service(&snapshot, &name)?.desired.name.clone();
    let backend = convert::new_backend(&body, find_service(&snapshot, &name)?.desired.port)?;
    let snapshot = api.control.request(change.request(Edit::AddBackend { service, backend })).await?;
    Ok(Created(find_backend(&snapshot, &name, &body.name, &moment(&api, &snapshot))?))
}

pub(super) async fn set_backend(
    State(api): State<Api>,
    Names(BackendPath { service, backend }): Names<BackendPath>,
    Params(change): Params<Change>,
    Body(body): Body<BackendPatch>,
) -> Answer<Backend> {
    let names = backend_name(&api.control.snapshot(), &service, &backend)?;
    let edit =
        Edit::SetBackend { service: names.0, backend: names.1, change: convert::backend_change(&body)? };
    let snapshot = api.control.request(change.request(edit)).await?;
    Ok(Json(find_backend(&snapshot, &service, &backend, &moment(&api, &snapshot))?))
}

pub(super) async fn backend(
    State(api): State<Api>,
    Names(BackendPath { service, backend }): Names<BackendPath>,
) -> Answer<Backend> {
    let snapshot = api.control.snapshot();
    Ok(Json(find_backend(&snapshot, &service, &backend, &moment(&api, &snapshot))?))
}

pub(super) async fn drain_backend(
    State(api): State<Api>,
    Names(BackendPath { service, backend }): Names<BackendPath>,
    Params(change): Params<Change>,
    Body(body): Body<NewDrain>,
) -> Answer<Backend> {
    let names = backend_name(&api.control.snapshot(), &service, &backend)?;
    let deadline = convert::new_drain(&body)?;
    let edit = Edit::DrainBackend { service: names.0, backend: names.1, deadline };
    let snapshot = api.control.request(change.request(edit)).await?;
    Ok(Json(find_backend(&snapshot, &service, &backend, &moment(&api, &snapshot))?))
}

pub(super) async fn remove_backend(
    State(api): State<Api>,
    Names(BackendPath { service, backend }): Names<BackendPath>,
    Params(change): Params<Change>,
) -> Result<NoContent, ApiError> {
    let (service, backend) = backend_name(&api.control.snapshot(), &service, &backend)?;
    api.control.request(change.request(Edit::RemoveBackend { service, backend })).await?;
    Ok(NoContent)
}

pub(super) async fn stats(State(api): State<Api>) -> Answer<Stats> {
    let counters = blocking(&api, DataSource::stats).await?;
    Ok(Json(view::stats(&api.control.snapshot(), counters)))
}

pub(super) async fn drops(State(api): State<Api>) -> Answer<Vec<Drop>> {
    let counts = blocking(&api, DataSource::drops).await?;
    Ok(Json(view::drops(&counts)))
}

pub(super) async fn reload(State(api): State<Api>) -> Answer<Checked> {
    let snapshot = api.control.reload().await?;
    Ok(Json(view::checked(&snapshot.config)))
}

pub(super) async fn repair(State(api): State<Api>) -> Answer<Repaired> {
    let before = api.control.snapshot().reconciled.drift;
    let after = api.control.repair().await?.reconciled.drift;
    Ok(Json(view::repaired(&after.since(&before))))
}

pub(super) async fn check(Text(text): Text) -> Answer<Checked> {
    // Certificates and keys are looked at as well.
    let checked = tokio::task::spawn_blocking(move || {
        let document = Document::new("body", text);
        let config = document.config()?;
        document.usable(&config, Rights::Needed).map(|_| view::checked(&config))
    });
    let stopping = |_| Error::new(ErrorKind::Unavailable, "", "lbd is stopping");
    Ok(Json(checked.await.map_err(stopping)?.map_err(Error::from)?))
}

/// Reads from the maps on a thread where that may block.
pub(super) async fn blocking<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(&dyn DataSource) -> Result<T, DataError> + Send + 'static,
) -> Result<T, ApiError> {
    let data = Arc::clone(&api.data);
    let result = tokio::task::spawn_blocking(move || read(data.as_ref())).await;
    result
        .map_err(|error| DataError(format!("reading the maps failed ({error}); see the log of `lbd`")))?
        .map_err(Into::into)
}

/// What a view of `snapshot` needs besides it.
pub(super) fn moment<'a>(api: &'a Api, snapshot: &'a Snapshot) -> Moment<'a> {
    Moment {
        now: api.data.now(),
        drains: &snapshot.drains,
        occupancy: api.data.occupancy(),
        suspects: api.data.suspects(),
        data: api.data.as_ref(),
    }
}

fn find_service<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a ServiceView, Error> {
    resolve::service(snapshot, name)
}

fn find_backend(
    snapshot: &Snapshot,
    service: &str,
    name: &str,
    moment: &Moment<'_>,
) -> Result<Backend, Error> {
    let service = find_service(snapshot, service)?;
    let found = resolve::backend(service, name)?;
    Ok(view::backend(service, found, moment))
}

fn service_name(snapshot: &Snapshot, name: &str) -> Result<ServiceName, Error> {
    Ok(find_service(snapshot, name)?.desired.name.clone())
}

fn backend_name(snapshot: &Snapshot, service: &str, name: &str) -> Result<(ServiceName, BackendName), Error> {
    let service = find_service(snapshot, service)?;
    let backend = resolve::backend(service, name)?;
    Ok((service.desired.name.clone(), backend.desired.name.clone()))
}
