//! The client's side of the API: HTTP over the Unix socket, or over TCP.

use std::{fmt::Display, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION},
    http::request,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

use super::{
    error::{ErrorBody, ErrorDetail},
    stream::Stream,
    tls,
    way::{self, Server},
};
use crate::control::told;

/// Longest wait for an answer. Longer than the daemon's own limit, so that its error is the one that is seen.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 << 20;

/// A client of the API. Each call is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
}

/// A connection that ends with this value.
#[derive(Debug)]
pub(super) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that comes bit by bit.
#[derive(Debug)]
pub struct Download {
    /// The path of what it comes from; empty if that has none.
    pub place: String,
    body: Incoming,
    _connection: Connection,
}

impl Download {
    /// The next bytes; `None`: it has ended.
    ///
    /// # Errors
    /// The connection broke: a sentence.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(format!("the connection to lbd broke: {error}"))),
            }
        }
    }
}

/// The head of an answer, and what its body comes through.
type Opened = (Response<Incoming>, Connection);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon cannot be reached.
    #[error("{0}")]
    Connect(String),
    /// The daemon refused.
    #[error("{}", told(&detail.path, &detail.message))]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        detail: ErrorDetail,
    },
    /// The connection broke or the answer makes no sense.
    #[error("{server}: {message}; see the log of `lbd`")]
    Protocol {
        /// The server.
        server: String,
        /// What happened.
        message: String,
    },
}

impl Client {
    /// A client of the daemon behind a Unix socket, or at a TCP port. Nothing is opened yet.
    #[must_use]
    pub fn new(server: impl Into<Server>) -> Self {
        Self { server: server.into() }
    }

    /// The Unix socket; `None` for a daemon at a TCP port.
    #[must_use]
    pub fn socket(&self) -> Option<&std::path::Path> {
        match &self.server {
            Server::Socket(path) => Some(path),
            Server::Tcp(_) => None,
        }
    }

    /// `GET`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    /// A call with a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.protocol(error))?;
        self.json(method, path, body.into()).await
    }

    /// A call with a body that is sent as it is, and an answer in JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let answer = self.call(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            self.protocol(format!(
                "the answer to {path} is not understood ({error}); are `lbd` and `lbctl` of one version?"
            ))
        })
    }

    /// A call whose answer has no content that matters.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        tokio::time::timeout(TIMEOUT, self.exchange(method, path, body))
            .await
            .map_err(|_| self.silent(path))?
    }

    /// Follows the stream of events that `path` gives, from the event after `last` on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stream(&self, path: &str, last: Option<u64>) -> Result<Stream, ClientError> {
        let request = self.request(Method::GET, path).header(ACCEPT, "text/event-stream");
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        let request = request.body(Full::default()).map_err(|error| self.protocol(error))?;
        let opened = tokio::time::timeout(TIMEOUT, self.open(request));
        let (answer, connection) = opened.await.map_err(|_| self.silent(path))??;
        if answer.status().is_success() {
            return Ok(Stream::new(answer.into_body(), connection));
        }
        match self.read(answer).await {
            Err(error) => Err(error),
            Ok(_) => Err(self.protocol("an answer that is no stream")),
        }
    }

    /// A call whose answer comes bit by bit, in the form that `accept` says.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn download(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        accept: &str,
    ) -> Result<Download, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.protocol(error))?;
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json");
        let request = request.header(ACCEPT, accept).body(Full::new(body.into()));
        let opened = self.open(request.map_err(|error| self.protocol(error))?);
        let (answer, connection) =
            tokio::time::timeout(TIMEOUT, opened).await.map_err(|_| self.silent(path))??;
        if !answer.status().is_success() {
            return match self.read(answer).await {
                Err(error) => Err(error),
                Ok(_) => Err(self.protocol("an answer that is no stream")),
            };
        }
        let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = place.unwrap_or_default().to_owned();
        Ok(Download { place, body: answer.into_body(), _connection: connection })
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let request = self.request(method, path).header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(body)).map_err(|error| self.protocol(error))?;
        let (answer, _connection) = self.open(request).await?;
        self.read(answer).await
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        Request::builder().method(method).uri(path).header(HOST, self.server.host())
    }

    /// Sends a request on a connection of its own.
    async fn open(&self, request: Request<Full<Bytes>>) -> Result<Opened, ClientError> {
        match &self.server {
            Server::Socket(path) => {
                self.send_on(way::local(path).await.map_err(ClientError::Connect)?, request).await
            }
            Server::Tcp(remote) => match remote.tls() {
                None => self.send_on(remote.connect().await.map_err(ClientError::Connect)?, request).await,
                Some(tls) => {
                    let stream = remote.connect_tls(tls).await.map_err(ClientError::Connect)?;
                    self.send_on(stream, request).await
                }
            },
        }
    }

    async fn send_on(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Opened, ClientError> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.protocol(error))?;
        let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
        let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        Ok((answer, connection))
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| self.protocol(error))?
            .to_bytes();
        if status.is_success() { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    /// A server that does not like our certificate says so only after the handshake (RFC 8446 §4.4.2.4).
    fn broken(&self, error: &hyper::Error) -> ClientError {
        match tls::reason(error) {
            Some(reason) => ClientError::Connect(format!(
                "{}: {reason}; are --ca, --cert and --key the right ones?",
                self.server
            )),
            None => self.protocol(error),
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => ClientError::Refused { status, detail: body.error },
            Err(_) => self.protocol(format!("status {status} without an explanation")),
        }
    }

    fn silent(&self, path: &str) -> ClientError {
        self.protocol(format!("no answer to {path} within {} s", TIMEOUT.as_secs()))
    }

    fn protocol(&self, message: impl Display) -> ClientError {
        ClientError::Protocol { server: self.server.to_string(), message: format!("{message}") }
    }
}

/// A path segment or the value of a query parameter, percent-encoded (RFC 3986 §2.1).
#[must_use]
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_go_into_a_path_unchanged() {
        assert_eq!(encode("web-1.x_y~"), "web-1.x_y~");
        assert_eq!(encode("a b/ä?"), "a%20b%2F%C3%A4%3F");
    }
}
