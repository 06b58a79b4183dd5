//! Slots for a hash of the client's address.

use super::maglev::Maglev;
use super::{Balancer, Candidate};

/// Maglev's table, of the largest prime that fits: few clients move when the candidates change.
#[derive(Debug)]
pub(super) struct SourceHash;

impl Balancer for SourceHash {
    fn fill(&self, candidates: &[Candidate], slots: u32, seed: u64) -> Vec<u32> {
        Maglev.fill(candidates, slots, seed)
    }
}
