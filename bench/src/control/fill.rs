//! Slot tables, of which the pure part is also in `benches/`.

use lb_userspace::{
    balance::{Candidate, registry},
    model::{Algorithm, DEFAULT_SLOTS},
};

use crate::{
    finding::{Findings, Row, Target},
    part::Depth,
    statistics::{median, milliseconds, timed},
};

/// Backends of the largest service that is measured.
const BACKENDS: u32 = 1000;

pub(super) fn measure(depth: Depth, findings: &mut Findings) {
    for (algorithm, target) in [
        (Algorithm::Maglev, Some(Target::AtMost(10.0))),
        (Algorithm::SourceHash, None),
        (Algorithm::RoundRobin, None),
        (Algorithm::Random, None),
    ] {
        let candidates = candidates(BACKENDS);
        let times: Vec<f64> =
            (0..depth.pick(51, 15)).map(|_| milliseconds(timed(|| fill(algorithm, &candidates)).0)).collect();
        let what = format!("{algorithm} table of {DEFAULT_SLOTS} slots for {BACKENDS} backends");
        let row = Row::new(what, "ms", median(&times));
        findings.rows.push(match target {
            Some(target) => row.target(target),
            None => row,
        });
    }
}

/// A slot table of the default's largest size.
#[must_use]
pub fn fill(algorithm: Algorithm, candidates: &[Candidate]) -> Vec<u32> {
    registry(algorithm).0.fill(candidates, DEFAULT_SLOTS, 1)
}

/// So many backends of equal weight.
#[must_use]
pub fn candidates(count: u32) -> Vec<Candidate> {
    let identity = |number: u32| format!("10.{}.{}.{}:8080", number >> 16, (number >> 8) & 255, number & 255);
    (0..count).map(|number| Candidate { identity: identity(number), weight: 100 }).collect()
}
