//! Real servers: nginx for HTTP, and an in-process server that echoes TCP streams and UDP datagrams.

mod authority;
mod echo;
mod nginx;
mod prometheus;
mod unbound;

use std::{
    net::{SocketAddr, TcpStream},
    process::Child,
    time::Duration,
};

use anyhow::{Result, bail};

pub use authority::Authority;
pub use echo::EchoServer;
pub use nginx::Nginx;
pub use prometheus::Prometheus;
pub use unbound::Unbound;

use crate::{clock, topology::Host};

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

/// Waits until a process takes connections at a port of its host's IPv4 address.
fn wait_ready(process: &mut Child, what: &str, host: &Host, port: u16) -> Result<()> {
    let (what, address) = (format!("{what} of {}", host.name), SocketAddr::from((host.v4, port)));
    let exited = host.netns.run(|| {
        clock::wait_for(&what, Duration::from_secs(10), || {
            if let Ok(Some(status)) = process.try_wait() {
                return Some(Some(status));
            }
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok().map(|_| None)
        })
    })?;
    match exited {
        Some(status) => bail!("{what} ended with {status}"),
        None => Ok(()),
    }
}
