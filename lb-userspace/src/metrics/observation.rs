//! What is shown, as plain data.

use std::time::Duration;

use lb_common::abi::{BackendSignals, InterfaceCounters, Latencies, Refusals, TrafficCounters};

use crate::model::{Condition, Health, LatencyMetrics, Standing};

use crate::api::{Replication, Tracked};
use crate::events::EventCounts;
use crate::flows::CookieUse;
use crate::reconcile::DriftCounts;
use crate::sys::bpf::ProgramFigures;

/// All that a scrape shows.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Version of `lbd`.
    pub version: &'static str,
    /// Services with their backends.
    pub services: Vec<ServiceSample>,
    /// Whose latencies are shown.
    pub latency: LatencyMetrics,
    /// What the program costs; `None`: the kernel does not tell.
    pub program: Option<ProgramFigures>,
    /// Interfaces the program is attached to.
    pub interfaces: Vec<InterfaceSample>,
    /// Prefixes that are blocked for all services by request.
    pub blocked_prefixes: usize,
    /// Packets dropped, by [`lb_common::abi::DropReason`].
    pub drops: Vec<u64>,
    /// Flow tables.
    pub tables: Vec<TableSample>,
    /// Port pools.
    pub pools: Vec<PoolSample>,
    /// Whether what is pinned is where it is looked for.
    pub pins_in_reach: bool,
    /// How often the maps could not be brought to the desired state.
    pub reconcile_errors: u64,
    /// Elements of maps that somebody else changed and that were put right.
    pub drift: DriftCounts,
    /// Captures under way.
    pub captures: u64,
    /// What subscribers were told.
    pub events: EventCounts,
    /// Replication of flows; `None`: there is none.
    pub replication: Option<Replication>,
    /// Virtual routers.
    pub routers: Vec<RouterSample>,
    /// Rejected packets for no virtual router that there is, by reason.
    pub unknown_adverts: Vec<(&'static str, u64)>,
}

/// A virtual router.
#[derive(Clone, Debug, Default)]
pub struct RouterSample {
    /// Its name.
    pub name: String,
    /// Its first VIP that is not link-local: the same on all machines that share it.
    pub vip: String,
    /// `initialize`, `fault`, `backup` or `active`.
    pub state: &'static str,
    /// Its priority, with everything counted in.
    pub priority: u8,
    /// Whether a planned switchover keeps it from being active.
    pub standby: bool,
    /// Changes to a state, by it and their cause.
    pub transitions: Vec<(&'static str, &'static str, u64)>,
    /// Adverts that were sent.
    pub sent: u64,
    /// Adverts that were taken.
    pub received: u64,
    /// Rejected packets by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// How often the network was told where the VIPs are.
    pub announcements: u64,
    /// How often other machines claimed VIPs that were active here.
    pub claims: u64,
    /// How long the last takeover took.
    pub takeover: Option<Duration>,
    /// What it tracks.
    pub tracked: Vec<Tracked>,
    /// Runs of its hook that failed; `None`: it has none.
    pub notify_failures: Option<u64>,
}

/// A service.
#[derive(Clone, Debug, Default)]
pub struct ServiceSample {
    /// Its name.
    pub name: String,
    /// Its traffic.
    pub traffic: TrafficCounters,
    /// Its live flows.
    pub active_flows: u64,
    /// Flows that count towards its limits; `None`: neither it nor a backend has one.
    pub connections: Option<u64>,
    /// Most of them; 0: any number.
    pub max_connections: u32,
    /// Packets that it refused.
    pub refusals: Refusals,
    /// What it does with SYN cookies; `None`: nothing, and it never did.
    pub cookies: Option<CookieUse>,
    /// Clients whose backend is remembered; `None`: it keeps no affinity.
    pub clients: Option<u64>,
    /// How its backends are doing together.
    pub condition: Condition,
    /// How many of those that are to take flows are healthy.
    pub healthy: u64,
    /// Its backends.
    pub backends: Vec<BackendSample>,
}

/// A backend.
#[derive(Clone, Debug, Default)]
pub struct BackendSample {
    /// Its name.
    pub name: String,
    /// Its traffic.
    pub traffic: TrafficCounters,
    /// Its live flows.
    pub active_flows: u64,
    /// Flows that count towards the limits; `None`: neither it nor its service has one.
    pub connections: Option<u64>,
    /// Most of them; 0: any number.
    pub max_connections: u32,
    /// Whether its health lets it take flows.
    pub up: bool,
    /// Its configured weight.
    pub weight: u16,
    /// Its present weight; 0: it takes no flows.
    pub effective_weight: u32,
    /// What its checks say.
    pub health: Health,
    /// How often that changed.
    pub transitions: u64,
    /// Whether it is held down for going up and down too often.
    pub held: bool,
    /// What it is to its pool.
    pub standing: Standing,
    /// What the data path saw of its health.
    pub signals: BackendSignals,
    /// How often that made it suspect.
    pub suspects: u64,
    /// How long handshakes with it took.
    pub latencies: Latencies,
}

/// An interface.
#[derive(Clone, Debug, Default)]
pub struct InterfaceSample {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: &'static str,
    /// Its traffic.
    pub traffic: InterfaceCounters,
}

/// A flow table.
#[derive(Clone, Debug, Default)]
pub struct TableSample {
    /// The map's name in lower case.
    pub name: String,
    /// Entries, two for a flow.
    pub entries: u64,
    /// Most entries.
    pub capacity: u64,
}

/// A port pool.
#[derive(Clone, Debug, Default)]
pub struct PoolSample {
    /// Name of the service.
    pub service: String,
    /// Name of the backend.
    pub backend: String,
    /// SNAT address.
    pub address: String,
    /// Ports taken.
    pub in_use: u64,
    /// Ports there are.
    pub capacity: u64,
}
