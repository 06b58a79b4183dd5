//! Slots for random choices, of one slot or between two.

use super::proportion::shares;
use super::{Balancer, Candidate};

/// As many slots for each candidate as its weight says; their order does not matter.
#[derive(Debug)]
pub(super) struct Random;

impl Balancer for Random {
    fn fill(&self, candidates: &[Candidate], slots: u32, _seed: u64) -> Vec<u32> {
        let mut order: Vec<(usize, u32)> = shares(candidates, slots).into_iter().enumerate().collect();
        order.sort_by(|(a, _), (b, _)| candidates[*a].identity.cmp(&candidates[*b].identity));
        order.into_iter().flat_map(|(index, share)| (0..share).map(move |_| index as u32)).collect()
    }
}
