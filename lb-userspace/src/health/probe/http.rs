//! A request of HTTP/1.1 (RFC 9112).

use std::pin::pin;

use futures_util::future::{Either, select};
use http::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::connect::broken;
use super::{Deadline, MAX_BODY, MAX_HEAD, Step, Way, excerpt, exchange};
use crate::health::{Outcome, TlsClient};
use crate::model::{BodyMatch, HttpProbe};

/// Redirects that are followed, one after the other.
const MAX_REDIRECTS: usize = 5;
const WAITING: &str = "waiting for the answer";

/// Asks, and follows redirects if that is wanted.
pub(super) async fn probe(
    probe: &HttpProbe,
    tls: Option<&TlsClient>,
    way: Way,
    deadline: &mut Deadline,
) -> Step<()> {
    let (scheme, port) = if tls.is_some() { ("https", 443) } else { ("http", 80) };
    let host = probe.host.clone().unwrap_or_else(|| exchange::authority(way, port));
    let mut path = probe.path.clone();
    for _ in 0..=MAX_REDIRECTS {
        let opened = exchange::open(way, tls, deadline).await?;
        match ask(probe, opened, &host, &path, deadline).await? {
            None => return Ok(()),
            Some(location) => path = redirected(&location, scheme, &host)?,
        }
    }
    Err(Outcome::Failed(format!("redirected more than {MAX_REDIRECTS} times").into()))
}

/// One request; where it is redirected to, if that is to be followed.
async fn ask(
    probe: &HttpProbe,
    opened: exchange::Opened,
    host: &str,
    path: &str,
    deadline: &mut Deadline,
) -> Step<Option<String>> {
    let request = Request::builder()
        .method(probe.method.as_str())
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("lbd/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Outcome::NotTried(error.to_string().into()))?;
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(opened.stream));
    let (mut sender, connection) = handshake.await.map_err(|error| failed(&error))?;
    let exchange = async {
        let response = deadline.within(WAITING, sender.send_request(request)).await?;
        judge(probe, response.map_err(|error| failed(&error))?, deadline).await
    };
    // The connection does the I/O; it may end before its last bytes were looked at.
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((judged, _)) => judged,
        Either::Right((_, exchange)) => exchange.await,
    }
}

async fn judge(
    probe: &HttpProbe,
    response: Response<Incoming>,
    deadline: &mut Deadline,
) -> Step<Option<String>> {
    let status = response.status().as_u16();
    if probe.follow_redirects && matches!(status, 301 | 302 | 303 | 307 | 308) {
        let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
        let location =
            location.ok_or_else(|| Outcome::Failed(format!("status {status} without a location").into()))?;
        return Ok(Some(String::from_utf8_lossy(location).into_owned()));
    }
    if !probe.status.contains(status) {
        return Err(Outcome::Failed(format!("status {status}, expected {}", probe.status).into()));
    }
    if let Some(expected) = &probe.body {
        body(expected, response.into_body(), deadline).await?;
    }
    Ok(None)
}

/// Reads as much of a body as is needed to find something in it.
async fn body(expected: &BodyMatch, mut body: Incoming, deadline: &mut Deadline) -> Step<()> {
    let mut text = Vec::new();
    let mut look_at = 1;
    loop {
        let frame = deadline.within("reading the body", body.frame()).await?;
        let ended = frame.is_none();
        if let Some(frame) = frame {
            let frame = frame.map_err(|error| failed(&error))?;
            let room = MAX_BODY - text.len();
            text.extend(frame.data_ref().into_iter().flatten().take(room));
        }
        let full = text.len() == MAX_BODY;
        // Looked at when it has doubled: a body that comes byte by byte is not searched for each byte.
        if ended || full || text.len() >= look_at {
            look_at = text.len() * 2;
            if expected.is_in(&text) {
                return Ok(());
            }
        }
        if ended || full {
            return Err(Outcome::Failed(missing(expected, full).into()));
        }
    }
}

fn missing(expected: &BodyMatch, full: bool) -> String {
    let place = if full { " in its first 64 KiB" } else { "" };
    match expected {
        BodyMatch::Contains(text) => format!("no such body text{place}: {:?}", excerpt(text.as_bytes())),
        BodyMatch::Matches(pattern) => {
            format!("the body does not match{place}: {:?}", excerpt(pattern.as_str().as_bytes()))
        }
    }
}

/// The path of a redirect to the same backend.
fn redirected(location: &str, scheme: &str, host: &str) -> Step<String> {
    let elsewhere = || {
        let reason =
            format!("redirects to {}, expected a path of {scheme}://{host}", excerpt(location.as_bytes()));
        Outcome::Failed(reason.into())
    };
    let uri: Uri = location.parse().map_err(|_| elsewhere())?;
    let same_scheme = uri.scheme_str().is_none_or(|other| other.eq_ignore_ascii_case(scheme));
    let same_host = uri.authority().is_none_or(|other| other.as_str().eq_ignore_ascii_case(host));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if same_scheme && same_host && path.starts_with('/') { Ok(path.to_owned()) } else { Err(elsewhere()) }
}

fn failed(error: &hyper::Error) -> Outcome {
    if error.is_parse_too_large() {
        return Outcome::Failed("the head of the answer is too large".into());
    }
    if error.is_parse() {
        return Outcome::Failed("the answer is not HTTP/1.1".into());
    }
    if error.is_incomplete_message() {
        return Outcome::Failed(format!("connection closed: {WAITING}").into());
    }
    broken(WAITING, error)
}
