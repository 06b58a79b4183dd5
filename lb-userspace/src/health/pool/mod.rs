//! Pools: from the health of each backend to who takes flows and with which weight. No I/O, no clock.
//!
//! [`Pools::next`] makes the pools of all services anew; what did not change is shared with those before. The rules, in their order:
//!
//! 1. **Backups** take flows when fewer than `backup_below` of the others are healthy, or so few that there would be panic.
//! 2. **Panic**: if then a smaller percentage than `panic_threshold` is healthy, all are used.
//! 3. **Ejection**: else the unhealthy ones are out, those first that have been unhealthy longest, but never more than
//!    `max_ejected` percent.
//! 4. **Slow start**: one that comes back begins with a small part of its weight, which rises in at most 20 steps.

mod policy;
mod ramp;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use self::{policy::Member, ramp::Ramp};
use crate::model::{
    Backend, BackendName, Condition, Config, Findings, Health, HealthView, Pool, Service, ServiceName,
    Shared, Standing,
};

/// The pools of a configuration's services.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    states: Vec<Shared<State>>,
    pools: Vec<Shared<Pool>>,
    due: Option<Instant>,
    /// For services that there was no pool of before.
    resumed: Ramps,
}

/// When the slow starts that are under way began, by service and backend.
pub type Ramps = BTreeMap<(ServiceName, BackendName), Instant>;

/// A pool that is now doing better or worse than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its service.
    pub service: ServiceName,
    /// How it was doing.
    pub before: Condition,
    /// The pool.
    pub pool: Shared<Pool>,
}

/// A service's pool and what it was made of.
#[derive(Clone, Debug)]
struct State {
    service: Shared<Service>,
    findings: Option<Shared<Findings>>,
    pool: Shared<Pool>,
    /// Those who take flows, with their slow start if that is not over.
    taking: HashMap<BackendName, Option<Ramp>>,
    /// When a ramp's next step is due.
    due: Option<Instant>,
}

impl Pools {
    /// What comes before the first pools of a daemon: the slow starts that were under way go on.
    #[must_use]
    pub fn resuming(ramps: Ramps) -> Self {
        Self { resumed: ramps, ..Self::default() }
    }

    /// The slow starts that are under way.
    #[must_use]
    pub fn ramps(&self) -> Ramps {
        let ramping = self.states.iter().filter(|state| state.due.is_some());
        let ramps = ramping.flat_map(|state| {
            let name = &state.service.name;
            let begun =
                state.taking.iter().filter_map(|(backend, ramp)| Some((backend, ramp.as_ref()?.begin())));
            begun.map(move |(backend, begin)| ((name.clone(), backend.clone()), begin))
        });
        ramps.collect()
    }

    /// The pools of `config`. `was_down` says of a backend of which nothing was heard yet whether it was down when `lbd` was started.
    #[must_use]
    pub fn next(
        &self,
        config: &Config,
        health: &HealthView,
        was_down: impl Fn(&Service, &Backend) -> bool,
        now: Instant,
    ) -> Self {
        let mut by_name: Option<HashMap<&ServiceName, &Shared<State>>> = None;
        let mut next = Self::default();
        for (index, service) in config.services.iter().enumerate() {
            // Nearly always the services are those of before, in the same order.
            let before = match self.states.get(index) {
                Some(state) if state.service.name == service.name => Some(state),
                _ => by_name
                    .get_or_insert_with(|| {
                        self.states.iter().map(|state| (&state.service.name, state)).collect()
                    })
                    .get(&service.name)
                    .copied(),
            };
            let findings = service.health.as_ref().and_then(|_| health.of_service(&service.name));
            let state = match before {
                Some(state) if state.is_still(service, findings, now) => state.clone(),
                before => {
                    let key = |backend: &Backend| (service.name.clone(), backend.name.clone());
                    let begun = |backend: &Backend| self.resumed.get(&key(backend)).copied();
                    State::new(before.map(|state| &**state), service, findings, &was_down, begun, now).into()
                }
            };
            next.due = [next.due, state.due].into_iter().flatten().min();
            next.pools.push(state.pool.clone());
            next.states.push(state);
        }
        next
    }

