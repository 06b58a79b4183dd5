//! The API over TCP.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How the API is served over TCP, key by key. A checked one is [`ApiListener`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiTcp {
    /// Where it listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether it may be served without TLS, on a loopback address.
    pub plain_http: bool,
    /// Certificates of the server, its own first (PEM).
    pub tls_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Authorities that sign the certificates of clients (PEM).
    pub tls_client_ca: Option<PathBuf>,
}

/// A TCP listener of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiListener {
    /// HTTP; the address is a loopback address.
    Plain(SocketAddr),
    /// HTTPS; clients need a certificate.
    Tls(SocketAddr, TlsFiles),
}

/// Files for mutual TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Own certificates, the end entity's first.
    pub certificate: PathBuf,
    /// Private key of the first certificate.
    pub key: PathBuf,
    /// Authorities that sign the certificates of the other side.
    pub authorities: PathBuf,
}

impl ApiTcp {
    /// The listener; `None` if none is wanted, or what is wanted was not checked and is wrong.
    #[must_use]
    pub fn listener(&self) -> Option<ApiListener> {
        let address = self.listen?;
        match (&self.tls_certificate, &self.tls_key, &self.tls_client_ca) {
            (Some(certificate), Some(key), Some(authorities)) => Some(ApiListener::Tls(
                address,
                TlsFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    authorities: authorities.clone(),
                },
            )),
            (None, None, None) if self.plain_http && address.ip().is_loopback() => {
                Some(ApiListener::Plain(address))
            }
            _ => None,
        }
    }
}
