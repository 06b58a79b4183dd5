//! TLS over a connection.

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::bounded::Bounded;
use super::connect::broken;
use super::{Deadline, Step};
use crate::health::TlsClient;
use crate::health::prepared::server_name;

/// The handshake: what the backend shows is verified, unless that was switched off.
pub(super) async fn handshake(
    client: &TlsClient,
    stream: Bounded<TcpStream>,
    to: std::net::SocketAddr,
    deadline: &mut Deadline,
) -> Step<TlsStream<Bounded<TcpStream>>> {
    let connector = TlsConnector::from(std::sync::Arc::clone(&client.config));
    let name = server_name(client, to.ip());
    let doing = "TLS handshake";
    let stream = deadline.within(doing, connector.connect(name, stream)).await?;
    stream.map_err(|error| broken(doing, &error))
}

/// What is wrong, in the words of an operator.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the backend requires a client certificate".to_owned()
        }
        Error::AlertReceived(alert) => format!("the backend sent the TLS alert {alert:?}"),
        Error::InvalidMessage(_) => "what the backend sent is not TLS".to_owned(),
        Error::NoApplicationProtocol => "the backend does not speak the protocol (ALPN)".to_owned(),
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate not valid yet".to_owned()
        }
        CertificateError::NotValidForName => "certificate has another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("certificate is not for {}", expected.to_str())
        }
        CertificateError::UnknownIssuer => "certificate of an unknown authority".to_owned(),
        CertificateError::BadSignature => {
            "certificate not signed by the trusted authority of that name".to_owned()
        }
        CertificateError::Revoked => "certificate revoked".to_owned(),
        CertificateError::BadEncoding => "certificate cannot be read".to_owned(),
        error => format!("certificate refused: {error}"),
    }
}
