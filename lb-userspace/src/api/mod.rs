//! The API: HTTP and JSON on a Unix socket, for `lbctl` and everybody else (`curl --unix-socket`). See `docs/api.md`.
//!
//! Handlers read snapshots and send requests to control; they never touch maps or files.

mod data;
mod traffic;
mod types;

pub use data::{Counters, DataError, DataSource, FlowCount, FlowFilter, FlowList, FlowRecord};
pub use traffic::{
    BackendFlows, BackendStats, Drop, Flow, FlowTotals, Flows, InterfaceTraffic, ServiceStats, Stats, Traffic,
};
pub use types::{
    Backend, BackendPatch, BackendTotals, Checked, Health, Interface, NewBackend, NewService, Service,
    ServicePatch, Status,
};
