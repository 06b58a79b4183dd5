//! How flows are replicated between two machines.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::InterfaceName;

/// `[replication]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// An address of this machine, from which it sends.
    pub local_address: IpAddr,
    /// The other machine's address.
    pub peer_address: IpAddr,
    /// UDP port of both.
    pub port: u16,
    /// The only interface that is used.
    pub interface: Option<InterfaceName>,
    /// File with the keys that both machines have.
    pub key_file: PathBuf,
    /// How long this machine leaves an active one of lower priority alone while it does not have its flows.
    pub sync_deadline: Duration,
}

impl Replication {
    /// Port of both machines.
    pub const DEFAULT_PORT: u16 = 9465;
    /// How long flows are waited for.
    pub const DEFAULT_SYNC_DEADLINE: Duration = Duration::from_secs(30);
}
