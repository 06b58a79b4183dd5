//! Slots for a counter that rotates.

use super::proportion::shares;
use super::{Balancer, Candidate};

/// Smooth weighted round robin: each candidate's slots are spread evenly over the table.
#[derive(Debug)]
pub(super) struct RoundRobin;

impl Balancer for RoundRobin {
    fn fill(&self, candidates: &[Candidate], slots: u32, _seed: u64) -> Vec<u32> {
        let shares = shares(candidates, slots);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|a, b| candidates[*a].identity.cmp(&candidates[*b].identity));
        let mut turns = Vec::new();
        for (rank, index) in order.iter().enumerate() {
            let share = u64::from(shares[*index]);
            // Turn n of `share` is due at (n + phase) / share of the way, in units of 2^-40. The phases of the candidates differ,
            // or all the light ones would come at once.
            let phase = ((2 * rank as u64 + 1) << 23) / (2 * candidates.len() as u64);
            let due = |turn: u64| (((turn << 23) + phase) << 17).checked_div(share).unwrap_or_default();
            turns.extend((0..share).map(|turn| (due(turn), rank, *index as u32)));
        }
        turns.sort_unstable();
        turns.into_iter().map(|(_, _, index)| index).collect()
    }
}
