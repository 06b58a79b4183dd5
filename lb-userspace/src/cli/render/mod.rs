//! Answers as text for people: pure functions, so that their output is tested as text.

mod acl;
mod capture;
mod configuration;
mod event;
mod explanation;
mod findings;
mod flows;
mod latency;
mod note;
mod objects;
mod replication;
mod table;
mod traffic;
mod vrrp;

pub(super) use acl::{acl, blocked, limits, verdicts};
pub(super) use capture::{captured, captures};
pub(super) use configuration::{applied, changes};
pub(super) use event::event;
pub(super) use explanation::explanation;
pub(super) use findings::findings;
pub(super) use flows::{flow_top, flow_totals, flows, killed};
pub(super) use latency::backend;
pub(super) use note::note;
pub(super) use objects::{all_backends, backends, drain_end, duration, repaired, service, services, status};
pub(super) use replication::replication;
pub(super) use table::Style;
pub(super) use traffic::{Figures, drop_rates, drops, explained_drops, rates, stats};
pub(super) use vrrp::{switched, tracked, virtual_routers};

#[cfg(test)]
mod tests;
