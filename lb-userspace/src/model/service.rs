//! Services as the operator wants them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Algorithm, Backend, BackendName, HealthCheck, ServiceName, keyword::keyword};

/// Slots of a service for which no number is given; a prime.
pub const DEFAULT_SLOTS: u32 = 65_537;
/// Most slots of a service; a prime.
pub const MAX_SLOTS: u32 = 1_048_573;
/// Most SNAT addresses of a service.
pub const MAX_SNAT_ADDRESSES: usize = lb_common::maps::MAX_SNAT_PER_SERVICE as usize;

/// Transport protocols that are balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

keyword!(Protocol { Tcp = "tcp", Udp = "udp" });

impl Protocol {
    /// The IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol of an IP protocol number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

/// How packets of a service are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Destination NAT: the backend sees the client's address.
    #[default]
    Nat,
    /// Destination and source NAT: the backend sees a SNAT address.
    FullNat,
}

keyword!(Mode { Nat = "nat", FullNat = "full-nat" });

/// What clients connect to; unique in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAddress {
    /// The VIP.
    pub address: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port; 0: every port without a service of its own.
    pub port: u16,
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, SocketAddr::new(self.address, self.port))
    }
}

/// A service: what clients connect to, and the backends that answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, unique in the configuration.
    pub name: ServiceName,
    /// The VIP.
    pub address: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port; 0: every port of the address and protocol without a service of its own.
    pub port: u16,
    /// How its packets are forwarded.
    pub mode: Mode,
    /// How a new flow's backend is chosen.
    pub algorithm: Algorithm,
    /// Size of its slot table.
    pub slots: u32,
    /// [`Algorithm::SourceHash`]: how many bits of the client's address count; `None`: all.
    pub affinity_prefix: Option<u8>,
    /// [`Mode::FullNat`]: source addresses towards the backends.
    pub snat_addresses: Vec<IpAddr>,
    /// How its backends are checked; `None`: every backend is taken to be healthy.
    pub health: Option<HealthCheck>,
    /// Its backends, in the order of the file.
    pub backends: Vec<Backend>,
}

impl Service {
    /// A service without backends, everything else at its default.
    #[must_use]
    pub fn new(name: ServiceName, at: ServiceAddress) -> Self {
        Self {
            name,
            address: at.address,
            protocol: at.protocol,
            port: at.port,
            mode: Mode::default(),
            algorithm: Algorithm::default(),
            slots: DEFAULT_SLOTS,
            affinity_prefix: None,
            snat_addresses: Vec::new(),
            health: None,
            backends: Vec::new(),
        }
    }

    /// What clients connect to.
    #[must_use]
    pub fn at(&self) -> ServiceAddress {
        ServiceAddress { address: self.address, protocol: self.protocol, port: self.port }
    }

    /// The backend of a name.
    #[must_use]
    pub fn backend(&self, name: &BackendName) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.name == *name)
    }

    /// The backend of a name, to be changed.
    pub fn backend_mut(&mut self, name: &BackendName) -> Option<&mut Backend> {
        self.backends.iter_mut().find(|backend| backend.name == *name)
    }

    /// The port that a backend's health check connects to; 0: there is none, which [`super::Draft::check`] refuses.
    #[must_use]
    pub fn health_port(&self, check: &HealthCheck, backend: &Backend) -> u16 {
        match (check.port, self.protocol) {
            (Some(port), _) => port,
            (None, Protocol::Tcp) => backend.port,
            (None, Protocol::Udp) => 0,
        }
    }
}
