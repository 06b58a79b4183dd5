//! Real servers: nginx for HTTP, and an in-process server that echoes TCP streams and UDP datagrams.

mod authority;
mod echo;
mod nginx;
mod prometheus;
mod unbound;

use anyhow::Result;

pub use authority::Authority;
pub use echo::EchoServer;
pub use nginx::Nginx;
pub use prometheus::Prometheus;
pub use unbound::Unbound;

use crate::topology::Host;

/// Port of the HTTP servers.
pub const HTTP_PORT: u16 = 8080;
/// Port of the HTTPS servers.
pub const HTTPS_PORT: u16 = 8443;
/// TCP and UDP port of the echo servers.
pub const ECHO_PORT: u16 = 9000;

/// TCP and UDP port of the DNS servers.
pub const DNS_PORT: u16 = 53;

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
