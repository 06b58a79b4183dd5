//! Area `faults`: what goes wrong around `lbd`, what is done to it, and how it is installed and removed.

mod flood;
mod fuzzed;
mod package;
mod prefixes;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("syn-flood", flood::syn),
    ("udp-flood", flood::udp),
    ("table-full", flood::full),
    ("prefixes", prefixes::measure),
    ("fuzzed frames, kernel and model", fuzzed::measure),
    ("package: installed, upgraded under load, removed, purged", package::measure),
];
