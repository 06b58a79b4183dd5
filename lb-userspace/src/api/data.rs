//! What the API shows of the data path; the runtime provides it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::abi::DropReason;

use crate::{control::Error, health::Suspects, plan::FlowGroup};

use super::{
    traffic::{InterfaceTraffic, Signals, Traffic},
    types::Interface,
    vrrp::{Switch, VirtualRouter},
};

/// Where the API finds what the data path knows. Calls may block for as long as a scan of the maps takes: they run on a thread for
/// blocking work.
pub trait DataSource: Send + Sync + 'static {
    /// The present moment, to which the moments in control's snapshots are compared.
    fn now(&self) -> Instant;

    /// Which backends are or were suspect.
    fn suspects(&self) -> Arc<Suspects>;

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
}

/// Why the data path's figures cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataError(pub String);

/// Which flows to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Only of this service's id.
    pub service: Option<u16>,
    /// Only of these backends' ids.
    pub backends: Option<Vec<u32>>,
    /// Only of this client.
    pub client: Option<IpAddr>,
    /// At most so many.
    pub limit: usize,
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
