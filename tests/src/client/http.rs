//! HTTP requests, each over a new TCP connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::Request;

/// `GET /` over a connection of its own; the server closes it. Fails if it takes longer than 8 seconds.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Where to connect.
    pub target: SocketAddr,
}

/// Longer than TCP takes to send a SYN three times.
const LIMIT: Duration = Duration::from_secs(8);

impl Request for Http {
    async fn make(&self, source: IpAddr, _number: u64) -> Result<String, String> {
        match timeout(LIMIT, get(self.target, source)).await {
            Ok(answer) => server(&answer?),
            Err(_) => Err(format!("no answer within {LIMIT:?}")),
        }
    }
}

async fn get(target: SocketAddr, source: IpAddr) -> Result<Vec<u8>, String> {
    let mut stream = connect(target, source).await.map_err(|error| format!("connect: {error}"))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("send: {error}"))?;
    let mut answer = Vec::with_capacity(512);
    stream.read_to_end(&mut answer).await.map_err(|error| format!("receive: {error}"))?;
    Ok(answer)
}

/// Connects from an address; the port is the kernel's choice for this destination.
pub(super) async fn connect(target: SocketAddr, source: IpAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Otherwise a port would be taken at bind, for all destinations, and the ports would soon be used up.
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::new(source, 0))?;
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The server's name in an answer, where header and body agree on it.
fn server(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| format!("cut off answer of {} bytes", answer.len()))?;
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("status {status}"));
    }
    let name = head.lines().find_map(|line| line.strip_prefix("x-server: ")).unwrap_or_default();
    if name.is_empty() || name != body.trim_end() {
        return Err(format!("the header names {name:?}, the body {body:?}"));
    }
    Ok(name.to_owned())
}
