//! The table: one file per subject.

mod forwarding;

use super::Case;

/// Every case.
#[must_use]
pub fn all() -> Vec<Case> {
    forwarding::cases()
}
