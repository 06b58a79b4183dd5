//! TCP connections, and what the system says when there is none.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::bounded::TooLong;
use super::{Deadline, Step, Way};
use crate::health::Outcome;

/// Opens a connection.
pub(super) async fn connect(way: Way, deadline: &mut Deadline) -> Step<TcpStream> {
    let opened = deadline.within("TCP connect", open(way)).await?;
    opened?.map_err(|error| unreached(&error))
}

async fn open(way: Way) -> Step<io::Result<TcpStream>> {
    let socket = if way.to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| not_tried(&error))?;
    if let Some(source) = way.source {
        // Else each connection takes a port of its own, whichever backend it goes to.
        let _ = setsockopt(&socket, sockopt::IpBindAddressNoPort, &true);
        socket.bind(SocketAddr::new(source, 0)).map_err(|error| unbound(way, &error))?;
    }
    // The ACK of the handshake goes with what follows at once, the request or the end: a packet less for each probe.
    let _ = SockRef::from(&socket).set_tcp_quickack(false);
    Ok(socket.connect(way.to).await)
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

/// What it means that nothing could be sent to a backend, or nothing arrived there.
pub(super) fn unreached(error: &io::Error) -> Outcome {
    match error.kind() {
        // A RST, or ICMP: port unreachable.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            Outcome::Failed("connection refused".into())
        }
        io::ErrorKind::TimedOut => Outcome::Failed("timed out".into()),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => Outcome::Failed("unreachable".into()),
        _ if error.raw_os_error() == Some(libc::EPROTO) => Outcome::Failed("unreachable".into()),
        _ => not_tried(error),
    }
}

/// What it means that this machine has no socket to spare, or the like.
pub(super) fn not_tried(error: &io::Error) -> Outcome {
    Outcome::NotTried(error.to_string().into())
}

/// What it means that a socket could not have the source address.
pub(super) fn unbound(way: Way, error: &io::Error) -> Outcome {
    let source = way.source.map(|source| source.to_string()).unwrap_or_default();
    Outcome::NotTried(format!("cannot send from {source}: {error}").into())
}

/// What it means that a connection broke while something was done.
pub(super) fn broken(doing: &str, error: &(dyn Error + 'static)) -> Outcome {
    let reason = match cause(error) {
        Some(reason) => reason,
        None => error.to_string(),
    };
    Outcome::Failed(format!("{reason}: {doing}").into())
}

/// The innermost cause that can be told in a few words.
fn cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if let Some(reason) =
                error.get_ref().and_then(|inner| inner.downcast_ref::<tokio_rustls::rustls::Error>())
            {
                return Some(super::tls::reason(reason));
            }
            if let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<TooLong>()) {
                return Some(reason.to_string());
            }
            match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    return Some("connection reset".to_owned());
                }
                io::ErrorKind::UnexpectedEof => return Some("connection closed".to_owned()),
                io::ErrorKind::TimedOut => return Some("timed out".to_owned()),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    return Some("unreachable".to_owned());
                }
                _ => {}
            }
        }
        next = error.source();
    }
    None
}
