//! Closed-loop clients: each connection asks again as soon as it has its answer, which shows how much gets through at most.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_tests::{clock, topology::Family};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};

use super::{
    server::{REQUEST, request},
    way::Ground,
};

/// Longer than TCP takes to send a SYN three times.
const LIMIT: Duration = Duration::from_secs(8);
/// Connections under way at a time.
const CONNECTIONS: usize = 32;

/// A client in a ground's network, with connections that are kept.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    kept: Vec<TcpStream>,
    family: Family,
}

/// What a slice came to.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Requests that were answered.
    pub requests: u64,
    /// How long it took.
    pub time: Duration,
}

impl Slice {
    /// Requests in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn rate(self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }
}

impl Client {
    /// Opens the connections that are kept.
    ///
    /// # Errors
    ///
    /// If one cannot be opened.
    pub fn open(ground: &Ground, family: Family) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("no event loop")?;
        let mut client = Self { runtime, kept: Vec::new(), family };
        let (runtime, targets) = (&client.runtime, client.targets(ground));
        client.kept = ground
            .topology
            .client
            .run(|| {
                runtime.block_on(async {
                    let mut kept = Vec::new();
                    for target in targets {
                        kept.push(connect(target).await?);
                    }
                    io::Result::Ok(kept)
                })
            })
            .with_context(|| format!("no connection through {}", ground.way.name()))?;
        Ok(client)
    }

    /// The connections that are kept, and what drives them.
    pub(super) fn parts(&mut self) -> (&Runtime, &mut Vec<TcpStream>) {
        (&self.runtime, &mut self.kept)
    }

    /// Asks on the kept connections for some time.
    ///
    /// # Errors
    ///
    /// If one breaks.
    pub fn ask(&mut self, time: Duration) -> Result<Slice> {
        let streams = std::mem::take(&mut self.kept);
        let (slice, streams) = self.runtime.block_on(async {
            let start = clock::now();
            let mut tasks = JoinSet::new();
            for mut stream in streams {
                tasks.spawn(async move {
                    let mut count = 0;
                    while start.elapsed() < time {
                        exchange(&mut stream).await?;
                        count += 1;
                    }
                    io::Result::Ok((stream, count))
                });
            }
            let (mut kept, mut requests) = (Vec::new(), 0);
            while let Some(done) = tasks.join_next().await {
                let (stream, count) = done.map_err(io::Error::other)??;
                kept.push(stream);
                requests += count;
            }
            io::Result::Ok((Slice { requests, time: start.elapsed() }, kept))
        })?;
        self.kept = streams;
        Ok(slice)
    }

    /// Asks over a new connection each time, for some time.
    ///
    /// # Errors
    ///
    /// If one cannot be opened or breaks.
    pub fn ask_anew(&mut self, ground: &Ground, time: Duration) -> Result<Slice> {
        let (runtime, targets) = (&self.runtime, self.targets(ground));
        let slice = ground.topology.client.run(|| {
            runtime.block_on(async {
                let start = clock::now();
                let mut tasks = JoinSet::new();
                for target in targets {
                    tasks.spawn(async move {
                        let mut count = 0;
                        while start.elapsed() < time {
                            exchange(&mut connect(target).await?).await?;
                            count += 1;
                        }
                        io::Result::Ok(count)
                    });
                }
                let mut requests = 0;
                while let Some(done) = tasks.join_next().await {
                    requests += done.map_err(io::Error::other)??;
                }
                io::Result::Ok(Slice { requests, time: start.elapsed() })
            })
        });
        slice.with_context(|| format!("new connections through {}", ground.way.name()))
    }

    /// Downloads on one connection; gives the time it took.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub fn download(&mut self, bytes: u64) -> Result<Duration> {
        let stream = self.kept.first_mut().context("no connection")?;
        let took = self.runtime.block_on(async {
            let start = clock::now();
            stream.write_all(&request(bytes)).await?;
            let mut buffer = vec![0; 1 << 18];
            let mut left = bytes;
            while left > 0 {
                match stream.read(&mut buffer).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    length => left = left.saturating_sub(length as u64),
                }
            }
            Ok(start.elapsed())
        })?;
        ensure!(!took.is_zero(), "the clock stands still");
        Ok(took)
    }

    fn targets(&self, ground: &Ground) -> Vec<SocketAddr> {
        (0..CONNECTIONS).map(|number| ground.target(self.family, number)).collect()
    }
}

/// Asks once and reads the answer, which is as long.
pub(super) async fn exchange(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&request(REQUEST as u64)).await?;
    let mut answer = [0; REQUEST];
    match timeout(LIMIT, stream.read_exact(&mut answer)).await {
        Ok(read) => read.map(drop),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {LIMIT:?}"))),
    }
}

/// Connects; the port is the kernel's choice for this destination.
async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Otherwise a port would be taken at bind, for all destinations, and the ports would soon be used up.
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::new(unspecified(target), 0))?;
    let stream = match timeout(LIMIT, socket.connect(target)).await {
        Ok(connected) => connected?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{target} does not answer"))),
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn unspecified(target: SocketAddr) -> IpAddr {
    if target.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}
