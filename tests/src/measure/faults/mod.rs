//! Area `faults`: what goes wrong around `lbd`, what is done to it, and how it is installed and removed.

mod package;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] =
    &[("package: installed, upgraded under load, removed, purged", package::measure)];
