//! Exchanges with an echo server, each over a new TCP connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

use super::{Request, http::connect};

/// One message to an [`EchoServer`](crate::servers::EchoServer) and back, over a connection of its own. Fails if it takes longer than 8
/// seconds.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Where to connect.
    pub target: SocketAddr,
}

/// Longer than TCP takes to send a SYN three times.
const LIMIT: Duration = Duration::from_secs(8);

impl Request for Echo {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        match timeout(LIMIT, exchange(self.target, source, number)).await {
            Ok(name) => name.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {LIMIT:?}")),
        }
    }
}

async fn exchange(target: SocketAddr, source: IpAddr, number: u64) -> io::Result<String> {
    let mut stream = BufReader::new(connect(target, source).await?);
    let mut name = String::new();
    stream.read_line(&mut name).await?;
    stream.get_mut().write_all(&number.to_be_bytes()).await?;
    let echoed = stream.read_u64().await?;
    if echoed != number {
        return Err(io::Error::other(format!("message {number} came back as {echoed}")));
    }
    Ok(name.trim_end().to_owned())
}
