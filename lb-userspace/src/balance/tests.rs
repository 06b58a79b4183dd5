//! Rules that every algorithm keeps, and those of each.

use proptest::prelude::*;

use super::*;
use crate::model::{DEFAULT_SLOTS, Keyword as _};

fn candidates(weights: &[u16]) -> Vec<Candidate> {
    let named = |(index, weight): (usize, &u16)| Candidate {
        identity: format!("10.0.{}.{}:80", index / 250, index % 250),
        weight: u32::from(*weight),
    };
    weights.iter().enumerate().map(named).collect()
}

fn fill(algorithm: Algorithm, candidates: &[Candidate], slots: u32) -> Vec<u32> {
    registry(algorithm).0.fill(candidates, slots, 7)
}

fn counts(table: &[u32], candidates: usize) -> Vec<u32> {
    let mut counts = vec![0; candidates];
    for index in table {
        counts[*index as usize] += 1;
    }
    counts
}

/// The share of slots (in per mille) whose backend is another after adding one of weight `added`.
fn moved(algorithm: Algorithm, weights: &[u16], added: u16, slots: u32) -> usize {
    let before = fill(algorithm, &candidates(weights), slots);
    let more: Vec<u16> = weights.iter().copied().chain([added]).collect();
    let after = fill(algorithm, &candidates(&more), slots);
    assert_eq!(before.len(), after.len());
    before.iter().zip(&after).filter(|(a, b)| a != b).count() * 1000 / before.len()
}

#[test]
fn no_candidates_or_no_slots_give_an_empty_table() {
    for algorithm in Algorithm::ALL {
        assert!(fill(*algorithm, &[], 101).is_empty(), "{algorithm}");
        assert!(fill(*algorithm, &candidates(&[1, 2]), 0).is_empty(), "{algorithm}");
    }
}

#[test]
fn one_slot_has_one_backend() {
    for algorithm in Algorithm::ALL {
        assert_eq!(fill(*algorithm, &candidates(&[5]), 1), [0], "{algorithm}");
    }
}

#[test]
fn round_robin_takes_turns_smoothly() {
    let table = |weights: &[u16]| fill(Algorithm::RoundRobin, &candidates(weights), DEFAULT_SLOTS);
    assert_eq!(table(&[100, 100, 100]), [0, 1, 2]);
    assert_eq!(table(&[300, 100]), [0, 0, 0, 1]);
    assert_eq!(table(&[50, 10, 10]), [0, 0, 0, 1, 0, 2, 0]);
}

#[test]
fn maglev_moves_little_when_one_of_many_is_added() {
    for backends in [1, 2, 3, 5, 10, 50, 200, 1000] {
        let moved = moved(Algorithm::Maglev, &vec![100; backends], 100, DEFAULT_SLOTS);
        assert!(moved <= 1000 / backends + 20, "{backends} backends: {moved} per mille");
    }
}

#[test]
fn maglev_is_the_same_on_every_node_and_in_every_release() {
    let table = fill(Algorithm::Maglev, &candidates(&[1, 1, 2]), 13);
    assert_eq!(table, [1, 2, 2, 2, 0, 1, 2, 2, 1, 2, 0, 2, 0]);
}

#[test]
fn another_seed_gives_another_table() {
    let some = candidates(&[100; 10]);
    let balancer = registry(Algorithm::Maglev).0;
    assert_ne!(balancer.fill(&some, 65_537, 1), balancer.fill(&some, 65_537, 2));
}

fn weights(most: usize) -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(1_u16..=1000, 1..most)
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_candidate_gets_its_share(algorithm in algorithm(), weights in weights(40), slots in 4000_u32..70_000) {
        let table = fill(algorithm, &candidates(&weights), slots);
        prop_assert!(table.len() <= slots as usize);
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        for (count, weight) in counts(&table, weights.len()).iter().zip(&weights) {
            let share = f64::from(*weight) / total;
            let ideal = share * table.len() as f64;
            // What the others lose by rounding, up to a slot each, goes to all by their shares.
            let off = 2.0 + share * weights.len() as f64;
            prop_assert!((f64::from(*count) - ideal).abs() <= off, "{count} slots, ideal {ideal}");
        }
    }

    #[test]
    fn nobody_is_left_out_while_there_are_slots(algorithm in algorithm(), weights in weights(40), room in 0_u32..20) {
        let primes = [41, 43, 47, 53, 59];
        let slots = primes[room as usize % 5];
        let table = fill(algorithm, &candidates(&weights), slots);
        // Maglev's rounds may fill a small table before the light ones have their turn.
        if !matches!(algorithm, Algorithm::Maglev | Algorithm::SourceHash) {
            prop_assert!(counts(&table, weights.len()).iter().all(|count| *count > 0));
        }
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter(
        algorithm in algorithm(),
        (some, shuffled) in weights(30).prop_flat_map(|weights| {
            let some = candidates(&weights);
            (Just(some.clone()), Just(some).prop_shuffle())
        }),
        slots in 30_u32..3000,
    ) {
        let by_identity = |list: &[Candidate]| -> Vec<String> {
            fill(algorithm, list, slots).iter().map(|index| list[*index as usize].identity.clone()).collect()
        };
        prop_assert_eq!(by_identity(&some), by_identity(&shuffled));
    }

    #[test]
    fn adding_one_backend_to_n_moves_at_most_one_nth_and_two_percent(
        algorithm in prop::sample::select(vec![Algorithm::Maglev, Algorithm::SourceHash]),
        backends in 1_usize..60,
        weight in 1_u16..500,
    ) {
        let moved = moved(algorithm, &vec![weight; backends], weight, DEFAULT_SLOTS);
        prop_assert!(moved <= 1000 / backends + 20, "{} per mille", moved);
    }

    #[test]
    fn turns_of_round_robin_are_spread_evenly(weights in weights(12)) {
        let table = fill(Algorithm::RoundRobin, &candidates(&weights), DEFAULT_SLOTS);
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let mut seen = vec![0_u32; weights.len()];
        for (position, index) in table.iter().enumerate() {
            seen[*index as usize] += 1;
            for (seen, weight) in seen.iter().zip(&weights) {
                let ideal = f64::from(*weight) / total * (position + 1) as f64;
                prop_assert!((f64::from(*seen) - ideal).abs() <= 1.0 + weights.len() as f64 / 2.0);
            }
        }
    }
}
