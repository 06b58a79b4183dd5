//! Services: whether enough of their backends are healthy.

use super::Teller;
use crate::{
    control::{Handle, ServiceView, Snapshot},
    model::{Health, Quorum, TrackedService},
    vrrp::{Reading, tracked_service},
};

/// Looks at each state of control.
pub(super) async fn follow(tracked: Vec<TrackedService>, control: Handle, mut teller: Teller) {
    let mut snapshots = control.watch();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        for tracked in &tracked {
            if let Some(reading) = reading(tracked, &snapshot) {
                teller.tell(&tracked_service(tracked), reading);
            }
        }
        drop(snapshot);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// `None`: it depends on backends of which nothing is known yet.
fn reading(tracked: &TrackedService, snapshot: &Snapshot) -> Option<Reading> {
    let Some(service) = snapshot.service(tracked.service.as_str()) else {
        return Some(Reading::Missing("there is no such service".into()));
    };
    let (healthy, wanted) = (service.pool.healthy, service.pool.wanted);
    judge(tracked.quorum, healthy, unknown(service), wanted)
}

/// How many of the backends that count as healthy were not checked yet.
fn unknown(service: &ServiceView) -> usize {
    let is_unknown = |backend: &&crate::control::BackendView| {
        backend.health == Health::Unknown && !backend.share.down && backend.share.weight > 0
    };
    if service.desired.health.is_none() {
        return 0;
    }
    service.backends.iter().filter(is_unknown).count()
}

fn judge(quorum: Quorum, healthy: usize, unknown: usize, wanted: usize) -> Option<Reading> {
    if !quorum.is_met(healthy, wanted) {
        return Some(Reading::Missing(format!("{healthy} of {wanted} backends are healthy").into()));
    }
    quorum.is_met(healthy.saturating_sub(unknown), wanted).then_some(Reading::There)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_that_were_not_checked_yet_decide_nothing() {
        let two = Quorum::Backends(2);
        assert_eq!(judge(two, 3, 0, 3), Some(Reading::There));
        assert_eq!(judge(two, 3, 1, 3), Some(Reading::There));
        assert_eq!(judge(two, 3, 2, 3), None);
        let missing = Reading::Missing("1 of 3 backends are healthy".into());
        assert_eq!(judge(two, 1, 0, 3), Some(missing.clone()));
        assert_eq!(judge(two, 1, 1, 3), Some(missing), "even the one may be down");
        assert_eq!(judge(Quorum::Percent(50), 1, 0, 2), Some(Reading::There));
    }
}
