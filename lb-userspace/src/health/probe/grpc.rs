//! `grpc.health.v1.Health/Check`: protobuf over HTTP/2 (RFC 9113).

use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::{Either, select};
use h2::client::{self, ResponseFuture};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request};
use prost::Message as _;

use super::connect::broken;
use super::exchange::{self, authority};
use super::{Deadline, Step, Way, excerpt};
use crate::health::{Outcome, TlsClient};
use crate::model::GrpcProbe;

/// Before each message: whether it is compressed, and its length (4 bytes, big endian).
const PREFIX: usize = 5;
/// Longest message that is taken; the one that is expected has two bytes.
const MAX_MESSAGE: usize = 4096;
const MAX_HEADERS: u32 = 16 << 10;
const WAITING: &str = "waiting for the answer";

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Asks, and looks at the answer.
pub(super) async fn probe(
    probe: &GrpcProbe,
    tls: Option<&TlsClient>,
    way: Way,
    deadline: &mut Deadline,
) -> Step<()> {
    let opened = exchange::open(way, tls, deadline).await?;
    if tls.is_some() && opened.alpn.as_deref() != Some(b"h2") {
        return Err(Outcome::Failed("the backend did not choose HTTP/2 (ALPN h2)".into()));
    }
    let (scheme, port) = if tls.is_some() { ("https", 443) } else { ("http", 80) };
    let host = probe.host.clone().unwrap_or_else(|| authority(way, port));
    let request = Request::post(format!("{scheme}://{host}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, concat!("lbd/", env!("CARGO_PKG_VERSION")))
        .header("grpc-timeout", format!("{}m", deadline.limit().as_millis().max(1)))
        .body(())
        .map_err(|error| Outcome::NotTried(error.to_string().into()))?;
    let mut builder = client::Builder::new();
    builder.enable_push(false).max_header_list_size(MAX_HEADERS);
    let handshake = deadline.within(WAITING, builder.handshake::<_, Bytes>(opened.stream)).await?;
    let (sender, connection) = handshake.map_err(|error| failed(&error))?;
    let exchange = async {
        let mut sender = deadline.within(WAITING, sender.ready()).await?.map_err(|error| failed(&error))?;
        let (response, mut body) = sender.send_request(request, false).map_err(|error| failed(&error))?;
        body.send_data(framed(&probe.service), true).map_err(|error| failed(&error))?;
        deadline.within(WAITING, answer(response)).await??.judge(&probe.service)
    };
    // The connection does the I/O; where it ends first, the answer knows why.
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((judged, _)) => judged,
        Either::Right((_, exchange)) => exchange.await,
    }
}

/// The request as it stands in the stream.
fn framed(service: &str) -> Bytes {
    let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let mut bytes = BytesMut::with_capacity(PREFIX + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message);
    bytes.freeze()
}

/// What came back.
struct Answer {
    message: Vec<u8>,
    /// `grpc-status` and `grpc-message`.
    trailers: HeaderMap,
}

async fn answer(response: ResponseFuture) -> Step<Answer> {
    let (head, mut body) = response.await.map_err(|error| failed(&error))?.into_parts();
    if head.status != 200 {
        return Err(Outcome::Failed(format!("HTTP status {}, expected 200", head.status.as_u16()).into()));
    }
    let content = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !content.starts_with(b"application/grpc") {
        return Err(Outcome::Failed(format!("the answer is not gRPC but {:?}", excerpt(content)).into()));
    }
    let message = message(&mut body).await?;
    // An answer without a message may have everything in its head.
    let trailers = match head.headers.contains_key("grpc-status") {
        true => head.headers,
        false => body.trailers().await.map_err(|error| failed(&error))?.unwrap_or_default(),
    };
    Ok(Answer { message, trailers })
}

async fn message(body: &mut RecvStream) -> Step<Vec<u8>> {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| failed(&error))?;
        if message.len() + data.len() > MAX_MESSAGE {
            return Err(Outcome::Failed("the answer is longer than 4 KiB".into()));
        }
        body.flow_control().release_capacity(data.len()).map_err(|error| failed(&error))?;
        message.extend_from_slice(&data);
    }
    Ok(message)
}

impl Answer {
    fn judge(&self, service: &str) -> Step<()> {
        let trailer = |name| self.trailers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        let reason = match trailer("grpc-status") {
            b"0" => match self.status() {
                Some(ServingStatus::Serving) => return Ok(()),
                Some(ServingStatus::NotServing) => "status NOT_SERVING, expected SERVING".to_owned(),
                Some(ServingStatus::ServiceUnknown) => format!("the backend knows no service {service:?}"),
                Some(ServingStatus::Unknown) => "status UNKNOWN, expected SERVING".to_owned(),
                None => "the answer is not that of a gRPC health check".to_owned(),
            },
            b"" => "the answer has no grpc-status".to_owned(),
            b"5" => format!("the backend knows no service {service:?}"),
            b"12" => "the backend has no gRPC health service".to_owned(),
            other => format!("gRPC status {}: {}", excerpt(other), excerpt(trailer("grpc-message"))),
        };
        Err(Outcome::Failed(reason.into()))
    }

    fn status(&self) -> Option<ServingStatus> {
        let (prefix, message) = self.message.split_at_checked(PREFIX)?;
        let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
        if prefix[0] != 0 || usize::try_from(length).ok()? != message.len() {
            return None;
        }
        HealthCheckResponse::decode(message).ok().map(|response| response.status())
    }
}

fn failed(error: &h2::Error) -> Outcome {
    if error.is_io() {
        return broken(WAITING, error);
    }
    let code = error.reason().unwrap_or(Reason::NO_ERROR);
    if error.is_go_away() && error.is_remote() {
        return Outcome::Failed(format!("the backend ended the connection (GOAWAY {code:?})").into());
    }
    if error.is_reset() && error.is_remote() {
        return Outcome::Failed(format!("the backend reset the request ({code:?})").into());
    }
    Outcome::Failed(format!("the answer is not HTTP/2: {error}").into())
}
