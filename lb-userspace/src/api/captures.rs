//! `/v1/captures`: copies of packets, before and after the data path worked on them, as a stream.

use std::{collections::BTreeMap, time::Duration};

use aide::OperationInput;
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, header::ACCEPT, request::Parts},
    response::NoContent,
};
use lb_common::abi::MAX_SNAP;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::sleep;

use super::{
    access::Who,
    answer::Answer,
    captured::{CaptureInfo, CaptureList, NewCapture},
    convert,
    copies::{Busy, Captured, PCAPNG, Stream, Told, Writing},
    data::{CaptureAbout, CaptureUnderWay},
    error::ApiError,
    extract::{Body, Names as Path},
    remote::Unknown,
    router::Api,
    seats::Progress,
};
use crate::capture::{CaptureRefused, Names, Wanted};

/// What a capture has if nothing is said.
const SNAP_DEFAULT: u32 = 128;
const RATE_DEFAULT: u32 = 10_000;
const DURATION_DEFAULT: Duration = Duration::from_secs(60);
/// The least and the most.
const SNAP_MIN: u32 = 14;
const SAMPLE_MAX: u32 = 1_000_000;
const RATE_MAX: u32 = 1_000_000;
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The number in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Number {
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    capture: u64,
}

/// How a client wants it, and who it is.
pub(super) struct Form {
    file: bool,
    progress: Option<Progress>,
    who: Option<Who>,
}

/// `POST /v1/captures`.
pub(super) async fn capture(
    State(api): State<Api>,
    form: Form,
    Body(new): Body<NewCapture>,
) -> Result<Captured, ApiError> {
    let limits = Limits::of(&new)?;
    let names = names(&api);
    let text = new.filter.unwrap_or_default();
    let filter = text.parse().map_err(|error| ApiError::invalid("filter", format!("{error}")))?;
    let wanted = Wanted::of(filter, &names, (limits.sample, limits.snap, limits.rate))
        .map_err(|error| ApiError::invalid("filter", format!("{error}")))?;
    let (about, data) = (CaptureAbout { filter: text.clone(), snap: limits.snap }, api.data.clone());
    let narrowed = wanted.narrowed;
    let begun = tokio::task::spawn_blocking(move || data.capture(&narrowed, about)).await;
    let feed = begun.map_err(|error| CaptureRefused::Failed(error.to_string())).flatten()?;
    let number = feed.number;
    let told = Told::begin(&api, form.who.as_ref(), &text);
    if let Some(progress) = &form.progress {
        progress.stay(limits.duration);
    }
    let form_of = if form.file { Writing::File(BTreeMap::new()) } else { Writing::Lines };
    let stream = Stream {
        feed,
        wanted,
        names,
        snap: limits.snap as usize,
        left: new.count,
        until: Box::pin(sleep(limits.duration)),
        ahead: api.data.wall_clock_ahead(),
        began: None,
        captured: 0,
        writing: form_of,
        about: text,
        api,
        busy: form.progress.map(Busy),
        ended: false,
        told,
    };
    Ok(Captured { stream, number, file: form.file })
}

/// `GET /v1/captures`.
pub(super) async fn captures(State(api): State<Api>) -> Answer<CaptureList> {
    let captures = api.data.captures().into_iter().map(|one: CaptureUnderWay| CaptureInfo {
        capture: one.number,
        filter: one.about.filter,
        snap: one.about.snap,
        seconds: one.since.as_secs(),
        looked_at: one.counts.data_path.looked_at,
        wanted: one.counts.data_path.wanted,
    });
    Ok(Json(CaptureList { captures: captures.collect() }))
}

/// `DELETE /v1/captures/{capture}`.
pub(super) async fn stop(State(api): State<Api>, Path(path): Path<Number>) -> Result<NoContent, ApiError> {
    if api.data.stop_capture(path.capture) {
        return Ok(NoContent);
    }
    let message = format!("there is no capture {}; it may have ended", path.capture);
    Err(ApiError::new(StatusCode::NOT_FOUND, "not-found", &format!("captures[{}]", path.capture), message))
}

/// The names that there are.
pub(super) fn names(api: &Api) -> Names {
    let snapshot = api.control.snapshot();
    let interfaces = api.data.interfaces().unwrap_or_default();
    Names {
        services: snapshot
            .services
            .iter()
            .map(|service| (service.id, service.desired.name.to_string()))
            .collect(),
        backends: snapshot
            .backends()
            .map(|(_, backend)| (backend.id, backend.desired.name.to_string()))
            .collect(),
        interfaces: interfaces.into_iter().map(|interface| (interface.ifindex, interface.name)).collect(),
    }
}

/// What bounds a capture.
struct Limits {
    sample: u32,
    snap: u32,
    rate: u32,
    duration: Duration,
}

impl Limits {
    fn of(new: &NewCapture) -> Result<Self, ApiError> {
        let within = |path: &str, value: u32, least: u32, most: u32| {
            let expected = format!("{value} is not possible; expected {least} to {most}");
            if (least..=most).contains(&value) { Ok(value) } else { Err(ApiError::invalid(path, expected)) }
        };
        if new.count == Some(0) {
            return Err(ApiError::invalid("count", "0 is no capture; expected at least 1"));
        }
        let duration = convert::duration("duration", new.duration.as_deref())?.unwrap_or(DURATION_DEFAULT);
        if duration.is_zero() || duration > DURATION_MAX {
            let message = format!(
                "{} is not possible; expected up to 24h",
                new.duration.as_deref().unwrap_or_default()
            );
            return Err(ApiError::invalid("duration", message));
        }
        Ok(Self {
            sample: within("sample", new.sample.unwrap_or(1), 1, SAMPLE_MAX)?,
            snap: within("snap", new.snap.unwrap_or(SNAP_DEFAULT), SNAP_MIN, MAX_SNAP)?,
            rate: within("rate", new.rate.unwrap_or(RATE_DEFAULT), 1, RATE_MAX)?,
            duration,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<Unknown>().is_some() {
            let message = "packets hold what users send: nobody may capture over plain HTTP; use the Unix socket, or TLS";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", "", message));
        }
        let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        Ok(Self {
            file: accept.is_some_and(|accept| accept.contains(PCAPNG)),
            progress: parts.extensions.get::<Progress>().cloned(),
            who: parts.extensions.get::<Who>().cloned(),
        })
    }
}

impl OperationInput for Form {}

impl From<CaptureRefused> for ApiError {
    fn from(error: CaptureRefused) -> Self {
        let status = match error {
            CaptureRefused::TooMany(_) => StatusCode::CONFLICT,
            CaptureRefused::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let code = if status == StatusCode::CONFLICT { "conflict" } else { "unavailable" };
        Self::new(status, code, "", error.to_string())
    }
}
