//! Connections that say nothing for a while: what a table that forgets the longest idle one would forget first.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use crate::{
    netns::Netns,
    servers::ECHO_PORT,
    site::target,
    topology::{Family, addresses},
};

/// How long one may take to open, or to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Idle connections to the echo service.
#[derive(Debug)]
pub(super) struct Idle(Vec<TcpStream>);

impl Idle {
    /// Opens so many.
    pub(super) fn open(client: &Netns, family: Family, count: usize) -> Result<Self> {
        let sources = addresses::clients(family);
        let streams = sources.iter().cycle().take(count).map(|source| connect(*source, family));
        let streams: io::Result<Vec<TcpStream>> = client.run(move || streams.collect());
        Ok(Self(streams.context("cannot open idle connections")?))
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many of them do not bring a message back any more.
    pub(super) fn broken(self) -> u64 {
        let works = |stream: &mut TcpStream| -> io::Result<bool> {
            let (message, mut echo) = ([0x5a; 8], [0; 8]);
            stream.write_all(&message)?;
            stream.read_exact(&mut echo)?;
            Ok(echo == message)
        };
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for mut stream in self.0 {
            let reason = match works(&mut stream) {
                Ok(true) => continue,
                Ok(false) => "another message came back".to_owned(),
                Err(error) => error.to_string(),
            };
            *reasons.entry(reason).or_default() += 1;
        }
        reasons.iter().for_each(|(reason, count)| eprintln!("idle connections: {count} x {reason}"));
        reasons.values().sum()
    }
}

fn connect(source: IpAddr, family: Family) -> io::Result<TcpStream> {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&target(family, ECHO_PORT).into(), LIMIT)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT))?;
    // The server says its name first.
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte)?;
    }
    Ok(stream)
}
