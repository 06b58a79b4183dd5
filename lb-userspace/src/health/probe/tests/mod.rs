//! Probes against servers on the loopback interface, most of them hostile.

mod connections;
mod datagrams;
mod grpc;
mod http;
mod scripts;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Prober, Subject};
use crate::health::{Outcome, Preparer, Rights};
use crate::model::{
    Probe, ProbeType, Setting, probe_of as probe, settings_of as settings, text_setting as text,
};

/// Long enough for every probe that is answered.
const LONG: Duration = Duration::from_secs(20);
/// For probes that are not answered.
const SHORT: Duration = Duration::from_millis(300);
/// What a server can write before a probe that reads no more stops it: the kernel's buffers of both sides.
const BUFFERED: usize = 16 << 20;

/// Probes once.
async fn outcome(probe: Probe, address: SocketAddr, limit: Duration) -> Outcome {
    let prepared =
        Preparer::new(Rights::Needed).prepare(&probe.into()).unwrap_or_else(|error| panic!("{error}"));
    let subject = Subject { service: "web".to_owned(), backend: "b1".to_owned(), address };
    let probed =
        tokio::time::timeout(limit * 3 + LONG, Prober::default().probe(&prepared, &subject, limit, 1)).await;
    probed.expect("a probe ends by its own time limit").0
}

/// Why a probe failed.
async fn failure(probe: Probe, address: SocketAddr, limit: Duration) -> String {
    match outcome(probe, address, limit).await {
        Outcome::Failed(reason) => reason.into_owned(),
        other => panic!("{other:?}"),
    }
}

/// A server on the loopback interface.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    written: Arc<AtomicUsize>,
}

impl Server {
    /// Does something with each connection.
    async fn start<F: Future<Output = io::Result<()>> + Send>(
        serve: impl Fn(Served) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connections, written) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::clone(&connections),
            written: Arc::clone(&written),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                // A connection that breaks is what most of these tests are about.
                let _: io::Result<()> = serve(Served { stream, written: Arc::clone(&written) }).await;
            }
        });
        server
    }

    /// Takes a request, and says always the same.
    async fn saying(answer: &'static str) -> Self {
        Self::start(move |mut served| async move {
            served.request().await?;
            served.say(answer.as_bytes()).await
        })
        .await
    }

    /// Says something, and then something else without an end.
    async fn endless(first: &'static str, then: &'static str) -> Self {
        Self::start(move |mut served| async move {
            served.say(first.as_bytes()).await?;
            let block = then.repeat(16 << 10).into_bytes();
            loop {
                served.say(&block).await?;
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }
}

/// A connection, from the server's side.
struct Served {
    stream: TcpStream,
    written: Arc<AtomicUsize>,
}

impl Served {
    /// The head of a request.
    async fn request(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    async fn say(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let length = self.stream.write(bytes).await?;
            self.written.fetch_add(length, Ordering::Relaxed);
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Ends with a RST.
    fn reset(self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// Waits until the other side is gone.
    async fn hold(mut self) -> io::Result<()> {
        let mut scratch = [0; 1024];
        while self.stream.read(&mut scratch).await? > 0 {}
        Ok(())
    }
}

/// An address where nothing listens.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
