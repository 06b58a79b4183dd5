//! One probe: a TCP connection is opened and closed again.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection was established.
    Connected,
    /// The backend's host answered with a RST: nothing listens.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The network said that the host or network cannot be reached, or the next hop did not answer.
    Unreachable,
    /// This machine could not even try (no file descriptors, no memory, ...). Says nothing about the backend.
    NotTried,
}

impl Outcome {
    /// The text in logs and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refused => "connection refused",
            Self::TimedOut => "timed out",
            Self::Unreachable => "unreachable",
            Self::NotTried => "not tried",
        }
    }

    fn of_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied => Self::Unreachable,
            _ => Self::NotTried,
        }
    }
}

/// Connects to `address`; the stream, if there is one, is for [`close`].
pub async fn probe(address: SocketAddr, limit: Duration) -> (Outcome, Option<TcpStream>) {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => (Outcome::Connected, Some(stream)),
        Ok(Err(error)) => (Outcome::of_error(&error), None),
        Err(_) => (Outcome::TimedOut, None),
    }
}

/// Ends the connection with a FIN and reads what the backend says until it ends too, for at most `limit`.
///
/// Dropping the stream at once would answer a greeting with a RST, which servers log as an error.
pub async fn close(mut stream: TcpStream, limit: Duration) {
    let drain = async {
        stream.shutdown().await?;
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever happens to a connection that has served its purpose is of no interest.
    let _: Result<io::Result<()>, _> = timeout(limit, drain).await;
}
