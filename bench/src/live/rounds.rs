//! Medians of interleaved rounds.
//!
//! In each round every way is measured in turn, so that what disturbs the machine for a while disturbs all of them. What is
//! reported of two ways is the median of the ratios of single rounds.

use crate::statistics::median;

/// The median of the ratios of figures of the same round.
#[must_use]
pub fn paired_ratio(ours: &[f64], floor: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(floor).map(|(ours, floor)| ours / floor).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_does_not_change_the_ratio() {
        let ratio = paired_ratio(&[1.0, 10.0, 1.0], &[2.0, 20.0, 2.0]);
        assert!((ratio - 0.5).abs() < f64::EPSILON, "{ratio}");
    }
}