    /// Each pool, in the order of the services.
    #[must_use]
    pub fn all(&self) -> &[Shared<Pool>] {
        &self.pools
    }

    /// When [`Self::next`] has something new to say, all else being equal.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The pools whose condition is another than in `before`.
    pub fn changes<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Change> + 'a {
        let changed = self
            .states
            .iter()
            .enumerate()
            .filter(|(index, state)| before.states.get(*index).is_none_or(|other| !other.is(state)));
        changed.filter_map(|(index, state)| {
            let name = &state.service.name;
            let same_place = before.states.get(index).filter(|other| other.service.name == *name);
            let other = same_place.or_else(|| before.states.iter().find(|other| other.service.name == *name));
            let before = other.map_or(Condition::Normal, |other| other.pool.condition);
            let pool = state.pool.clone();
            (pool.condition != before).then(|| Change { service: name.clone(), before, pool })
        })
    }
}

impl State {
    fn is_still(&self, service: &Shared<Service>, findings: Option<&Shared<Findings>>, now: Instant) -> bool {
        let same_findings = match (&self.findings, findings) {
            (None, None) => true,
            (Some(before), Some(after)) => before.is(after),
            _ => false,
        };
        same_findings && self.service.is(service) && self.due.is_none_or(|due| now < due)
    }

    fn new(
        before: Option<&Self>,
        service: &Shared<Service>,
        findings: Option<&Shared<Findings>>,
        was_down: impl Fn(&Service, &Backend) -> bool,
        begun: impl Fn(&Backend) -> Option<Instant>,
        now: Instant,
    ) -> Self {
        let members: Vec<Member<'_>> = service
            .backends
            .iter()
            .map(|backend| {
                let finding = findings.and_then(|findings| findings.get(&backend.name));
                let health = finding.map(|finding| finding.health).unwrap_or_default();
                let unhealthy = service.health.is_some()
                    && match health {
                        Health::Up => false,
                        Health::Down => true,
                        Health::Unknown => was_down(service, backend),
                    };
                Member { backend, unhealthy, since: finding.and_then(|finding| finding.since) }
            })
            .collect();
        let mut pool = policy::pool(service, &members);
        let mut taking = HashMap::new();
        for (backend, share) in service.backends.iter().zip(&pool.shares) {
            if share.standing.takes_flows() {
                let known = before.map(|before| before.taking.get(&backend.name).copied());
                let ramp = match known {
                    // At the start of the daemon, and in a new service, everything is as it is to be, or on its way.
                    None => begun(backend).and_then(|begin| Ramp::new(begin, service.slow_start)),
                    Some(Some(ramp)) => ramp,
                    // A backup that is needed is needed at once.
                    Some(None) if share.standing != Standing::Serving || backend.backup => None,
                    Some(None) => Ramp::new(now, service.slow_start),
                };
                taking.insert(backend.name.clone(), ramp.filter(|ramp| !ramp.is_over(now)));
            }
        }
        let ramp_of = |backend: &Backend| taking.get(&backend.name).copied().flatten();
        let due = service.backends.iter().filter_map(|backend| Some(ramp_of(backend)?.due(now))).min();
        if due.is_some() {
            pool.scale = ramp::scale(service.slow_start);
            for (backend, share) in service.backends.iter().zip(&mut pool.shares) {
                share.weight *= ramp_of(backend).map_or(pool.scale, |ramp| ramp.level(now));
            }
        }
        let pool = match before {
            Some(before) if *before.pool == pool => before.pool.clone(),
            _ => pool.into(),
        };
        Self { service: service.clone(), findings: findings.cloned(), pool, taking, due }
    }
}
