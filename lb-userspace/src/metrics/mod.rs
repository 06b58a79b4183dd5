//! Prometheus metrics: `GET /metrics` of a small HTTP server.
//!
//! Nothing is counted here: at each scrape an [`Observation`] is taken of the maps and of control, and printed.

mod families;
mod latency;
mod observation;
mod page;
mod program;
mod replication;
mod routers;
mod server;
#[cfg(test)]
mod tests;

pub use families::text;
pub use observation::{
    BackendSample, InterfaceSample, Observation, PoolSample, RouterSample, ServiceSample, TableSample,
};
pub use server::{Source, serve};
