//! The table: one file per subject.


mod foreign;
mod forwarding;
mod fragments;
mod headers;
mod icmp;
mod truncated;

use super::{Case, Step};

/// Every case.
#[must_use]
pub fn all() -> Vec<Case> {
    [forwarding::cases(), headers::cases(), truncated::cases(), foreign::cases(), icmp::cases(), fragments::cases()].into_iter().flatten().collect()
}
