//! Which handler answers what.

use std::{sync::Arc, time::Duration};

use aide::axum::{
    ApiRouter,
    routing::{delete_with, get_with, post_with},
};
use axum::{
    Router,
    body::HttpBody as _,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};

use super::{
    acl, captures as copies, configuration as whole,
    data::DataSource,
    error::ApiError,
    events, explain, flows, handlers as on, history, limits,
    openapi::{self, about, about_failing, changes},
    overview, replication,
    seats::Progress,
    vrrp,
};
use crate::{control::Handle, events::Bus};

/// Largest body of a request in bytes.
const BODY_LIMIT: usize = 1 << 20;
/// Longest time for a request, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The way to control.
    pub control: Handle,
    /// What the data path knows.
    pub data: Arc<dyn DataSource>,
    /// What happened.
    pub events: Bus,
    /// Name of the configuration file.
    pub config_file: String,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("config_file", &self.config_file).finish_non_exhaustive()
    }
}

/// All routes, the OpenAPI document about them among them.
pub fn router(api: Api) -> Router {
    openapi::finish(routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(bounded))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(api)
}

/// The routes with what each is for. They are added by `api_route` only: what is added by `route` is not in the document.
pub(super) fn routes() -> ApiRouter<Api> {
    ApiRouter::new()
        .api_route("/v1/openapi.json", get_with(openapi::document, about("openapi", "This document.")))
        .api_route("/v1/status", get_with(on::status, about("status", "What lbd is doing.")))
        .merge(services())
        .merge(figures())
        .merge(captures())
        .merge(admission())
        .merge(virtual_routers())
        .merge(config())
}

fn services() -> ApiRouter<Api> {
    ApiRouter::new()
        .api_route(
            "/v1/services",
            get_with(on::services, about("services", "All services with their backends."))
                .post_with(on::add_service, changes("addService", "Adds a service.")),
        )
        .api_route(
            "/v1/services/{service}",
            get_with(on::service, about("service", "A service with its backends."))
                .patch_with(
                    on::set_service,
                    changes("setService", "Changes a service; what is left out stays."),
                )
                .delete_with(
                    on::remove_service,
                    changes("removeService", "Removes a service; its flows end."),
                ),
        )
        .api_route(
            "/v1/services/{service}/backends",
            get_with(on::backends, about("backends", "The backends of a service."))
                .post_with(on::add_backend, changes("addBackend", "Adds a backend to a service.")),
        )
        .api_route(
            "/v1/services/{service}/backends/{backend}",
            get_with(on::backend, about("backend", "A backend."))
                .patch_with(
                    on::set_backend,
                    changes("setBackend", "Changes a backend; what is left out stays."),
                )
                .delete_with(
                    on::remove_backend,
                    changes("removeBackend", "Removes a backend; its flows end."),
                ),
        )
        .api_route(
            "/v1/services/{service}/backends/{backend}/drain",
            post_with(
                on::drain_backend,
                changes("drainBackend", "Lets a backend keep its flows but take none."),
            ),
        )
}

fn figures() -> ApiRouter<Api> {
    ApiRouter::new()
        .api_route(
            "/v1/flows",
            get_with(flows::flows, about_failing("flows", "Flows, as many as `limit` says.", &[404])),
        )
        .api_route(
            "/v1/flows/count",
            get_with(flows::flow_counts, about("flowCounts", "Numbers of flows by backend.")),
        )
        .api_route(
            "/v1/flows/top",
            get_with(flows::top, about_failing("flowTop", "Who has most flows.", &[404])),
        )
        .api_route(
            "/v1/flows/kill",
            post_with(flows::kill, about_failing("killFlows", "Ends flows before their time.", &[404])),
        )
        .api_route(
            "/v1/overview",
            get_with(
                overview::overview,
                about("overview", "What a screen shows: the status and the services that matter most."),
            ),
        )
        .api_route(
            "/v1/history",
            get_with(history::history, about_failing("history", "The traffic of the last hour.", &[404])),
        )
        .api_route("/v1/stats", get_with(on::stats, about("stats", "Counters since the maps were made.")))
        .api_route(
            "/v1/replication",
            get_with(
                replication::replication,
                about("replication", "Replication of flows to the other machine."),
            ),
        )
        .api_route(
            "/v1/explain",
            post_with(explain::explain, about("explain", "What the data path would do with a packet.")),
        )
        .api_route("/v1/drops", get_with(on::drops, about("drops", "Dropped packets by reason.")))
        .api_route(
            "/v1/events",
            get_with(
                events::events,
                about("events", "What happened, and, as a stream of server-sent events, what happens."),
            ),
        )
}

fn captures() -> ApiRouter<Api> {
    ApiRouter::new()
        .api_route(
            "/v1/captures",
            get_with(copies::captures, about("captures", "The captures under way.")).post_with(
                copies::capture,
                about_failing("capture", "Copies of packets, before and after, as a stream.", &[409]),
            ),
        )
        .api_route(
            "/v1/captures/{capture}",
            delete_with(
                copies::stop,
                about("stopCapture", "Ends a capture; its stream gets what there is, and ends."),
            ),
        )
}

