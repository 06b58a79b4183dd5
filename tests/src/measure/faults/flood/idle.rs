//! Connections that say nothing for a while: what a table that forgets the longest idle one would forget first.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};

use crate::{
    client::Connection,
    netns::Netns,
    servers::ECHO_PORT,
    site::target,
    topology::{Family, addresses},
};

/// How long one may take to open.
const LIMIT: Duration = Duration::from_secs(5);

/// Idle connections to the echo service.
#[derive(Debug)]
pub(super) struct Idle(Vec<Connection>);

impl Idle {
    /// Opens so many.
    pub(super) fn open(client: &Netns, family: Family, count: usize) -> Result<Self> {
        let sources = addresses::clients(family);
        let open = |source| Connection::open(SocketAddr::new(source, 0), target(family, ECHO_PORT), LIMIT);
        let connections = sources.into_iter().cycle().take(count).map(open);
        let connections: io::Result<Vec<Connection>> = client.run(move || connections.collect());
        Ok(Self(connections.context("cannot open idle connections")?))
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many of them do not bring a message back any more.
    pub(super) fn broken(self) -> u64 {
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for error in self.0.iter().filter_map(|connection| connection.echo().err()) {
            *reasons.entry(error.to_string()).or_default() += 1;
        }
        reasons.iter().for_each(|(reason, count)| eprintln!("idle connections: {count} x {reason}"));
        reasons.values().sum()
    }
}
