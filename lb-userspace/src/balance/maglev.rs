//! Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4) with weights.

use super::digest::digest;
use super::{Balancer, Candidate};
use crate::model::largest_prime;

/// Consistent hash: a change of the candidates moves few slots, and every node computes the same table.
#[derive(Debug)]
pub(super) struct Maglev;

impl Balancer for Maglev {
    fn fill(&self, candidates: &[Candidate], slots: u32, seed: u64) -> Vec<u32> {
        let size = if slots <= 2 { slots } else { largest_prime(slots).unwrap_or(1) };
        if candidates.is_empty() || size == 0 {
            return Vec::new();
        }
        let mut turns: Vec<Turn<'_>> = candidates
            .iter()
            .enumerate()
            .map(|(index, candidate)| Turn::new(index as u32, candidate, size, seed))
            .collect();
        turns.sort_by_key(|turn| turn.identity);
        let heaviest = turns.iter().map(|turn| turn.weight).max().unwrap_or(1);

        let mut table = vec![u32::MAX; size as usize];
        let mut free = size;
        loop {
            for turn in &mut turns {
                // The heaviest fills one slot in each round, the others as often as their weight compares to it.
                turn.credit += turn.weight;
                if turn.credit < heaviest {
                    continue;
                }
                turn.credit -= heaviest;
                let slot = turn.next_free(&table);
                table[slot] = turn.index;
                free -= 1;
                if free == 0 {
                    return table;
                }
            }
        }
    }
}

/// A candidate's walk through the slots in the order of its preference.
#[derive(Debug)]
struct Turn<'a> {
    identity: &'a str,
    index: u32,
    weight: u32,
    credit: u32,
    position: u32,
    skip: u32,
    size: u32,
}

impl<'a> Turn<'a> {
    fn new(index: u32, candidate: &'a Candidate, size: u32, seed: u64) -> Self {
        let hash = digest(seed, candidate.identity.as_bytes());
        // `size` is a prime, so that any `skip` from 1 to `size - 1` visits every slot.
        let skip = (hash >> 32) as u32 % size.saturating_sub(1).max(1) + 1;
        let weight = candidate.weight.max(1);
        let position = hash as u32 % size;
        Self { identity: &candidate.identity, index, weight, credit: 0, position, skip, size }
    }

    fn next_free(&mut self, table: &[u32]) -> usize {
        loop {
            let slot = self.position as usize;
            self.position += self.skip;
            if self.position >= self.size {
                self.position -= self.size;
            }
            if table[slot] == u32::MAX {
                return slot;
            }
        }
    }
}
