//! What the API shows of the data path; the runtime provides it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use lb_common::abi::{CaptureFilter, DropReason, Latencies, Refusals};

use crate::{
    capture::{CaptureRefused, Counts, Feed},
    control::Error,
    explain::Trace,
    health::Suspects,
    history::Rate,
    model::{ServiceName, Timestamp},
    plan::FlowGroup,
};

use super::{
    replication::Replication,
    traffic::{InterfaceTraffic, Signals, Traffic},
    types::{CookieUse, Interface},
    vrrp::{Switch, VirtualRouter},
};

/// Where the API finds what the data path knows. Calls may block for as long as a scan of the maps takes: they run on a thread for
/// blocking work.
pub trait DataSource: Send + Sync + 'static {
    /// The present moment, to which the moments in control's snapshots are compared.
    fn now(&self) -> Instant;

    /// Which backends are or were suspect.
    fn suspects(&self) -> Arc<Suspects>;

    /// The time of the day, at which events happen.
    fn wall(&self) -> Timestamp {
        Timestamp::default()
    }

    /// How long handshakes with a backend took, by its id; nothing where nothing is measured.
    fn latencies(&self, _backend: u32) -> Latencies {
        Latencies::default()
    }

    /// Time since `lbd` started.
    fn uptime(&self) -> Duration;

    /// Interfaces the program is attached to.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn interfaces(&self) -> Result<Vec<Interface>, DataError>;

    /// Live flows that pass the filter, at most `filter.limit` of them.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn flows(&self, filter: &FlowFilter) -> Result<FlowList, DataError>;

    /// Who has how many of the live flows that pass the filter, the `filter.limit` largest; see [`FlowTally`].
    ///
    /// # Errors
    /// A sentence for the operator.
    fn flow_top(&self, by: GroupBy, filter: &FlowFilter) -> Result<FlowTally, DataError>;

    /// Ends the live flows that pass the filter, whose limit does not count; with `dry_run` they are only counted.
    ///
    /// # Errors
    /// A sentence for the operator; some may have ended.
    fn kill_flows(&self, filter: &FlowFilter, dry_run: bool) -> Result<Ended, DataError>;

    /// What the data path would do with a frame; nothing that lives is changed. Takes about a second.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn explain(&self, packet: &PacketAt) -> Result<Explained, DataError>;

    /// Begins to capture what the data path can tell at once; takes about a second.
    ///
    /// # Errors
    /// There are too many captures, or the program cannot be loaded.
    fn capture(&self, _wanted: &CaptureFilter, _about: CaptureAbout) -> Result<Feed, CaptureRefused> {
        Err(CaptureRefused::Failed("there is no data path".to_owned()))
    }

    /// The captures under way.
    fn captures(&self) -> Vec<CaptureUnderWay> {
        Vec::new()
    }

    /// Lets a capture end, with all that it still has; false: there is none with this number.
    fn stop_capture(&self, _number: u64) -> bool {
        false
    }

    /// The present moment by the clock by which packets are captured.
    fn now_of_packets(&self) -> Duration {
        Duration::ZERO
    }

    /// What the wall clock, since 1970, is ahead of the clock by which packets are captured.
    fn wall_clock_ahead(&self) -> Duration {
        Duration::ZERO
    }

    /// How full the flow tables are; may be some seconds old.
    fn flow_tables(&self) -> Vec<FlowTable> {
        Vec::new()
    }

    /// Number of live flows of each backend that has one.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn flow_counts(&self) -> Result<Vec<FlowCount>, DataError>;

    /// Live flows that have not ended, in groups that a change of the maps treats alike. `full_nat` has the ids of the services of
    /// that mode.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn flow_groups(&self, full_nat: &BTreeSet<u16>) -> Result<Vec<FlowGroup>, DataError>;

    /// Whether the BPF file system with the pins was unmounted.
    fn is_out_of_reach(&self) -> bool {
        false
    }

    /// [`Self::flow_counts`] as of the last scan, which costs nothing.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn recent_flow_counts(&self) -> Result<Vec<FlowCount>, DataError> {
        self.flow_counts()
    }

    /// The rates of the last hour of all services together, or of one.
    fn history(&self, _service: Option<&ServiceName>) -> Vec<Rate> {
        Vec::new()
    }

    /// Number of live flows, for the status; may be some seconds old.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn live_flows(&self) -> Result<u64, DataError> {
        Ok(self.flow_counts()?.iter().map(|count| count.established + count.embryonic).sum())
    }

    /// Counters of every service, backend and interface. Names of services and backends are filled in by the API: only the ids and
    /// the figures count.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn stats(&self) -> Result<Counters, DataError>;

    /// Packets that services refused, by the id of the service.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn refusals(&self) -> Result<Vec<Refusals>, DataError> {
        Ok(Vec::new())
    }

    /// Who has how many of the places that `max_connections` gives, and how many clients' backends are remembered.
    fn occupancy(&self) -> Occupancy {
        Occupancy::default()
    }

    /// Packets dropped by reason; reasons that are missing count 0.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn drops(&self) -> Result<Vec<(DropReason, u64)>, DataError>;

    /// The virtual routers, in the order of the configuration.
    fn virtual_routers(&self) -> Vec<VirtualRouter> {
        Vec::new()
    }

    /// Replication of flows.
    fn replication(&self) -> Replication {
        Replication::default()
    }

    /// Begins to switch over a virtual router with its sync group, or all; returns those that it is about, as they are then.
    ///
    /// # Errors
    /// There is no such router, or `lbd` is stopping.
    fn switch_over(&self, router: Option<String>, switch: Switch) -> Result<Vec<VirtualRouter>, Error>;
}

