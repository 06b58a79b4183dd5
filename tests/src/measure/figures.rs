//! What is said of many figures.

/// The middle one, or the mean of both that are; infinite if there is none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        None => f64::INFINITY,
        Some(value) if sorted.len() % 2 == 1 => *value,
        Some(value) => f64::midpoint(sorted[middle - 1], *value),
    }
}

/// The greatest one; infinite if there is none.
pub(super) fn maximum(values: &[f64]) -> f64 {
    values.iter().copied().max_by(f64::total_cmp).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_is_no_good_figure() {
        assert!(median(&[]).is_infinite() && maximum(&[]).is_infinite());
        assert_eq!(
            (median(&[4.0, 1.0, 2.0]), median(&[4.0, 1.0]), maximum(&[1.0, 4.0, 2.0])),
            (2.0, 2.5, 4.0)
        );
    }
}
