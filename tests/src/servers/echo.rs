//! A server that says its name and echoes.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::mpsc,
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Builder,
    sync::oneshot,
};

use super::ECHO_PORT;
use crate::topology::Host;

/// Echoes on [`ECHO_PORT`] of both families, on a thread in the host's namespace. Over TCP it first sends its name and a
/// newline; over UDP it answers each datagram with its name, a newline, and the datagram. Ends on drop, and with it all
/// connections.
#[derive(Debug)]
pub struct EchoServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EchoServer {
    /// Starts it; its sockets are open when this returns.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub fn start(host: &Host) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, readiness) = mpsc::channel();
        let name = format!("{}\n", host.name);
        let thread = host.netns.spawn_thread(move || serve(name.as_bytes(), &ready, stopped));
        readiness
            .recv()
            .context("the echo server's thread ended")?
            .with_context(|| format!("cannot open port {ECHO_PORT} of {}", host.name))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(name: &[u8], ready: &mpsc::Sender<io::Result<()>>, stopped: oneshot::Receiver<()>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let (listener, datagrams) = match open() {
            Ok(sockets) => sockets,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let _ = ready.send(Ok(()));
        tokio::select! {
            () = accept(listener, name) => (),
            () = answer(datagrams, name) => (),
            // Also when the sender is gone: that is how the server is told to end.
            _ = stopped => (),
        }
    });
}

/// Sockets for both families in one.
fn open() -> io::Result<(TcpListener, UdpSocket)> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, ECHO_PORT));
    let stream = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    let datagram = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
    for socket in [&stream, &datagram] {
        socket.set_only_v6(false)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
    }
    datagram.set_recv_buffer_size(4 << 20)?;
    stream.listen(4096)?;
    Ok((TcpListener::from_std(stream.into())?, UdpSocket::from_std(datagram.into())?))
}

async fn accept(listener: TcpListener, name: &[u8]) {
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that ends badly is the client's to report.
        tokio::spawn(echo(stream, name.to_vec()));
    }
}

async fn echo(mut stream: TcpStream, name: Vec<u8>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(&name).await?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

async fn answer(socket: UdpSocket, name: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    buffer[..name.len()].copy_from_slice(name);
    loop {
        // An error here is an ICMP message about an earlier answer.
        if let Ok((length, client)) = socket.recv_from(&mut buffer[name.len()..]).await {
            let _ = socket.send_to(&buffer[..name.len() + length], client).await;
        }
    }
}
