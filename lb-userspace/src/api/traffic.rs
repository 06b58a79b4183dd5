//! What the API's JSON of flows, counters and drops looks like.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    flows::TopBy,
    schema::{Endpoint, Network, Word},
};

/// Traffic of a service or a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients, without the Ethernet header.
    pub bytes_in: u64,
    /// Packets from backends.
    pub packets_out: u64,
    /// Bytes from backends, without the Ethernet header.
    pub bytes_out: u64,
    /// Flows begun.
    pub flows: u64,
}

/// What clients' connections show of a backend's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signals {
    /// SYNs sent to it before it answered the connection; repeated ones count again.
    pub syns: u64,
    /// Connections that it answered with a SYN-ACK.
    pub syn_acks: u64,
    /// Connections that it refused with a RST.
    pub syn_resets: u64,
    /// ICMP errors of its own that say that it cannot be reached.
    pub unreachable: u64,
    /// The same of routers.
    pub unreachable_by_routers: u64,
}

/// How long handshakes of TCP with a backend took since the maps were made; see docs/monitoring.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latencies {
    /// From the first SYN to the backend's SYN-ACK; none: nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Latency>,
    /// From the SYN-ACK to the client's ACK; none: nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt: Option<Latency>,
}

/// A distribution of latencies. Shares are estimated within buckets that double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean_microseconds: u64,
    /// What half of them do not exceed.
    pub p50_microseconds: u64,
    /// What 90 % do not exceed.
    pub p90_microseconds: u64,
    /// What 99 % do not exceed.
    pub p99_microseconds: u64,
}

/// Traffic of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceTraffic {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Frames that arrived.
    pub rx_packets: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Frames the data path sent out of it.
    pub tx_packets: u64,
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Frames handed to the host.
    pub passed: u64,
    /// Frames dropped.
    pub dropped: u64,
}

/// `GET /v1/flows`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flows {
    /// The flows.
    pub flows: Vec<Flow>,
    /// Whether there are more than `limit`.
    pub truncated: bool,
}

/// A flow, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Name of the service, or `#` and its id when it is gone.
    pub service: String,
    /// Name of the backend, or `#` and its id when it is gone.
    pub backend: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Client's address and port.
    #[schemars(with = "Endpoint")]
    pub client: SocketAddr,
    /// VIP and port the client used.
    #[schemars(with = "Endpoint")]
    pub vip: SocketAddr,
    /// Source towards the backend.
    #[schemars(with = "Endpoint")]
    pub source: SocketAddr,
    /// Backend's address and port.
    #[schemars(with = "Endpoint")]
    pub destination: SocketAddr,
    /// State of the connection.
    pub state: String,
    /// Seconds since the last packet.
    pub idle_seconds: u64,
}

/// `GET /v1/flows/top`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowTop {
    /// What flows are put together by.
    #[schemars(with = "Word<TopBy>")]
    pub by: String,
    /// Flows with an answer that were asked for, of all groups.
    pub established: u64,
    /// Flows without an answer yet, likewise.
    pub embryonic: u64,
    /// Number of groups.
    pub groups: u64,
    /// The largest groups, the largest first.
    pub largest: Vec<FlowGroup>,
    /// How full the flow tables were a moment ago.
    pub tables: Vec<TableUse>,
}

/// Flows of a client, a network, a service or a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowGroup {
    /// Address or network of the clients, by `client` and `client-prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Network")]
    pub client: Option<String>,
    /// Name of the service, or `#` and its id when it is gone; by `service` and `backend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub service: Option<String>,
    /// Name of the backend, likewise; by `backend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub backend: Option<String>,
    /// Flows with an answer.
    pub established: u64,
    /// Flows without an answer yet.
    pub embryonic: u64,
}

/// How full a flow table is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableUse {
    /// The map: `FLOWS_V4`, `FLOWS_V6`, `EMBRYONIC_V4`, `EMBRYONIC_V6`.
    pub table: String,
    /// Entries, two for a flow.
    pub entries: u64,
    /// Most entries.
    pub capacity: u64,
}

/// Answer of `POST /v1/flows/kill`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KilledFlows {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// TCP connections both of whose ends are sent a RST.
    pub reset: u64,
    /// Flows that are only forgotten: UDP, and TCP that was not answered or is over.
    pub forgotten: u64,
}

/// `GET /v1/flows/count`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowTotals {
    /// All flows.
    pub total: u64,
    /// Of them, without an answer yet.
    pub embryonic: u64,
    /// By backend, every configured one.
    pub backends: Vec<BackendFlows>,
}

/// Flows of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendFlows {
    /// Name of the service, or `#` and its id when it is gone.
    pub service: String,
    /// Name of the backend, or `#` and its id when it is gone.
    pub backend: String,
    /// Flows with an answer.
    pub established: u64,
    /// Flows without an answer yet.
    pub embryonic: u64,
}

/// `GET /v1/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Every service.
    pub services: Vec<ServiceStats>,
    /// Every backend.
    pub backends: Vec<BackendStats>,
    /// Every interface the program is attached to.
    pub interfaces: Vec<InterfaceTraffic>,
}

/// Traffic of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStats {
    /// Name.
    pub service: String,
    /// Figures.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Traffic of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendStats {
    /// Name of its service.
    pub service: String,
    /// Name.
    pub backend: String,
    /// Figures.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Signals of its health.
    #[serde(flatten)]
    pub signals: Signals,
}

/// An element of `GET /v1/drops`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drop {
    /// Name of the reason.
    pub reason: String,
    /// Packets dropped.
    pub packets: u64,
    /// What it means.
    pub description: String,
    /// Whether some of it is usual on a healthy network.
    pub usual: bool,
    /// Likely causes, the likeliest first.
    pub causes: Vec<String>,
    /// Commands to look further.
    pub look: Vec<String>,
}
