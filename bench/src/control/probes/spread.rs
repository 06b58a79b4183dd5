//! How evenly probes are spread, from the moments at which they began.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::statistics::quantile;

/// The beginning of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Nanoseconds since any fixed moment.
    pub(super) at: u64,
    /// The backend.
    pub(super) target: Ipv4Addr,
}

/// What the beginnings of probes say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// Probes in all.
    pub(super) count: usize,
    /// Backends that were probed.
    pub(super) targets: usize,
    /// Fewest probes of a backend.
    pub(super) fewest: usize,
    /// Most probes that began within [`WINDOW`].
    pub(super) most: usize,
    /// By how many nanoseconds after its turn a probe began, in 99 of 100 cases at most. A backend's turns are an interval apart; the
    /// one that was met best counts as met exactly.
    pub(super) late: f64,
}

/// Within which the most probes are looked for: 10 ms in nanoseconds.
const WINDOW: u64 = 10_000_000;

impl Spread {
    /// Judges probes, in the order of time, of targets that are probed once in an interval of so many nanoseconds.
    pub(super) fn of(starts: &[Start], interval: u64) -> Self {
        let mut by_target: BTreeMap<Ipv4Addr, Vec<u64>> = BTreeMap::new();
        for start in starts {
            by_target.entry(start.target).or_default().push(start.at);
        }
        let late: Vec<f64> = by_target.values().flat_map(|moments| lateness(moments, interval)).collect();
        Self {
            count: starts.len(),
            targets: by_target.len(),
            fewest: by_target.values().map(Vec::len).min().unwrap_or_default(),
            most: most_within(starts, WINDOW),
            late: quantile(&late, 0.99),
        }
    }
}

/// The most moments in any time of this length.
fn most_within(starts: &[Start], length: u64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, start) in starts.iter().enumerate() {
        while start.at - starts[first].at >= length {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// By how much later in its interval each moment is than the earliest.
#[expect(clippy::cast_precision_loss, reason = "these are fractions of an interval")]
fn lateness(moments: &[u64], interval: u64) -> Vec<f64> {
    let Some(first) = moments.first() else { return Vec::new() };
    let (interval, half) = (i128::from(interval), i128::from(interval / 2));
    // Between half an interval before the first one's place and half an interval after it.
    let place = |at: &u64| (i128::from(*at) - i128::from(*first) + half).rem_euclid(interval) - half;
    let earliest = moments.iter().map(place).min().unwrap_or_default();
    moments.iter().map(|at| (place(at) - earliest) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(moments: &[(u64, u8)]) -> Vec<Start> {
        moments.iter().map(|(at, target)| Start { at: *at, target: [10, 0, 0, *target].into() }).collect()
    }

    #[test]
    fn the_most_probes_of_any_10_ms_are_found_wherever_they_begin() {
        let mut even: Vec<(u64, u8)> = (0..100).map(|step| (step * 1_000_000, 1)).collect();
        assert_eq!(Spread::of(&starts(&even), 1 << 40).most, 10);
        even.extend([(99_500_000, 2), (99_999_999, 3), (108_999_998, 4)]);
        assert_eq!(Spread::of(&starts(&even), 1 << 40).most, 12, "90 ms to 99.999999 ms");
        even.extend([(108_999_999, 5); 20]);
        assert_eq!(Spread::of(&starts(&even), 1 << 40).most, 24);
    }

    #[test]
    fn a_probe_is_late_by_what_it_is_behind_the_turn_that_was_met_best() {
        let second = 1_000_000_000;
        let moments = [5, second + 3, 2 * second + 8, 4 * second + 3];
        assert_eq!(lateness(&moments, second), [2.0, 0.0, 5.0, 0.0]);
    }

    #[test]
    fn a_turn_that_was_left_out_shows_in_the_backend_with_the_fewest_probes() {
        let second = 1_000_000_000;
        let spread = Spread::of(&starts(&[(0, 1), (1, 2), (second, 1)]), second);
        assert_eq!((spread.count, spread.targets, spread.fewest), (3, 2, 1));
    }
}