fn admission() -> ApiRouter<Api> {
    let unblock = about_failing("unblockSources", "Blocks sources no more.", &[404]);
    let blocks = ApiRouter::new()
        .api_route(
            "/v1/acl/block",
            post_with(acl::block, about_failing("blockSources", "Blocks sources for all services.", &[409])),
        )
        .api_route(
            "/v1/acl/load",
            post_with(
                acl::load,
                about_failing(
                    "loadSources",
                    "Blocks sources for all services, in the place of all that are blocked by request.",
                    &[409],
                ),
            ),
        )
        .api_route("/v1/acl/unblock", post_with(acl::unblock, unblock))
        .layer(DefaultBodyLimit::max(whole::TEXT_LIMIT))
        .layer(middleware::from_fn(few_texts));
    ApiRouter::new()
        .api_route(
            "/v1/acl",
            get_with(acl::list, about("acl", "Sources that are not let in, and the lists of services.")),
        )
        .api_route(
            "/v1/acl/check",
            get_with(acl::check, about_failing("checkSource", "What the lists say of an address.", &[404])),
        )
        .api_route(
            "/v1/limits",
            get_with(limits::list, about("limits", "Limits of services, and the packets that they refused.")),
        )
        .merge(blocks)
}

fn virtual_routers() -> ApiRouter<Api> {
    ApiRouter::new()
        .api_route(
            "/v1/vrrp",
            get_with(vrrp::virtual_routers, about("virtualRouters", "Virtual routers, and who is active.")),
        )
        .api_route(
            "/v1/vrrp/failover",
            post_with(
                vrrp::fail_over_all,
                about("failoverAll", "Lets another machine be active for all virtual routers."),
            ),
        )
        .api_route(
            "/v1/vrrp/release",
            post_with(
                vrrp::release_all,
                about("releaseAll", "Lets all virtual routers take part in elections again."),
            ),
        )
        .api_route(
            "/v1/vrrp/{router}/failover",
            post_with(
                vrrp::fail_over,
                about("failover", "Lets another machine be active for a virtual router and its sync group."),
            ),
        )
        .api_route(
            "/v1/vrrp/{router}/release",
            post_with(
                vrrp::release,
                about("release", "Lets a virtual router and its sync group take part in elections again."),
            ),
        )
}

fn config() -> ApiRouter<Api> {
    let reload = about_failing("reload", "Reads the configuration file again.", &[400, 409]);
    let confirm = about_failing("confirmConfig", "Keeps what was applied.", &[409]);
    let rollback =
        about_failing("rollbackConfig", "Brings back what was before the last apply.", &[400, 409]);
    ApiRouter::new()
        .api_route("/v1/config/reload", post_with(on::reload, reload))
        .api_route("/v1/config", get_with(whole::show, about("config", "What is desired, as a file.")))
        .api_route("/v1/config/confirm", post_with(whole::confirm, confirm))
        .api_route("/v1/config/rollback", post_with(whole::roll_back, rollback))
        .merge(texts())
        .api_route(
            "/v1/config/repair",
            post_with(
                on::repair,
                about("repair", "Looks whether somebody else changed the maps, and puts them right."),
            ),
        )
}

/// What takes or reads a whole file.
fn texts() -> ApiRouter<Api> {
    let diff = about_failing("diffFile", "What a reload of the file would change.", &[400]);
    let apply =
        about_failing("applyConfig", "Makes the body the configuration file and the desired state.", &[409]);
    ApiRouter::new()
        .api_route(
            "/v1/config/check",
            post_with(on::check, about("check", "Validates a file; nothing is changed.")),
        )
        .api_route(
            "/v1/config/diff",
            get_with(whole::compare_file, diff)
                .post_with(whole::compare, about("diffConfig", "What an apply of the body would change.")),
        )
        .api_route("/v1/config/apply", post_with(whole::apply, apply))
        .layer(DefaultBodyLimit::max(whole::TEXT_LIMIT))
        .layer(middleware::from_fn(few_texts))
}

/// Lets few requests have large bodies at once.
async fn few_texts(request: Request, next: Next) -> Response {
    let _permit = whole::TEXTS.acquire().await;
    next.run(request).await
}

async fn no_such_path(uri: Uri) -> ApiError {
    let message = format!("there is no {}; docs/api.md lists what there is", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "not-found", uri.path(), message)
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}; the header `allow` lists what it takes", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", uri.path(), message)
}

async fn bounded(request: Request, next: Next) -> Response {
    let progress = request.extensions().get::<Progress>().cloned();
    if let Some(progress) = progress.as_ref().filter(|_| request.body().is_end_stream()) {
        progress.busy();
    }
    let response = within_limit(request, next).await;
    if let Some(progress) = progress {
        progress.idle();
    }
    response
}

async fn within_limit(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!(
            "not done within {} s; a change that was asked for may still be made: look before trying again",
            REQUEST_TIMEOUT.as_secs()
        );
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "", message).into_response()
    })
}
