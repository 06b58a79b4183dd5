//! The pools as control makes them, and what it says about them.

use std::time::Instant;

use super::target::Target;
use crate::{
    health::{Change, Pools},
    model::{Condition, Config, HealthView},
};

/// The pools after `before`. Says when one is doing better or worse than it did.
pub(super) fn next(
    before: &Pools,
    config: &Config,
    health: &HealthView,
    target: &Target,
    now: Instant,
) -> Pools {
    let was_down = |service: &_, backend: &_| target.was_down(service, backend);
    let pools = before.next(config, health, was_down, now);
    for change in pools.changes(before) {
        tell(&change);
    }
    pools
}

fn tell(change: &Change) {
    let (service, healthy, of) = (&change.service, change.pool.healthy, change.pool.wanted);
    match (change.before, change.pool.condition) {
        (_, Condition::Panic) => {
            tracing::error!(%service, healthy, of, "panic: so few backends are healthy that all are used");
        }
        (_, Condition::Backup) => {
            tracing::warn!(%service, healthy, of, "too few backends are healthy: backups take flows");
        }
        (_, Condition::Normal) => tracing::info!(%service, healthy, of, "enough backends are healthy again"),
    }
}
