//! Area `main`: that connections are balanced, and what that takes.

mod capacity;
mod foreign;
mod restarts;
mod traffic;

pub(super) use capacity::Synthetic;

use super::Step;

/// What is measured, one site after the other.
pub(super) const STEPS: &[Step] = &[
    ("requests", traffic::requests),
    ("transfers", traffic::transfers),
    ("narrow path", traffic::narrow_path),
    ("foreign frames", |_| foreign::measure()),
    ("capacity", capacity::measure),
    ("restarts", restarts::measure),
];
