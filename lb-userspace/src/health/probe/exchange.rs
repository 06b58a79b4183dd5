//! A byte stream with or without TLS, for protocols that do not care.

use tokio::io::{AsyncRead, AsyncWrite};

use super::bounded::Bounded;
use super::{Deadline, MAX_BODY, MAX_HEAD, Step, Way, connect, tls};
use crate::health::TlsClient;

/// Bytes that a connection may bring: head, body, and what TLS, chunks and frames add.
const MAX_BYTES: usize = MAX_HEAD + MAX_BODY + (64 << 10);

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that is read up to a limit, with the protocol that TLS negotiated.
pub(super) struct Opened {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) alpn: Option<Vec<u8>>,
}

/// Opens a connection, with TLS if a client for it is given.
pub(super) async fn open(way: Way, client: Option<&TlsClient>, deadline: &mut Deadline) -> Step<Opened> {
    let stream = Bounded::new(connect::connect(way, deadline).await?, MAX_BYTES);
    let Some(client) = client else { return Ok(Opened { stream: Box::new(stream), alpn: None }) };
    let stream = tls::handshake(client, stream, way.to, deadline).await?;
    let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    Ok(Opened { stream: Box::new(stream), alpn })
}

/// The value of `Host` or `:authority` for an address.
pub(super) fn authority(way: Way, default_port: u16) -> String {
    let (address, port) = (way.to.ip(), way.to.port());
    match address {
        _ if port != default_port => way.to.to_string(),
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}
