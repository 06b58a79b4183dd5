//! Area `faults`: what goes wrong around `lbd`, what is done to it, and how it is installed and removed.

mod flood;
mod package;
mod prefixes;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("syn-flood", flood::syn),
    ("udp-flood", flood::udp),
    ("table-full", flood::full),
    ("prefixes", prefixes::measure),
    ("package: installed, upgraded under load, removed, purged", package::measure),
];
