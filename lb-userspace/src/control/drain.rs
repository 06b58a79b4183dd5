//! Backends that are drained: how many flows they still have, whether they are done, and what happens at the deadline. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Deadline, Now};
use crate::model::{
    AdminState, Backend, BackendName, Config, Drain, DrainEnd, Service, ServiceName, Timestamp,
};

/// Longest time that a drain may take.
pub const MAX_DRAIN: Duration = Duration::from_secs(7 * 24 * 3600);
/// A scan that begins so long after a drain has seen every flow that began before it: the answer to a SYN that was on its way makes
/// a flow, too.
const SETTLE: Duration = Duration::from_millis(500);

/// Names a deadline that is written down: which backend of which service, and when.
pub type DrainKey = (ServiceName, BackendName, Timestamp);

/// A backend that is drained, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainView {
    /// The deadline, if there is one.
    pub drain: Option<Drain>,
    /// Flows that have not ended; `None`: not counted yet.
    pub flows: Option<u64>,
    /// Whether the last flow has ended.
    pub drained: bool,
    /// Whether the deadline is over.
    pub expired: bool,
}

impl DrainView {
    /// Whether another one differs at most in the number of flows.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { flows: None, ..*self } == Self { flows: None, ..*other }
    }
}

/// All backends that are drained, by id.
pub type DrainViews = Arc<BTreeMap<u32, DrainView>>;

/// Follows the backends that are drained.
#[derive(Debug, Default)]
pub(super) struct Drains {
    tracked: BTreeMap<u32, Tracked>,
    /// Backends whose flows are reset, as was said last.
    resets: BTreeSet<(ServiceName, BackendName)>,
}

#[derive(Debug)]
struct Tracked {
    service: ServiceName,
    backend: BackendName,
    view: DrainView,
    /// When the maps said so; not known before the clock was read after that.
    since: Option<Instant>,
    /// The deadline on the clocks that do not jump.
    deadline: Option<(Instant, Deadline)>,
}

impl Drains {
    /// Follows what the configuration says now. `id` gives the id of a backend, 0 if it has none; `noted` is what was written down of deadlines. A
    /// deadline that is known stays where it is on the clock.
    pub(super) fn follow(
        &mut self,
        config: &Config,
        id: impl Fn(&Service, &Backend) -> u32,
        noted: &BTreeMap<DrainKey, Duration>,
        now: &Now,
    ) {
        let mut before = std::mem::take(&mut self.tracked);
        for service in &config.services {
            for backend in service.backends.iter().filter(|backend| backend.state == AdminState::Draining) {
                let id = id(service, backend);
                let known = before.remove(&id);
                if let Some(known) = known.filter(|known| known.view.drain == backend.drain) {
                    self.tracked.insert(id, known);
                    continue;
                }
                let deadline = backend.drain.map(|drain| {
                    let key = (service.name.clone(), backend.name.clone(), drain.until);
                    let boot = noted.get(&key).copied();
                    let deadline = Deadline { wall: drain.until, boot, longest: MAX_DRAIN };
                    let remaining = deadline.remaining(now);
                    (now.instant + remaining, Deadline { boot: Some(now.boot + remaining), ..deadline })
                });
                let view = DrainView { drain: backend.drain, flows: None, drained: false, expired: false };
                let (service, backend) = (service.name.clone(), backend.name.clone());
                let fresh = Tracked { service, backend, view, since: None, deadline };
                self.tracked.insert(id, fresh);
            }
        }
    }

    /// Takes the numbers of flows that a scan found which began at `began`; a backend that is missing has none.
    pub(super) fn count(&mut self, began: Instant, flows: &BTreeMap<u32, u64>) {
        for (id, tracked) in &mut self.tracked {
            let Some(since) = tracked.since.filter(|since| *since <= began) else { continue };
            let left = flows.get(id).copied().unwrap_or_default();
            let before = std::mem::replace(&mut tracked.view.drained, left == 0 && began >= since + SETTLE);
            tracked.view.flows = Some(left);
            let (service, backend) = (&tracked.service, &tracked.backend);
            match (before, tracked.view.drained) {
                (false, true) => tracing::info!(%service, %backend, "drained: the last flow has ended"),
                (true, false) => {
                    tracing::info!(%service, %backend, flows = left, "not drained any more: a late answer made a flow");
                }
                _ => {}
            }
        }
    }

    /// Does what is due.
    pub(super) fn settle(&mut self, now: Instant) {
        for tracked in self.tracked.values_mut() {
            tracked.since.get_or_insert(now);
            let due = tracked.deadline.is_some_and(|(at, _)| at <= now);
            let Some(drain) = tracked.view.drain.filter(|_| due && !tracked.view.expired) else { continue };
            tracked.view.expired = true;
            let (service, backend, flows) = (&tracked.service, &tracked.backend, tracked.view.flows);
            match drain.then {
                _ if tracked.view.drained => {}
                DrainEnd::Keep => {
                    tracing::warn!(%service, %backend, flows, "the drain's deadline is over; flows that are left go on");
                }
                DrainEnd::Rst => {
                    tracing::warn!(%service, %backend, flows, "the drain's deadline is over; flows that are left are reset");
                }
            }
        }
    }

    /// When [`Drains::settle`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.tracked.values().filter(|tracked| !tracked.view.expired);
        waiting.filter_map(|tracked| Some(tracked.deadline?.0)).min()
    }

    /// Lets [`Drains::resets`] name every backend whose flows are to be reset once more.
    pub(super) fn say_resets_again(&mut self) {
        self.resets.clear();
    }

    /// Backends whose flows are to be reset from now on, or not any more, since the last call.
    pub(super) fn resets(&mut self) -> Vec<(ServiceName, BackendName, bool)> {
        let over = self.tracked.values().filter(|tracked| {
            tracked.view.expired && tracked.view.drain.is_some_and(|drain| drain.then == DrainEnd::Rst)
        });
        let wanted: BTreeSet<_> =
            over.map(|tracked| (tracked.service.clone(), tracked.backend.clone())).collect();
        let before = std::mem::replace(&mut self.resets, wanted);
        let changed = before.symmetric_difference(&self.resets).cloned();
        changed.map(|key| (key.0.clone(), key.1.clone(), self.resets.contains(&key))).collect()
    }

    /// What others see; `before` if that is the same.
    pub(super) fn views(&self, before: &DrainViews) -> DrainViews {
        let same = before.len() == self.tracked.len()
            && before.iter().zip(&self.tracked).all(|(a, b)| (a.0, a.1) == (b.0, &b.1.view));
        if same {
            return Arc::clone(before);
        }
        Arc::new(self.tracked.iter().map(|(id, tracked)| (*id, tracked.view)).collect())
    }

    /// The deadlines as they are to be written down.
    pub(super) fn notes(&self) -> BTreeMap<DrainKey, Duration> {
        let notes = self.tracked.values().filter_map(|tracked| {
            let (service, backend) = (tracked.service.clone(), tracked.backend.clone());
            Some(((service, backend, tracked.view.drain?.until), tracked.deadline?.1.boot?))
        });
        notes.collect()
    }
}
