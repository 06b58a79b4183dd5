//! Servers that cost little: they answer each request of [`REQUEST`] bytes with as many bytes as it asks for.

use std::{io, net::SocketAddr, sync::mpsc, thread::JoinHandle};

use anyhow::{Context, Result};
use lb_tests::topology::Topology;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
};

use super::{cpu, way::PORT};

/// Bytes of a request. The first eight are the size of the answer, little endian.
pub const REQUEST: usize = 64;

/// A request for an answer of this size.
#[must_use]
pub fn request(answer: u64) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[..8].copy_from_slice(&answer.to_le_bytes());
    request
}

/// Servers on all hosts of a network, in one thread. They end on drop.
#[derive(Debug)]
pub struct Servers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    id: u32,
}

impl Servers {
    /// Starts them; they listen when this returns.
    ///
    /// # Errors
    ///
    /// If a port is taken.
    pub fn start(topology: &Topology) -> Result<Self> {
        let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, PORT));
        let hosts = topology.servers.iter();
        let listeners = hosts
            .map(|host| {
                host.netns.run(|| listen(any)).with_context(|| format!("no listener on {}", host.name))
            })
            .collect::<Result<Vec<_>>>()?;
        Self::serve(listeners)
    }

    /// Serves what comes to these sockets.
    ///
    /// # Errors
    ///
    /// If there is no event loop to be had.
    pub fn serve(listeners: Vec<std::net::TcpListener>) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, readiness) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            if let Err(error) = run(listeners, &ready, stopped) {
                let _ = ready.send(Err(error));
            }
        });
        let id = readiness
            .recv()
            .context("the servers' thread ended")?
            .context("no event loop for the servers")?;
        Ok(Self { stop: Some(stop), thread: Some(thread), id })
    }

    /// The thread of the servers.
    #[must_use]
    pub fn thread(&self) -> u32 {
        self.id
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket of both families with room for many connections at once.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn run(
    listeners: Vec<std::net::TcpListener>,
    ready: &mpsc::Sender<io::Result<u32>>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        for listener in listeners {
            listener.set_nonblocking(true)?;
            tokio::spawn(accept(TcpListener::from_std(listener)?));
        }
        let _ = ready.send(Ok(cpu::this_thread()));
        let _ = stopped.await;
        Ok(())
    })
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that ends badly is the client's to report.
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; REQUEST];
    let block = vec![0; 1 << 16];
    loop {
        stream.read_exact(&mut request).await?;
        let [first @ .., _] = &request;
        let size = first.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let mut left = usize::try_from(size).unwrap_or(0);
        while left > 0 {
            let part = left.min(block.len());
            stream.write_all(&block[..part]).await?;
            left -= part;
        }
    }
}
