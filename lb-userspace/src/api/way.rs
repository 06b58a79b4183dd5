//! The ways to a daemon: its Unix socket, or a TCP port.

use std::{
    fmt, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use hyper::{Uri, http::uri::PathAndQuery};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::tls::{self, TlsError, reason};

/// Where a daemon is.
#[derive(Clone, Debug)]
pub enum Server {
    /// Behind a Unix socket.
    Socket(PathBuf),
    /// At a TCP port.
    Tcp(Remote),
}

/// A daemon at a TCP port.
#[derive(Clone, Debug)]
pub struct Remote {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
}

/// `https://HOST:PORT`, or `http://HOST:PORT` for a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    host: String,
    port: u16,
}

impl<P: Into<PathBuf>> From<P> for Server {
    fn from(path: P) -> Self {
        Self::Socket(path.into())
    }
}

impl Server {
    /// A daemon at a TCP port. For HTTPS, `authorities` signed its certificate; `own` are our certificate and its key.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn remote(url: Url, authorities: &Path, own: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let tls = if url.tls { Some(Arc::new(tls::client(authorities, own)?)) } else { None };
        Ok(Self::Tcp(Remote { url, tls }))
    }

    /// A daemon at a TCP port without TLS.
    #[must_use]
    pub fn plain(url: Url) -> Self {
        Self::Tcp(Remote { url, tls: None })
    }

    /// For the header of that name.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Socket(_) => "localhost".to_owned(),
            Self::Tcp(remote) => format!("{}:{}", remote.url.host, remote.url.port),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp(remote) => remote.url.fmt(f),
        }
    }
}

impl Url {
    /// Whether it is `https`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected one such as https://192.0.2.1:9465, or http://127.0.0.1:9465".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let (host, port) = uri.host().zip(uri.port_u16()).ok_or_else(wrong)?;
        if !matches!(uri.path_and_query().map(PathAndQuery::as_str), None | Some("/")) || host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl Remote {
    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Connects; the error is a sentence.
    pub(super) async fn connect(&self) -> Result<TcpStream, String> {
        let stream =
            TcpStream::connect((self.bare_host(), self.url.port)).await.map_err(|error| {
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        format!(
                            "{}: nobody listens; is `lbd` running, with `[api] listen` in its file?",
                            self.url
                        )
                    }
                    _ => format!("{}: {error}", self.url),
                }
            })?;
        // A request and its answer are a packet or two each.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Connects with TLS; the error is a sentence.
    pub(super) async fn connect_tls(&self, tls: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(self.bare_host().to_owned())
            .map_err(|error| format!("{}: {error}", self.url))?;
        let stream = self.connect().await?;
        let connected = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        connected.map_err(|error| {
            let why = reason(&error).unwrap_or_else(|| error.to_string());
            format!("{}: {why}; are --ca, --cert and --key the right ones?", self.url)
        })
    }

    /// Without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.url.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Connects to a Unix socket; the error is a sentence.
pub(super) async fn local(path: &Path) -> Result<UnixStream, String> {
    UnixStream::connect(path).await.map_err(|error| unreachable(path, &error))
}

fn unreachable(socket: &Path, source: &io::Error) -> String {
    let is_socket = std::fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    let socket = socket.display();
    match source.kind() {
        io::ErrorKind::NotFound => format!(
            "{socket}: no such socket; `lbd` is not running (start it: `lbd --config /etc/lb/lb.toml`), or it uses another \
             socket (name it: `--socket PATH` or LB_SOCKET)"
        ),
        io::ErrorKind::ConnectionRefused if !is_socket => {
            format!("{socket}: is no socket; expected that of `lbd` (name it: `--socket PATH` or LB_SOCKET)")
        }
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
    fn a_server_is_named_by_scheme_host_and_port() {
        for text in ["https://192.0.2.1:9465", "https://lb1.example.com:9465/", "http://[::1]:9465"] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
            assert_eq!(url.is_tls(), text.starts_with("https"));
        }
        for text in [
            "",
            "192.0.2.1:9465",
            "https://192.0.2.1",
            "ftp://192.0.2.1:1",
            "https://h:1/v1",
            "https://:1",
            "https://h:x",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
