//! Connections and UDP flows whose every byte is compared with what was sent, short and long ones.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UdpSocket, tcp::OwnedWriteHalf},
    time::{sleep, timeout},
};

use super::{Request, http::connect};
use crate::pattern::{Comparison, Pattern};

/// What the reason of a failure contains if other bytes came back than were sent, or somebody else's.
pub const WRONG_BYTES: &str = "wrong bytes";

/// Nothing came for this long: TCP has then repeated what was lost many times.
const SILENCE: Duration = Duration::from_secs(10);
/// As [`SILENCE`], for a datagram: nobody repeats it.
const LOST: Duration = Duration::from_secs(2);

/// A stream to an [`EchoServer`](crate::servers::EchoServer) and back over a TCP connection of its own: 1 KiB to 256 KiB, and 2 MiB by each
/// 64th. Reasons of failures begin with the name of the server and a colon once it is known.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Where to connect.
    pub target: SocketAddr,
}

impl Request for Stream {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let size = if number % 64 == 63 { 2 << 20 } else { 1024 << (number % 9) };
        let (stream, name) = greeted(self.target, source).await?;
        let of_server = |error: io::Error| format!("{name}: {error}");
        let pattern = Pattern::new(number);
        let mut comparison = Comparison::new(pattern);
        let (length, different) = {
            comparison.push(stream.buffer());
            let (mut reader, writer) = stream.into_inner().into_split();
            let sending = tokio::spawn(send(writer, pattern, size));
            let mut block = vec![0; 1 << 15];
            loop {
                match within(reader.read(&mut block)).await.map_err(of_server)? {
                    0 => break,
                    length => comparison.push(&block[..length]),
                }
            }
            sending.await.map_err(|error| format!("{name}: {error}"))?.map_err(of_server)?;
            comparison.finish()
        };
        match different {
            Some(_) => Err(format!("{name}: {WRONG_BYTES} in a stream")),
            None if length == size => Ok(name),
            None => Err(format!("{name}: the stream ended early")),
        }
    }
}

/// Sends so many bytes, and says that these were all.
async fn send(mut writer: OwnedWriteHalf, pattern: Pattern, size: u64) -> io::Result<()> {
    let mut block = vec![0; 1 << 15];
    let mut offset = 0;
    while offset < size {
        let length = usize::try_from(size - offset).map_or(block.len(), |left| left.min(block.len()));
        pattern.fill(offset, &mut block[..length]);
        within(writer.write_all(&block[..length])).await?;
        offset += length as u64;
    }
    writer.shutdown().await
}

/// Messages of 512 bytes to an echo server and back, one after the other, over one TCP connection; the first and the last one are as far apart as
/// `messages` and `pause` say. Reasons of failures are as those of [`Stream`].
#[derive(Clone, Copy, Debug)]
pub struct Conversation {
    /// Where to connect.
    pub target: SocketAddr,
    /// Number of messages.
    pub messages: u64,
    /// Pause after each.
    pub pause: Duration,
}

impl Request for Conversation {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let (mut stream, name) = greeted(self.target, source).await?;
        for message in 0..self.messages {
            let question = question(number, message);
            let mut answer = vec![0; question.len()];
            let exchange = async {
                stream.get_mut().write_all(&question).await?;
                stream.read_exact(&mut answer).await
            };
            within(exchange).await.map_err(|error| format!("{name}: {error}"))?;
            if answer != question {
                return Err(format!("{name}: {WRONG_BYTES} in a message"));
            }
            sleep(self.pause).await;
        }
        Ok(name)
    }
}

/// As [`Conversation`], over one UDP flow: each datagram has to be answered, by the server that answered the first one.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams(pub Conversation);

impl Request for Datagrams {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let Conversation { target, messages, pause } = self.0;
        let failed = |error: io::Error| error.to_string();
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await.map_err(failed)?;
        socket.connect(target).await.map_err(failed)?;
        let mut server = String::new();
        for message in 0..messages {
            let question = question(number, message);
            let of_server = |text: &str| {
                if server.is_empty() { text.to_owned() } else { format!("{server}: {text}") }
            };
            socket.send(&question).await.map_err(|error| of_server(&error.to_string()))?;
            let mut answer = vec![0; question.len() + 256];
            let received = timeout(LOST, socket.recv(&mut answer)).await;
            let received = received.map_err(|_| of_server("a datagram or its answer was lost"))?;
            let length = received.map_err(|error| of_server(&error.to_string()))?;
            let newline = answer[..length].iter().position(|byte| *byte == b'\n');
            let newline = newline.ok_or_else(|| of_server(WRONG_BYTES))?;
            if answer[newline + 1..length] != question {
                return Err(of_server(&format!("{WRONG_BYTES} in a datagram")));
            }
            let name = String::from_utf8_lossy(&answer[..newline]).into_owned();
            if !server.is_empty() && name != server {
                return Err(of_server(&format!("the flow went to {name}")));
            }
            server = name;
            sleep(pause).await;
        }
        Ok(server)
    }
}

fn question(number: u64, message: u64) -> Vec<u8> {
    let mut question = vec![0; 512];
    Pattern::new(number.rotate_left(32) ^ message).fill(0, &mut question);
    question
}

/// Connects, and waits for the name of the server.
async fn greeted(target: SocketAddr, source: IpAddr) -> Result<(BufReader<TcpStream>, String), String> {
    let stream = within(connect(target, source)).await.map_err(|error| format!("connect: {error}"))?;
    let (mut stream, mut name) = (BufReader::new(stream), String::new());
    within(stream.read_line(&mut name)).await.map_err(|error| format!("greeting: {error}"))?;
    match name.strip_suffix('\n') {
        Some(name) => Ok((stream, name.to_owned())),
        None => Err("greeting: closed".to_owned()),
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long");
    timeout(SILENCE, work).await.map_err(|_| silent())?
}