/// Places in use and clients that are remembered; what is missing has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Places in use by service id.
    pub services: BTreeMap<u16, u64>,
    /// Places in use by backend id.
    pub backends: BTreeMap<u32, u64>,
    /// Clients whose backend is remembered, by service id.
    pub clients: BTreeMap<u16, u64>,
    /// What services do with SYN cookies, by service id.
    pub cookies: BTreeMap<u16, CookieUse>,
}

/// What is shown of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureAbout {
    /// Its filter.
    pub filter: String,
    /// Bytes of each frame.
    pub snap: u32,
}

/// A capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureUnderWay {
    /// Its number.
    pub number: u64,
    /// What it is about.
    pub about: CaptureAbout,
    /// For how long.
    pub since: Duration,
    /// What became of its packets.
    pub counts: Counts,
}

/// Why the data path's figures cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataError(pub String);

/// Which flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Only of this service's id.
    pub service: Option<u16>,
    /// Only of these backends' ids.
    pub backends: Option<Vec<u32>>,
    /// Only of clients of this network.
    pub client: Option<IpNet>,
    /// Only of this IP protocol number.
    pub protocol: Option<u8>,
    /// Only in these states ([`lb_common::abi::FlowState`]).
    pub states: Option<Vec<u8>>,
    /// Only without a packet for at least so many seconds.
    pub idle_min: Option<u64>,
    /// Only with a packet in the last so many seconds.
    pub idle_max: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

impl FlowFilter {
    /// Whether a flow passes.
    #[must_use]
    pub fn wants(&self, flow: &FlowRecord) -> bool {
        self.service.is_none_or(|service| service == flow.service)
            && self.backends.as_ref().is_none_or(|backends| backends.contains(&flow.backend))
            && self.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && self.states.as_ref().is_none_or(|states| states.contains(&flow.state))
            && self.idle_min.is_none_or(|least| flow.idle_seconds >= least)
            && self.idle_max.is_none_or(|most| flow.idle_seconds <= most)
            && self.client.is_none_or(|network| network.contains(&flow.client.ip()))
    }

    /// Whether every flow passes.
    #[must_use]
    pub fn wants_all(&self) -> bool {
        *self == Self { limit: self.limit, ..Self::default() }
    }
}

/// What flows are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The client's address.
    Client,
    /// The first bits of it: so many of an IPv4 address, so many of an IPv6 one.
    ClientPrefix(u8, u8),
    /// The service.
    Service,
    /// The backend.
    Backend,
}

/// Whose flows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowGroupKey {
    /// Of clients of a network.
    Clients(IpNet),
    /// Of a service, by its id.
    Service(u16),
    /// Of a service and a backend, by their ids.
    Backend(u16, u32),
}

/// Flows of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowShare {
    /// The group.
    pub key: FlowGroupKey,
    /// Flows with an answer.
    pub established: u64,
    /// Flows without an answer yet.
    pub embryonic: u64,
}

/// The largest groups of flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowTally {
    /// Flows with an answer, of all groups.
    pub established: u64,
    /// Flows without an answer yet, of all groups.
    pub embryonic: u64,
    /// Number of groups.
    pub groups: u64,
    /// The largest ones, the largest first.
    pub largest: Vec<FlowShare>,
}

/// A frame that arrives somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketAt {
    /// The interface.
    pub ifindex: u32,
    /// The frame.
    pub frame: Vec<u8>,
    /// Whether it was only described, so that its destination is to be the interface's MAC address.
    pub described: bool,
}

/// What would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What the program did with it.
    pub trace: Trace,
    /// Whether the code is that of the attached program.
    pub same_code: bool,
}

/// What became of flows that were to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// TCP connections both of whose ends are sent a RST.
    pub reset: u64,
    /// Flows that are only forgotten: UDP, and TCP that was not answered or is over.
    pub forgotten: u64,
}

/// How full a flow table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTable {
    /// The map.
    pub name: &'static str,
    /// Entries, two for a flow.
    pub entries: u64,
    /// Most entries.
    pub capacity: u64,
}

/// Flows, and whether there are more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowList {
    /// The flows.
    pub flows: Vec<FlowRecord>,
    /// Whether the limit cut the list.
    pub truncated: bool,
}

/// A flow, with ids where the API shows names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// IP protocol number.
    pub protocol: u8,
    /// Client's address and port.
    pub client: SocketAddr,
    /// VIP and port the client used.
    pub vip: SocketAddr,
    /// Source towards the backend; the client's with `nat`.
    pub source: SocketAddr,
    /// Backend's address and port.
    pub destination: SocketAddr,
    /// Service id.
    pub service: u16,
    /// Backend id.
    pub backend: u32,
    /// A [`lb_common::abi::FlowState`].
    pub state: u8,
    /// Seconds since the last packet.
    pub idle_seconds: u64,
}

/// Live flows of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowCount {
    /// Service id.
    pub service: u16,
    /// Backend id.
    pub backend: u32,
    /// Established flows.
    pub established: u64,
    /// Flows without an answer yet.
    pub embryonic: u64,
}

/// Counters by id, totals of all CPUs since the maps were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By service id.
    pub services: Vec<(u16, Traffic)>,
    /// By backend id.
    pub backends: Vec<(u32, Traffic)>,
    /// Signals of health, by backend id.
    pub signals: Vec<(u32, Signals)>,
    /// By interface.
    pub interfaces: Vec<InterfaceTraffic>,
}
