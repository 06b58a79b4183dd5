//! The daemon: the order in which everything starts, and the tasks that clocks, sockets and timers belong to.
//!
//! Everything here is plumbing: decisions are made by the modules that are called.

mod attached;
mod captures;
mod clock;
mod data;
mod deadlines;
mod explainer;
mod failure;
mod flows;
mod follow;
mod health;
mod history;
mod limits;
mod neighbours;
mod network;
mod notify;
mod observe;
mod privileges;
mod refusals;
mod replication;
mod reports;
mod resets;
mod signals;
mod start;
mod suspects;
mod tasks;
mod vrrp;

pub use clock::Clock;
pub use failure::Failure;
pub use start::{Options, check, detach, prepare_downgrade, run};
