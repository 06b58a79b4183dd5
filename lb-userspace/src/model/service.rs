//! Services as the operator wants them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{
    Algorithm, Backend, BackendName, FlowRates, HealthCheck, PortUse, ServiceName, SourceList,
    keyword::keyword,
};

/// Most slots of a service for which no number is given; a prime. See [`Service::slot_count`].
pub const DEFAULT_SLOTS: u32 = 65_537;
/// Backends and slots that a consistent hash has for up to so many: primes, at least 100 for each backend. The steps are wide, as
/// a table of another size is another table.
const SLOTS_FOR: [(usize, u32); 6] =
    [(16, 1601), (32, 3203), (64, 6421), (128, 12_809), (256, 25_601), (512, 51_203)];
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

/// What becomes of TCP connections whose backend is down, disabled or removed. UDP flows go to another backend at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnDown {
    /// The client's next packet goes to another backend, which does not know the connection and answers with a RST. What is idle
    /// survives if the backend is back before.
    #[default]
    Reselect,
    /// Both ends get a RST at once, idle ones too.
    Reset,
}

keyword!(OnDown { Reselect = "reselect", Reset = "reset" });

/// What becomes of packets that would begin a flow while no backend of the service has a place for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFull {
    /// They are dropped: a TCP client tries again, and gets the next place that is free.
    #[default]
    Drop,
    /// TCP clients get a RST at once; everything else is dropped.
    Reset,
}

keyword!(OnFull { Drop = "drop", Reset = "reset" });

/// Whether SYNs of a TCP service are answered by cookies: without an entry, and without the backend, before the client proves that it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynCookies {
    /// Never.
    Off,
    /// While too many of its connections are half-open.
    #[default]
    Auto,
    /// Always.
    Always,
}

keyword!(SynCookies { Off = "off", Auto = "auto", Always = "always" });

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
    /// Size of its slot table; `None`: by the number of its backends, see [`Service::slot_count`].
    pub slots: Option<u32>,
    /// [`Algorithm::SourceHash`], and affinity: how many bits of the client's address count; `None`: all.
    pub affinity_prefix: Option<u8>,
    /// For how long after its last flow began a client gets the backend it had; zero: no affinity is kept.
    pub affinity_timeout: Duration,
    /// Most flows of all its backends at once; 0: any number.
    pub max_connections: u32,
    /// What becomes of packets that would begin one flow too many.
    pub on_full: OnFull,
    /// Whether its SYNs are answered by cookies; nothing to a UDP service.
    pub syn_cookies: SynCookies,
    /// Who may begin flows.
    pub sources: SourceList,
    /// How many may begin.
    pub rates: FlowRates,
    /// [`Mode::FullNat`]: source addresses towards the backends.
    pub snat_addresses: Vec<IpAddr>,
    /// What becomes of TCP connections of a backend that takes no packets any more.
    pub on_down: OnDown,
    /// Over which a backend's weight rises after it came back; zero: at once.
    pub slow_start: Duration,
    /// Backups take flows while fewer other backends than this are healthy; at least 1.
    pub backup_below: u32,
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
            slots: None,
            affinity_prefix: None,
            affinity_timeout: Duration::ZERO,
            max_connections: 0,
            on_full: OnFull::default(),
            syn_cookies: SynCookies::default(),
            sources: SourceList::default(),
            rates: FlowRates::default(),
            snat_addresses: Vec::new(),
            on_down: OnDown::default(),
            slow_start: Duration::ZERO,
            backup_below: 1,
            health: None,
            backends: Vec::new(),
        }
    }

    /// Whether it or one of its backends has a limit of connections.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.max_connections > 0 || self.backends.iter().any(|backend| backend.max_connections > 0)
    }

    /// What clients connect to.
    #[must_use]
    pub fn at(&self) -> ServiceAddress {
        ServiceAddress { address: self.address, protocol: self.protocol, port: self.port }
    }

    /// Size of its slot table. Where none is given: with a consistent hash at least 100 slots for each backend, in steps, so that
    /// thousands of small services are small; health, weights and states have no part in it.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        let consistent = matches!(self.algorithm, Algorithm::Maglev | Algorithm::SourceHash);
        let enough = SLOTS_FOR.iter().find(|(backends, _)| consistent && self.backends.len() <= *backends);
        self.slots.unwrap_or(enough.map_or(DEFAULT_SLOTS, |(_, slots)| *slots))
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

    /// The port that a backend's health check goes to; `None`: it needs one and there is none, which [`super::Draft::check`]
    /// refuses.
    #[must_use]
    pub fn health_port(&self, check: &HealthCheck, backend: &Backend) -> Option<u16> {
        let own = match (check.probe.port_use(), self.protocol) {
            (PortUse::None | PortUse::Optional, _) => return Some(check.port.unwrap_or(backend.port)),
            (PortUse::Tcp, Protocol::Tcp) | (PortUse::Udp, Protocol::Udp) | (PortUse::Either, _) => {
                backend.port
            }
            (PortUse::Tcp, Protocol::Udp) | (PortUse::Udp, Protocol::Tcp) => 0,
        };
        Some(check.port.unwrap_or(own)).filter(|port| *port != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::largest_prime;
    use super::*;
    use crate::model::AdminState;

    fn service(backends: u32) -> Service {
        let at = ServiceAddress { address: [203, 0, 113, 10].into(), protocol: Protocol::Tcp, port: 80 };
        let mut service = Service::new("web".parse().unwrap(), at);
        service.backends = (0..backends)
            .map(|number| Backend {
                name: format!("b{number}").parse().unwrap(),
                address: (0x0a00_0000 + number).to_be_bytes().into(),
                port: 80,
                weight: 100,
                state: AdminState::Enabled,
                drain: None,
                backup: false,
                max_connections: 0,
            })
            .collect();
        service
    }

    #[test]
    fn a_consistent_hash_has_100_slots_for_each_backend_and_a_prime_of_them() {
        for backends in [0, 1, 16, 17, 100, 512, 513, 655] {
            let slots = service(backends).slot_count();
            assert!(slots >= 100 * backends, "{backends} backends have {slots} slots");
            assert_eq!(largest_prime(slots), Some(slots));
        }
        assert_eq!(service(1).slot_count(), 1601);
        assert_eq!(service(10_000).slot_count(), DEFAULT_SLOTS);
    }

    #[test]
    fn another_backend_seldom_changes_the_size() {
        let sizes: std::collections::BTreeSet<u32> = (0..1000).map(|n| service(n).slot_count()).collect();
        assert_eq!(sizes.len(), SLOTS_FOR.len() + 1);
    }

    #[test]
    fn a_given_size_and_other_algorithms_do_not_depend_on_the_backends() {
        let given = Service { slots: Some(7), ..service(3) };
        assert_eq!(given.slot_count(), 7);
        let rotating = Service { algorithm: Algorithm::RoundRobin, ..service(3) };
        assert_eq!(rotating.slot_count(), DEFAULT_SLOTS);
    }
}
