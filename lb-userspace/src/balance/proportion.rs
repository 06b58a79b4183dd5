//! Sharing slots out by weight.

use super::Candidate;

/// How many slots each candidate gets: its weight over the greatest common divisor of all weights where that fits into `slots`;
/// otherwise `slots` slots in all by largest remainder, at least one each as long as there are enough.
pub(super) fn shares(candidates: &[Candidate], slots: u32) -> Vec<u32> {
    let weights: Vec<u64> = candidates.iter().map(|candidate| u64::from(candidate.weight.max(1))).collect();
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights.iter().sum();
    if total / divisor <= u64::from(slots) {
        return weights.iter().map(|weight| (weight / divisor) as u32).collect();
    }
    scaled(candidates, &weights, total, slots)
}

fn scaled(candidates: &[Candidate], weights: &[u64], total: u64, slots: u32) -> Vec<u32> {
    let slots = u64::from(slots);
    let mut shares: Vec<u64> = weights.iter().map(|weight| (weight * slots / total).max(1)).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // By largest remainder first; equal ones by identity, so that the order of the candidates does not matter.
    order.sort_by(|a, b| {
        let remainder = |index: &usize| weights[*index] * slots % total;
        remainder(b).cmp(&remainder(a)).then_with(|| candidates[*a].identity.cmp(&candidates[*b].identity))
    });
    let mut given: u64 = shares.iter().sum();
    for index in &order {
        if given >= slots {
            break;
        }
        shares[*index] += 1;
        given += 1;
    }
    // Those who were raised to one slot took from the others: the largest give.
    while given > slots {
        let largest = (0..shares.len()).max_by(|a, b| {
            shares[*a].cmp(&shares[*b]).then_with(|| candidates[*a].identity.cmp(&candidates[*b].identity))
        });
        let Some(largest) = largest else { break };
        shares[largest] -= 1;
        given -= 1;
    }
    shares.into_iter().map(|share| share as u32).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
