//! The client's side of the API: HTTP over the Unix socket.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::error::{ErrorBody, ErrorDetail};
use crate::control::told;

/// Longest wait for an answer. Longer than the daemon's own limit, so that its error is the one that is seen.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 << 20;

/// A client of the API. Each call is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon cannot be reached.
    #[error("{}", unreachable(socket, source))]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("{}", told(&detail.path, &detail.message))]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        detail: ErrorDetail,
    },
    /// The connection broke or the answer makes no sense.
    #[error("{}: {message}; see the log of `lbd`", socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        message: String,
    },
}

impl Client {
    /// A client of the daemon behind a socket. Nothing is opened yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
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
            .map_err(|_| self.protocol(format!("no answer to {path} within {} s", TIMEOUT.as_secs())))?
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let connect = |source| ClientError::Connect { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(connect)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.protocol(error))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.protocol(error))?;
        let answer = sender.send_request(request).await.map_err(|error| self.protocol(error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| self.protocol(error))?
            .to_bytes();
        connection.abort();
        if status.is_success() { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => ClientError::Refused { status, detail: body.error },
            Err(_) => self.protocol(format!("status {status} without an explanation")),
        }
    }

    fn protocol(&self, message: impl Display) -> ClientError {
        ClientError::Protocol { socket: self.socket.clone(), message: format!("{message}") }
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

fn unreachable(socket: &Path, source: &io::Error) -> String {
    let socket = socket.display();
    match source.kind() {
        io::ErrorKind::NotFound => format!(
            "{socket}: no such socket; `lbd` is not running (start it: `lbd --config /etc/lb/lb.toml`), or it uses another \
             socket (name it: `--socket PATH` or LB_SOCKET)"
        ),
        io::ErrorKind::ConnectionRefused => format!(
            "{socket}: nobody listens; `lbd` has ended without cleaning up (start it: `lbd --config /etc/lb/lb.toml`)"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{socket}: permission denied; run this as root or as a member of the socket's group")
        }
        _ => format!("{socket}: {source}"),
    }
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
