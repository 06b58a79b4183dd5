//! `GET /v1/events`: as JSON what happened, as server-sent events (WHATWG HTML §9.2) also what happens.

use std::{convert::Infallible, time::Duration};

use aide::{
    OperationInput, OperationOutput,
    generate::GenContext,
    openapi::{MediaType, Operation, Response},
};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, header::ACCEPT, request::Parts},
    response::{
        IntoResponse, Response as HttpResponse,
        sse::{Event as Message, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    error::ApiError,
    extract::Params,
    feed::{Event, Events, Lost},
    router::Api,
};
use crate::events::{Batch, Filter, Subscription, TooMany};

/// Events in an answer if the client says nothing, and at most.
const EVENTS_DEFAULT: usize = 1000;
const EVENTS_MAX: usize = crate::events::KEPT;
/// Longest silence of a stream: a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Length of a stream. Shorter than the life of a connection; the client resumes with the number of its last event.
const STREAM: Duration = Duration::from_secs(100);
const EVENT_STREAM: &str = "text/event-stream";

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// What they have to be, such as `topic=health service=web`; docs/events.md describes it. Left out: all.
    filter: Option<String>,
    /// Those after the event of this number. Left out: a stream begins with what happens next, a list with the oldest that is kept.
    after: Option<u64>,
    /// Most events of a list, the last ones; 1000 if left out, at most 8192. A stream has no limit.
    limit: Option<usize>,
}

/// What the headers say.
pub(super) struct Form {
    streams: bool,
    /// The last event that the client saw before it lost the connection.
    last: Option<u64>,
}

pub(super) async fn events(
    State(api): State<Api>,
    form: Form,
    Params(wanted): Params<Wanted>,
) -> Result<Answer, ApiError> {
    let filter = wanted.filter.as_deref().unwrap_or_default();
    let filter: Filter = filter.parse().map_err(|error| ApiError::invalid("filter", format!("{error}")))?;
    let after = form.last.or(wanted.after);
    if form.streams {
        return Ok(Answer::Stream(api.events.subscribe(&filter, after)?));
    }
    let limit = wanted.limit.unwrap_or(EVENTS_DEFAULT);
    if limit > EVENTS_MAX {
        return Err(ApiError::invalid(
            "limit",
            format!("{limit} is too much; expected at most {EVENTS_MAX}"),
        ));
    }
    let last = api.events.next() - 1;
    let batch = api.events.subscribe(&filter, Some(after.unwrap_or_default()))?.take().unwrap_or_default();
    let first = batch.events.len().saturating_sub(limit);
    let events: Vec<Event> = batch.events[first..].iter().map(|event| Event::from(&**event)).collect();
    let last = events.last().map_or(last, |event| event.sequence.max(last));
    Ok(Answer::List(Events { events, lost: after.and_then(|_| Lost::before(&batch)), last }))
}

/// A list, or a stream.
pub(super) enum Answer {
    List(Events),
    Stream(Subscription),
}

impl IntoResponse for Answer {
    fn into_response(self) -> HttpResponse {
        match self {
            Self::List(list) => Json(list).into_response(),
            Self::Stream(subscription) => {
                let stream = messages(subscription).take_until(tokio::time::sleep(STREAM));
                Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
            }
        }
    }
}

fn messages(subscription: Subscription) -> impl Stream<Item = Result<Message, Infallible>> {
    let batches =
        stream::unfold(subscription, async |subscription| Some((subscription.next().await?, subscription)));
    batches.flat_map(|batch| stream::iter(written(&batch)).map(Ok))
}

fn written(batch: &Batch) -> Vec<Message> {
    let data = |message: Message, json: serde_json::Result<String>| {
        // Only a map whose keys are no text could not be written.
        message.data(json.unwrap_or_default())
    };
    let lost = Lost::before(batch);
    let lost = lost.map(|lost| data(Message::default().event("lost"), serde_json::to_string(&lost)));
    let events = batch.events.iter().map(|event| {
        let message = Message::default().id(event.sequence.to_string()).event(event.notice.kind.to_string());
        data(message, serde_json::to_string(&Event::from(&**event)))
    });
    lost.into_iter().chain(events).collect()
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let streams =
            text(&parts.headers, ACCEPT.as_str()).is_some_and(|accept| accept.contains(EVENT_STREAM));
        let last = text(&parts.headers, "last-event-id");
        let last = last.map(|last| {
            last.parse().map_err(|_| {
                ApiError::invalid("last-event-id", format!("{last:?} is not the number of an event"))
            })
        });
        Ok(Self { streams, last: last.transpose()? })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

impl OperationInput for Form {}

impl OperationOutput for Answer {
    type Inner = Events;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        let mut response = Json::<Events>::operation_response(context, operation)?;
        response.content.insert(EVENT_STREAM.to_owned(), MediaType::default());
        Some(response)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let response = Self::operation_response(context, operation);
        response.map(|response| (Some(200), response)).into_iter().collect()
    }
}

impl From<TooMany> for ApiError {
    fn from(error: TooMany) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-subscriptions", "", error.to_string())
    }
}
