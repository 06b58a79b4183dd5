//! Real servers: nginx for HTTP, and an in-process server that echoes TCP streams and UDP datagrams.

mod echo;
mod nginx;

use anyhow::Result;

pub use echo::EchoServer;
pub use nginx::Nginx;

use crate::topology::Host;

/// Port of the HTTP servers.
pub const HTTP_PORT: u16 = 8080;
/// TCP and UDP port of the echo servers.
pub const ECHO_PORT: u16 = 9000;

/// Both servers of a host.
#[derive(Debug)]
pub struct Servers {
    /// HTTP.
    pub nginx: Nginx,
    /// TCP streams and UDP datagrams.
    pub echo: EchoServer,
}

impl Servers {
    /// Starts both and waits until they answer.
    ///
    /// # Errors
    ///
    /// If one does not start.
    pub fn start(host: &Host) -> Result<Self> {
        Ok(Self { nginx: Nginx::start(host)?, echo: EchoServer::start(host)? })
    }

    /// Starts both on each host.
    ///
    /// # Errors
    ///
    /// If one does not start.
    pub fn start_all(hosts: &[Host]) -> Result<Vec<Self>> {
        hosts.iter().map(Self::start).collect()
    }
}
