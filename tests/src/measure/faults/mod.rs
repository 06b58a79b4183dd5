//! Area `faults`: what goes wrong around `lbd`, what is done to it, and how it is installed and removed.

mod clock_jumps;
mod endpoints;
mod flood;
mod fuzzed;
mod memory;
mod package;
mod prefixes;
mod soak;

pub(super) use soak::measure as soak;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("syn-flood", flood::syn),
    ("udp-flood", flood::udp),
    ("fragment-flood", flood::fragments),
    ("icmp-flood", flood::icmp),
    ("table-full", flood::full),
    ("prefixes", prefixes::measure),
    ("fuzzed frames, kernel and model", fuzzed::measure),
    ("clock jumps", clock_jumps::measure),
    ("memory and descriptors", memory::measure),
    ("endpoints", endpoints::measure),
    ("package: installed, upgraded under load, removed, purged", package::measure),
];
