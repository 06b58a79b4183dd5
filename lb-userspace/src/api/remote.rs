//! The way in by TCP: HTTPS for clients with a certificate, or plain HTTP on a loopback address.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::Request,
    http::{StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    access::Who,
    error::ApiError,
    quiet::Quiet,
    seats::{Seat, Seats},
    server::{CONNECTIONS, Door, connection, serve},
    tls::{ServerTls, TlsError},
};
use crate::model::ApiListener;

/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A listening port, not served yet.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
}

/// Why the port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It cannot be listened on.
    #[error(
        "{key}: cannot listen on {address}: {source}; stop what uses it, or set another address (\"\": none)"
    )]
    Listen {
        /// The key of the configuration file.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error("api.listen: {0}")]
    Tls(#[from] TlsError),
}

impl Port {
    /// Listens, and reads the certificates.
    ///
    /// # Errors
    /// See [`PortError`].
    pub async fn bind(wanted: &ApiListener) -> Result<Self, PortError> {
        let (address, tls) = match wanted {
            ApiListener::Plain(address) => (*address, None),
            ApiListener::Tls(address, files) => (*address, Some(Arc::new(ServerTls::load(files.clone())?))),
        };
        Ok(Self { listener: listen("api.listen", address).await?, tls })
    }

    /// Listens for plain HTTP, as the key of the configuration file wants it.
    ///
    /// # Errors
    /// [`PortError::Listen`].
    pub async fn bind_plain(key: &'static str, address: SocketAddr) -> Result<Self, PortError> {
        Ok(Self { listener: listen(key, address).await?, tls: None })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Part of the requests of those of whom it is not known who they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unknown;

/// A port with those who come in by it.
#[derive(Debug)]
pub struct Remote {
    port: Port,
    router: Router,
    seats: Seats,
    quiet: Quiet,
}

impl Remote {
    /// Serves `router` to those who may use the port.
    #[must_use]
    pub fn new(port: Port, router: Router) -> Self {
        let router = if port.tls.is_some() {
            router.layer(middleware::from_fn(no_browser))
        } else {
            let router = router.layer(Extension(Unknown)).layer(middleware::from_fn(local_host));
            router.layer(middleware::from_fn(no_browser))
        };
        Self { port, router, seats: Seats::new(CONNECTIONS), quiet: Quiet::default() }
    }

    /// Serves `router`, which must change nothing, to everybody on this machine, browsers too.
    #[must_use]
    pub fn for_browsers(port: Port, router: Router) -> Self {
        let router = router.layer(middleware::from_fn(local_host));
        Self { port, router, seats: Seats::new(CONNECTIONS), quiet: Quiet::default() }
    }

    /// Serves until `shutdown` is done; requests under way get two seconds more.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        serve(self, shutdown).await;
    }
}

impl Door for Remote {
    type Visitor = (TcpStream, SocketAddr);

    async fn accept(&self) -> io::Result<Self::Visitor> {
        self.port.listener.accept().await
    }

    fn seats(&self, _: &Self::Visitor) -> &Seats {
        &self.seats
    }

    fn serve(&self, (stream, peer): Self::Visitor, seat: Seat) -> impl Future<Output = ()> + Send + 'static {
        let (router, quiet) = (self.router.clone(), self.quiet.clone());
        let tls = self.port.tls.as_ref().map(|tls| TlsAcceptor::from(tls.config()));
        async move {
            // A request and its answer are a packet or two each.
            let _ = stream.set_nodelay(true);
            let Some(acceptor) = tls else {
                return connection(stream, router, &seat, Who::remote(peer)).await;
            };
            let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
            let accepted = tokio::select! {
                () = seat.evicted() => return,
                accepted = handshake => accepted,
            };
            match accepted {
                Ok(Ok(stream)) => connection(stream, router, &seat, Who::remote(peer)).await,
                Ok(Err(error)) => {
                    quiet.say(|| tracing::warn!(%peer, %error, "refused a TLS connection to the API"));
                }
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        }
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, PortError> {
    TcpListener::bind(address).await.map_err(|source| PortError::Listen { key, address, source })
}

/// Refuses what a browser sends on behalf of a page: `lbctl` and scripts send neither of these headers.
async fn no_browser(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return forbidden("requests of web pages are refused; use `lbctl` or a program that is no browser");
    }
    next.run(request).await
}

/// Refuses other names than those of this machine: a page could have its own name lead here (DNS rebinding).
async fn local_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_local) {
        return next.run(request).await;
    }
    forbidden("the header `host` must be localhost or a loopback address")
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn forbidden(message: &str) -> Response {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "", message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:9465", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:9465"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "192.0.2.1", "[::2]:80", "127.0.0.1.nip.io", "a b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
