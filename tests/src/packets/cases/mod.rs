//! The table: one file per subject.

mod admission;
mod affinity;
mod answers;
mod cookies;
mod floating;
mod flows;
mod foreign;
mod forwarding;
mod fragments;
mod full;
mod headers;
mod icmp;
mod latency;
mod limits;
mod messages;
mod resets;
mod routing;
mod selection;
mod shares;
mod signals;
mod snat;
mod sources;
mod stateless;
mod truncated;
mod unreachable;

use super::{Case, Step};

/// Every case.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        forwarding::cases(),
        headers::cases(),
        truncated::cases(),
        foreign::cases(),
        icmp::cases(),
        unreachable::cases(),
        messages::cases(),
        fragments::cases(),
        flows::cases(),
        resets::cases(),
        routing::cases(),
        snat::cases(),
        sources::cases(),
        stateless::cases(),
        answers::cases(),
        signals::cases(),
        latency::cases(),
        selection::cases(),
        limits::cases(),
        full::cases(),
        affinity::cases(),
        admission::cases(),
        shares::cases(),
        cookies::cases(),
        floating::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
