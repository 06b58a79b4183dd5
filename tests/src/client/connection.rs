//! One connection to an echo server, under the caller's control.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

/// How long an answer may take once there is a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// An established connection to an [`EchoServer`](crate::servers::EchoServer). Closed on drop.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Name of the server.
    pub server: String,
}

impl Connection {
    /// Opens it from an address, with port 0 from any port, in the namespace of the thread.
    ///
    /// # Errors
    ///
    /// If it is refused, or not there within `limit`, or the server does not say its name.
    pub fn open(source: SocketAddr, target: SocketAddr, limit: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(source), Type::STREAM, None)?;
        socket.bind(&source.into())?;
        socket.connect_timeout(&target.into(), limit)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut name = Vec::new();
        let mut byte = [0];
        loop {
            stream.read_exact(&mut byte)?;
            if byte == *b"\n" {
                break;
            }
            name.extend(byte);
        }
        Ok(Self { stream, server: String::from_utf8_lossy(&name).into_owned() })
    }

    /// Sends a message, which comes back.
    ///
    /// # Errors
    ///
    /// If the connection is broken, nothing comes back, or something else.
    pub fn echo(&self) -> io::Result<()> {
        let (message, mut echo) = ([0x5a; 8], [0; 8]);
        (&self.stream).write_all(&message)?;
        (&self.stream).read_exact(&mut echo)?;
        if echo == message { Ok(()) } else { Err(io::Error::other("another message came back")) }
    }

    /// Its address and port on this side.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn source(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}
