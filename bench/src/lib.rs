//! What the load balancer costs, against what: `cargo xtask bench`.
//!
//! Absolute times on shared machines mean little, so a figure stands beside a floor that was measured in the same run: each part of
//! the bench interleaves rounds of ours and of the floor, and reports medians of their ratios. A [`part::Part`] measures and returns
//! [`finding::Findings`]; all that is shown, kept and drawn of them is elsewhere.

pub mod finding;
pub mod live;
pub mod part;
pub mod provenance;
pub mod report;
pub mod results;
pub mod show;
pub mod statistics;

pub mod control;
pub mod failover;
pub mod forward;
pub mod packet;
pub mod peers;
pub mod scale;
pub mod tcp;
