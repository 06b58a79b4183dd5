//! `lbctl`: arguments, calls of the API, and what is printed.

mod acl;
mod args;
mod capture;
mod commands;
mod complete;
mod config;
mod doctor;
mod drain;
mod drops;
mod events;
mod explain;
mod failure;
mod flow;
mod import;
mod man;
mod recording;
mod render;
mod replication;
mod run;
mod server;
#[cfg(test)]
mod tests;
mod top;
mod vrrp;
mod watch;

pub use args::Args;
pub use complete::complete;
pub use failure::{Exit, Failure};
pub use run::run;
