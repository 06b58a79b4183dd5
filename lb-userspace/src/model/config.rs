//! The whole configuration.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use lb_common::maps::{DEFAULT_AFFINITY, DEFAULT_PREFIXES, DEFAULT_SOURCES};

use super::{
    ApiTcp, InterfaceName, InvalidDraft, Replication, Service, ServiceName, Shared, SourceList,
    VirtualRouter, check, keyword::keyword,
};

/// Of whom the metrics have histograms of the latencies that the data path measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LatencyMetrics {
    /// Of each backend.
    #[default]
    Backend,
    /// Of each service: those of its backends together.
    Service,
    /// Nothing is measured.
    Off,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum XdpMode {
    /// Native, and generic where the driver refuses.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the network stack, after the socket buffer is made.
    Generic,
}

keyword!(LatencyMetrics { Backend = "backend", Service = "service", Off = "off" });
keyword!(XdpMode { Auto = "auto", Native = "native", Generic = "generic" });

/// What becomes of flows while the table of established ones is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFull {
    /// The established flow that was idle for longest is forgotten.
    EvictIdle,
    /// No established flow is forgotten: those that are answered stay among the half-open ones, of which the oldest goes.
    EvictEmbryonic,
    /// No established flow is forgotten, and no flow begins.
    Reject,
}

keyword!(TableFull { EvictIdle = "evict-idle", EvictEmbryonic = "evict-embryonic", Reject = "reject" });

/// Sizes of the maps, and what becomes of what they have no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Established IPv4 connections.
    pub connections_v4: u32,
    /// Established IPv6 connections.
    pub connections_v6: u32,
    /// Half-open connections of each family.
    pub embryonic: u32,
    /// Services.
    pub services: u32,
    /// Backends, all services together.
    pub backends: u32,
    /// Pairs of SNAT address and backend.
    pub port_pools: u32,
    /// Clients whose backend is remembered, all services together.
    pub affinity: u32,
    /// Prefixes of all lists of sources, of each family.
    pub prefixes: u32,
    /// Sources whose flows are counted, all services together.
    pub sources: u32,
    /// When the table of established connections is full; `None`: tables that there are stay as they are, others are made for
    /// [`TableFull::EvictEmbryonic`].
    pub table_full: Option<TableFull>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_v4: 65_536,
            connections_v6: 32_768,
            embryonic: 16_384,
            services: 1024,
            backends: 8192,
            port_pools: 256,
            affinity: DEFAULT_AFFINITY,
            prefixes: DEFAULT_PREFIXES,
            sources: DEFAULT_SOURCES,
            table_full: None,
        }
    }
}

/// Idle times after which a flow is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// SYN without a completed handshake; also a connection first seen in its middle.
    pub tcp_handshake: Duration,
    /// RFC 5382 REQ-5.
    pub tcp_established: Duration,
    /// One side sent FIN.
    pub tcp_half_closed: Duration,
    /// Both sides sent FIN.
    pub tcp_closing: Duration,
    /// RST seen.
    pub tcp_closed: Duration,
    /// UDP without an answer yet.
    pub udp_new: Duration,
    /// RFC 4787 REQ-5.
    pub udp_established: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_handshake: Duration::from_secs(30),
            tcp_established: Duration::from_secs(7440),
            tcp_half_closed: Duration::from_secs(600),
            tcp_closing: Duration::from_secs(60),
            tcp_closed: Duration::from_secs(10),
            udp_new: Duration::from_secs(30),
            udp_established: Duration::from_secs(300),
        }
    }
}

/// Source ports that full NAT allocates, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnatPorts {
    /// Lowest.
    pub min: u16,
    /// Highest.
    pub max: u16,
}

impl Default for SnatPorts {
    fn default() -> Self {
        Self { min: 1024, max: 32_767 }
    }
}

/// Most packets that the data path sends on its own in a second, on each CPU; 0: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRates {
    /// ICMP errors.
    pub icmp_errors: u32,
    /// Replies to echo requests.
    pub echo_replies: u32,
    /// RSTs.
    pub resets: u32,
}

impl Default for AnswerRates {
    fn default() -> Self {
        Self { icmp_errors: 1000, echo_replies: 10_000, resets: 100_000 }
    }
}

/// A configuration that was not checked yet: to be filled in or edited, then [checked](Draft::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Where the XDP program is attached.
    pub interfaces: Vec<InterfaceName>,
    /// How it is attached.
    pub xdp_mode: XdpMode,
    /// Where maps, programs and links are pinned; `v<ABI>/` is below it.
    pub pin_directory: PathBuf,
    /// Key of the flow hash; `None`: random, kept in the maps.
    pub seed: Option<u64>,
    /// Unix socket of the API.
    pub api_socket: PathBuf,
    /// Group whose members may use it; `None`: `lb` if there is one.
    pub api_group: Option<String>,
    /// The API over TCP.
    pub api_tcp: ApiTcp,
    /// Where `/metrics` is served; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Of whom the metrics have histograms of latencies.
    pub latency: LatencyMetrics,
    /// Whether the kernel counts how long the program runs.
    pub program_run_time: bool,
    /// Where the dashboard is served: a loopback address; `None`: nowhere.
    pub dashboard_listen: Option<SocketAddr>,
    /// Sizes of the maps.
    pub limits: Limits,
    /// Idle times of flows.
    pub timeouts: Timeouts,
    /// Source ports of full NAT.
    pub snat_ports: SnatPorts,
    /// Rates of what the data path sends on its own.
    pub answers: AnswerRates,
    /// Sources that no service lets in; only `deny` has a meaning.
    pub acl: SourceList,
    /// The virtual routers.
    pub vrrp: Vec<VirtualRouter>,
    /// Replication of flows; `None`: there is none.
    pub replication: Option<Replication>,
    /// The services, in the order of the file.
    pub services: Vec<Shared<Service>>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            xdp_mode: XdpMode::default(),
            pin_directory: PathBuf::from("/sys/fs/bpf/lb"),
            seed: None,
            api_socket: PathBuf::from("/run/lb/lbd.sock"),
            api_group: None,
            api_tcp: ApiTcp::default(),
            metrics_listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))),
            latency: LatencyMetrics::default(),
            program_run_time: false,
            dashboard_listen: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            snat_ports: SnatPorts::default(),
            answers: AnswerRates::default(),
            acl: SourceList::default(),
            vrrp: Vec::new(),
            replication: None,
            services: Vec::new(),
        }
    }
}

impl Draft {
    /// The service of a name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Shared<Service>> {
        self.services.iter().find(|service| service.name == *name)
    }

    /// The service of a name, to be changed.
    pub fn service_mut(&mut self, name: &ServiceName) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.name == *name).map(|service| &mut **service)
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`InvalidDraft`] lists all that is wrong.
    pub fn check(self) -> Result<Config, InvalidDraft> {
        self.check_with(None)
    }

    /// As [`Self::check`], for a changed copy of `before`: what is still the same is not looked at again.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_changes(self, before: &Config) -> Result<Config, InvalidDraft> {
        self.check_with(Some(before))
    }

    fn check_with(self, before: Option<&Config>) -> Result<Config, InvalidDraft> {
        let found = check::check(&self, before.map(|before| &before.0));
        if found.is_empty() { Ok(Config(self)) } else { Err(InvalidDraft(found)) }
    }
}

/// A checked configuration: readable like a [`Draft`], not changeable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config(Draft);

impl Config {
    /// A copy to be edited.
    #[must_use]
    pub fn draft(&self) -> Draft {
        self.0.clone()
    }
}

impl Deref for Config {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.0
    }
}
