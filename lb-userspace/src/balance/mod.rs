//! Balancing algorithms: from weights to a slot table.
//!
//! The data path only picks a slot (by hash, by a counter, at random); which backend stands there is decided here. A new
//! algorithm is a variant of [`Algorithm`], a file here, and a line in [`registry`].

mod digest;
mod maglev;
mod proportion;
mod random;
mod round_robin;
mod source_hash;
#[cfg(test)]
mod tests;

use lb_common::abi::Selector;

use crate::model::Algorithm;

/// A backend that takes flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What names the backend on every node of a cluster alike.
    pub identity: String,
    /// Its share; 0 is taken as 1.
    pub weight: u32,
}

/// Fills slot tables.
pub trait Balancer: Sync {
    /// A table of at most `slots` slots, each the index of a candidate; empty if there are none or no slots.
    ///
    /// The same candidates (in any order), slots and seed give the same backend in each slot.
    fn fill(&self, candidates: &[Candidate], slots: u32, seed: u64) -> Vec<u32>;
}

/// What an algorithm is made of: who fills the slot table, and how the data path picks a slot.
#[must_use]
pub fn registry(algorithm: Algorithm) -> (&'static dyn Balancer, Selector) {
    match algorithm {
        Algorithm::Maglev => (&maglev::Maglev, Selector::FlowHash),
        Algorithm::RoundRobin => (&round_robin::RoundRobin, Selector::Rotation),
        Algorithm::SourceHash => (&source_hash::SourceHash, Selector::SourceHash),
        Algorithm::Random => (&random::Random, Selector::Random),
        Algorithm::LeastConnections => (&random::Random, Selector::LeastFlows),
    }
}
