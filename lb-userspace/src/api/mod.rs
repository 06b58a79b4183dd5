//! The API: HTTP and JSON on a Unix socket, for `lbctl` and everybody else (`curl --unix-socket`). See `docs/api.md`.
//!
//! Handlers read snapshots and send requests to control; they never touch maps or files.

mod access;
mod acl;
mod answer;
mod captured;
mod captures;
mod changes;
mod check;
mod client;
mod configuration;
mod convert;
mod copies;
mod data;
mod drop_reasons;
mod error;
mod events;
mod explain;
mod explanation;
mod extract;
mod feed;
mod flows;
mod handlers;
mod history;
mod limits;
mod local;
mod object;
mod openapi;
mod overview;
mod probe;
mod quiet;
mod remote;
mod replication;
mod resolve;
mod router;
mod schema;
mod seats;
mod server;
mod socket;
mod stream;
mod tls;
mod traffic;
mod types;
mod view;
mod vrrp;
mod way;

#[cfg(test)]
pub(crate) mod tests;

pub use acl::{
    Acl, AclVerdict, AclVerdicts, BlockSources, Blocked, BlockedPrefix, ServiceAcl, UnblockSources,
};
pub use captured::{CaptureEnd, CaptureInfo, CaptureLine, CaptureList, CapturedPacket, NewCapture};
pub use changes::{Applied, Change, FlowImpact, KeyChange};
pub use check::Health;
pub use client::{Client, ClientError, Download, encode};
pub use copies::PCAPNG;
pub use data::{
    CaptureAbout, CaptureUnderWay, Counters, DataError, DataSource, Ended, Explained, FlowCount, FlowFilter,
    FlowGroupKey, FlowList, FlowRecord, FlowShare, FlowTable, FlowTally, GroupBy, Occupancy, PacketAt,
};
pub use error::{ErrorBody, ErrorDetail};
pub use explain::{Packet, TcpFlag};
pub use explanation::{Explanation, FlowEntry, PacketHeaders};
pub use feed::{AttributeValue, Event, Events, Lost};
pub use flows::{FlowParams, KillFlows, TopBy, TopParams};
pub use history::History;
pub use limits::{Refused, ServiceLimits};
pub use local::Local;
pub use overview::{Overview, ServicePool};
pub use remote::{Port, PortError, Remote};
pub use replication::Replication;
pub use router::{Api, router};
pub use socket::{Socket, SocketError};
pub use stream::{Message, Stream};
pub use tls::TlsError;
pub use traffic::{
    BackendFlows, BackendStats, Drop, Flow, FlowGroup, FlowTop, FlowTotals, Flows, InterfaceTraffic,
    KilledFlows, Latencies, Latency, ServiceStats, Signals, Stats, TableUse, Traffic,
};
pub use types::{
    Backend, BackendPatch, BackendTotals, Checked, CookieUse, Drain, DriftCount, Interface, NewBackend,
    NewDrain, NewService, Repaired, Service, ServicePatch, Status,
};
pub use vrrp::{Switch, Tracked, VirtualRouter};
pub use way::{Server, Url};
