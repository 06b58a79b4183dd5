//! UDP requests, each from a new port.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use super::Request;
use crate::pattern::Pattern;

/// A datagram to an echo server and the answer to it. There is no second attempt: a lost datagram is a failure.
#[derive(Clone, Copy, Debug)]
pub struct Udp {
    /// Where to send it.
    pub target: SocketAddr,
    /// Bytes of payload, a multiple of 8.
    pub size: usize,
}

const LIMIT: Duration = Duration::from_secs(2);

impl Request for Udp {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let mut question = vec![0; self.size];
        Pattern::new(number).fill(0, &mut question);
        let answer = match timeout(LIMIT, ask(self.target, source, &question)).await {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {LIMIT:?}")),
        };
        let newline = answer.iter().position(|byte| *byte == b'\n').ok_or("an answer without a name")?;
        if answer[newline + 1..] != question {
            return Err("another answer than was asked for".to_owned());
        }
        Ok(String::from_utf8_lossy(&answer[..newline]).into_owned())
    }
}

async fn ask(target: SocketAddr, source: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
    // Connected: only answers from the target's address and port are taken.
    socket.connect(target).await?;
    socket.send(question).await?;
    let mut answer = vec![0; question.len() + 256];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}
