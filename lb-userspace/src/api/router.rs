//! Which handler answers what.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, patch, post},
};

use super::{data::DataSource, error::ApiError, handlers as on};
use crate::control::Handle;

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
    /// Name of the configuration file.
    pub config_file: String,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("config_file", &self.config_file).finish_non_exhaustive()
    }
}

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(on::status))
        .route("/v1/services", get(on::services).post(on::add_service))
        .route("/v1/services/{service}", get(on::service).patch(on::set_service).delete(on::remove_service))
        .route("/v1/services/{service}/backends", get(on::backends).post(on::add_backend))
        .route("/v1/services/{service}/backends/{backend}", patch(on::set_backend).delete(on::remove_backend))
        .route("/v1/flows", get(on::flows))
        .route("/v1/flows/count", get(on::flow_counts))
        .route("/v1/stats", get(on::stats))
        .route("/v1/drops", get(on::drops))
        .route("/v1/config/reload", post(on::reload))
        .route("/v1/config/check", post(on::check))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(bounded))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(api)
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
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!(
            "not done within {} s; a change that was asked for may still be made: look before trying again",
            REQUEST_TIMEOUT.as_secs()
        );
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "", message).into_response()
    })
}
