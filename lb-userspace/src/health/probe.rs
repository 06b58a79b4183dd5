//! One probe: a TCP connection is opened and closed again.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::Outcome;
use crate::model::Probe;

/// Probes `address`, for at most `limit`; the stream, if there is one, is for [`close`].
pub async fn probe(probe: &Probe, address: SocketAddr, limit: Duration) -> (Outcome, Option<TcpStream>) {
    let Probe::Tcp = probe;
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => (Outcome::Healthy, Some(stream)),
        Ok(Err(error)) => (of_error(&error), None),
        Err(_) => (Outcome::Failed("timed out".into()), None),
    }
}

fn of_error(error: &io::Error) -> Outcome {
    match error.kind() {
        // The backend's host answered with a RST: nothing listens.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            Outcome::Failed("connection refused".into())
        }
        io::ErrorKind::TimedOut => Outcome::Failed("timed out".into()),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => Outcome::Failed("unreachable".into()),
        _ => Outcome::NotTried(error.to_string().into()),
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
