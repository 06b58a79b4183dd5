//! Medians, and time that passes.

use std::time::{Duration, Instant};

/// Calls `task`; how long it took, and what it gave.
pub fn timed<T>(task: impl FnOnce() -> T) -> (Duration, T) {
    let start = now();
    let value = task();
    (start.elapsed(), value)
}

/// The current time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// A duration in milliseconds.
#[must_use]
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which this share (0 to 1) of the values lies; not a number if there are none.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions in lists that fit into memory"
)]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The middle one of the values; not a number if there are none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_mind_a_straggler() {
        assert!((median(&[3.0, 900.0, 1.0]) - 3.0).abs() < f64::EPSILON);
        assert!((quantile(&[3.0, 900.0, 1.0], 1.0) - 900.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}
