//! Makes snapshots.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Instant};

use lb_common::abi::BackendState;

use super::{BackendView, Blocks, Deadline, ServiceView, Snapshot, drain::Drains, target::Target};
use crate::{
    health::{Pools, Probes},
    model::{
        Backend, BackendName, Config, Draft, HealthView, Pool, Service, ServiceAddress, ServiceName, Shared,
    },
};

/// The configuration at three stages, and what is wanted beside it.
pub(super) struct Configs<'a> {
    /// When `lbd` was started.
    pub(super) started: &'a Config,
    /// In the file.
    pub(super) saved: &'a Config,
    /// Desired now.
    pub(super) current: &'a Config,
    /// Sources that are blocked by request, and when the next one is so no more.
    pub(super) blocks: (&'a Arc<Blocks>, Option<Instant>),
}

/// The state of everything. What `before` shows and is still so is shared with it.
pub(super) fn snapshot(
    before: Option<&Snapshot>,
    configs: &Configs<'_>,
    (health, pools, probes): (&HealthView, &Pools, &Probes),
    problem: Option<String>,
    target: &Target,
    drains: &Drains,
    waiting: Option<(Instant, Deadline)>,
) -> Snapshot {
    let Configs { started, saved, current, blocks: (blocks, blocks_due) } = *configs;
    let renumbered = target.renumbered();
    let same = before.filter(|before| before.renumbered == renumbered);
    let services = current.services.iter().zip(pools.all()).enumerate().map(|(index, (desired, pool))| {
        let shown = same.and_then(|before| Some((before.services.get(index)?, &before.health)));
        match shown {
            Some((shown, known))
                if shown.desired.is(desired)
                    && shown.pool.is(pool)
                    && known.is_alike_for(&desired.name, health) =>
            {
                shown.clone()
            }
            _ => service(desired, pool, health, target).into(),
        }
    });
    Snapshot {
        generation: before.map_or(0, |before| before.generation + 1),
        config: current.clone(),
        unsaved: current != saved,
        restart_needed: restart_needed(started, current),
        problem,
        services: services.collect(),
        releasing: target.releasing(),
        drains: drains.views(&before.map(|before| before.drains.clone()).unwrap_or_default()),
        confirm_until: waiting.map(|(_, deadline)| deadline.wall),
        wake_at: [drains.next(), waiting.map(|(at, _)| at), pools.poll_timeout(), blocks_due]
            .into_iter()
            .flatten()
            .min(),
        blocks: Arc::clone(blocks),
        sources: target.sources().clone(),
        reconciled: target.statistics(),
        probes: probes.clone(),
        health: health.clone(),
        renumbered,
    }
}

/// The keys that differ and that are only looked at when `lbd` starts.
fn restart_needed(started: &Draft, current: &Draft) -> Vec<&'static str> {
    [
        ("pin_directory", started.pin_directory != current.pin_directory),
        ("api.socket", started.api_socket != current.api_socket),
        ("api.group", started.api_group != current.api_group),
        ("api.listen", started.api_tcp != current.api_tcp),
        ("metrics.listen", started.metrics_listen != current.metrics_listen),
        ("metrics.latency", started.latency != current.latency),
        ("metrics.program_run_time", started.program_run_time != current.program_run_time),
        ("dashboard.listen", started.dashboard_listen != current.dashboard_listen),
        ("limits", started.limits != current.limits),
        ("replication", started.replication != current.replication),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

fn service(
    desired: &Shared<Service>,
    pool: &Shared<Pool>,
    health: &HealthView,
    target: &Target,
) -> ServiceView {
    let backends = desired.backends.iter().enumerate().map(|(index, backend)| {
        let (id, state) = target.backend(desired, backend);
        let finding = desired.health.as_ref().and_then(|_| health.finding(&desired.name, &backend.name));
        let finding = finding.cloned().unwrap_or_default();
        BackendView {
            id,
            desired: backend.clone(),
            health: finding.health,
            finding,
            share: pool.shares.get(index).copied().unwrap_or_default(),
            state,
        }
    });
    ServiceView {
        id: target.service(desired),
        desired: desired.clone(),
        pool: pool.clone(),
        backends: backends.collect(),
    }
}

/// What is known of health and still holds under another configuration: where the service is still checked, and the backend of
/// that name is still the same one.
pub(super) fn health_that_holds(health: &HealthView, before: &Config, after: &Config) -> HealthView {
    let mut held = health.clone();
    if before == after || health.iter().next().is_none() {
        return held;
    }
    let by_name = |config: &'_ Config| -> HashMap<ServiceName, Shared<Service>> {
        config.services.iter().map(|service| (service.name.clone(), service.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    held.retain(|service, backend| {
        let (Some(before), Some(after)) = (before.get(service), after.get(service)) else { return false };
        before.is(after) || checked(before, backend).is_some_and(|at| Some(at) == checked(after, backend))
    });
    held
}

/// What is checked of a backend.
fn checked(service: &Service, backend: &BackendName) -> Option<(ServiceAddress, IpAddr, u16, Option<u16>)> {
    let check = service.health.as_ref()?;
    let Backend { address, port, .. } = service.backend(backend)?;
    Some((service.at(), *address, *port, check.port))
}

/// The state of a number in the maps.
pub(super) fn state(number: u8) -> BackendState {
    [BackendState::Active, BackendState::Draining, BackendState::Down, BackendState::Disabled]
        .into_iter()
        .find(|state| *state as u8 == number)
        .unwrap_or(BackendState::Unused)
}
