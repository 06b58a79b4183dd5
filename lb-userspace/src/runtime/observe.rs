//! Takes the observation that a scrape of the metrics shows.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    data::{Data, shown},
    flows::LastReport,
    vrrp::RouterStatus,
};
use crate::{
    api::Occupancy,
    control::{BackendView, Handle, ServiceView},
    events::Bus,
    flows::{Counts, Report},
    maps::{MapError, Totals},
    metrics::{
        BackendSample, InterfaceSample, Observation, PoolSample, RouterSample, ServiceSample, Source,
        TableSample, text,
    },
    model::Health,
    plan::address_of,
    vrrp::{Rejection, Switchover},
};

/// The source of the metrics server.
pub(super) fn source(control: Handle, events: Bus, data: Arc<Data>, last: LastReport) -> Source {
    Arc::new(move || {
        let observation =
            observe(&control, &events, &data, &last.latest()).map_err(|error| error.to_string())?;
        text(&observation).map_err(|error| error.to_string())
    })
}

fn observe(control: &Handle, events: &Bus, data: &Data, report: &Report) -> Result<Observation, MapError> {
    let totals = data.counters.read()?;
    let (now, suspects) = (data.clock.instant(), data.suspects.latest());
    let occupancy = data.flows.occupancy();
    let snapshot = control.snapshot();
    let status = data.routers.snapshot();
    let interfaces = data.attached.snapshot().into_iter().map(|attached| InterfaceSample {
        traffic: totals.interface(attached.ifindex),
        mode: attached.mode.as_str(),
        name: attached.name,
    });
    let names: HashMap<u32, (&ServiceView, &BackendView)> =
        snapshot.backends().map(|(service, backend)| (backend.id, (service, backend))).collect();
    Ok(Observation {
        version: env!("CARGO_PKG_VERSION"),
        services: snapshot
            .services
            .iter()
            .map(|service| {
                let mut sample = service_sample(service, &totals, report, &occupancy, now);
                for (sample, BackendView { id, .. }) in sample.backends.iter_mut().zip(&service.backends) {
                    sample.signals = data.signals.of(*id);
                    sample.latencies = data.latencies.of(*id);
                    sample.suspects = suspects.of(*id).map_or(0, |suspect| suspect.times);
                }
                sample
            })
            .collect(),
        latency: snapshot.config.latency,
        program: data.program.figures().ok(),
        interfaces: interfaces.collect(),
        pools: pools(&names, report),
        tables: tables(report),
        blocked_prefixes: snapshot.blocks.len(),
        drops: totals.drops,
        pins_in_reach: !data.attached.is_out_of_reach(),
        reconcile_errors: snapshot.reconciled.failures,
        drift: snapshot.reconciled.drift,
        captures: data.captures.list().len() as u64,
        events: events.counts(),
        routers: status.routers.iter().map(router_sample).collect(),
        unknown_adverts: status.unknown,
        replication: data.replicated.observed(),
    })
}

fn router_sample(status: &RouterStatus) -> RouterSample {
    let count = |reason: &&'static str| {
        let rejected = status.rejected.iter().find(|(label, _)| label == reason);
        (*reason, rejected.map_or(0, |(_, count)| *count))
    };
    let transitions = status.figures.transitions.iter();
    RouterSample {
        name: status.router.name.to_string(),
        vip: status.router.vip().map(|vip| vip.to_string()).unwrap_or_default(),
        state: status.state.label(),
        priority: status.priority,
        standby: matches!(status.switchover, Some(Switchover::Standby(_))),
        transitions: transitions.map(|((state, cause), count)| (*state, *cause, *count)).collect(),
        sent: status.figures.sent,
        received: status.figures.received,
        rejected: Rejection::LABELS.iter().map(count).collect(),
        announcements: status.figures.announcements,
        claims: status.figures.claims,
        takeover: status.figures.takeover,
        tracked: status.tracked.iter().cloned().map(shown).collect(),
        notify_failures: status.router.notify.is_some().then_some(status.hook_failures),
    }
}

fn service_sample(
    service: &ServiceView,
    totals: &Totals,
    report: &Report,
    occupancy: &Occupancy,
    now: Instant,
) -> ServiceSample {
    let limited = service.desired.is_limited();
    let in_use = |places: Option<&u64>| limited.then(|| places.copied().unwrap_or_default());
    let backends: Vec<BackendSample> = service
        .backends
        .iter()
        .map(|backend| BackendSample {
            name: backend.desired.name.to_string(),
            traffic: totals.backend(backend.id),
            active_flows: live(report.flows.get(&(service.id, backend.id))),
            connections: in_use(occupancy.backends.get(&backend.id)),
            max_connections: backend.desired.max_connections,
            up: backend.health != Health::Down,
            weight: backend.desired.weight,
            effective_weight: service.pool.weight(&backend.share),
            health: backend.health,
            transitions: backend.finding.transitions,
            held: backend.finding.held_until.is_some_and(|until| now < until),
            standing: backend.share.standing,
            ..BackendSample::default()
        })
        .collect();
    // Flows of backends that were removed a moment ago count too.
    let flows = report.flows.range((service.id, 0)..=(service.id, u32::MAX));
    ServiceSample {
        name: service.desired.name.to_string(),
        traffic: totals.service(service.id),
        active_flows: flows.map(|(_, counts)| live(Some(counts))).sum(),
        connections: in_use(occupancy.services.get(&service.id)),
        max_connections: service.desired.max_connections,
        refusals: totals.refusals(service.id),
        cookies: report.cookies.get(&service.id).copied(),
        clients: (!service.desired.affinity_timeout.is_zero())
            .then(|| report.affinities.get(&service.id).copied().unwrap_or_default()),
        condition: service.pool.condition,
        healthy: service.pool.healthy as u64,
        backends,
    }
}

fn live(counts: Option<&Counts>) -> u64 {
    counts.map_or(0, |counts| counts.established + counts.embryonic)
}

fn tables(report: &Report) -> Vec<TableSample> {
    let tables = report.tables.iter().map(|table| TableSample {
        name: table.name.to_lowercase(),
        entries: table.entries,
        capacity: table.capacity.into(),
    });
    tables.collect()
}

fn pools(names: &HashMap<u32, (&ServiceView, &BackendView)>, report: &Report) -> Vec<PoolSample> {
    let pools = report.pools.iter().filter_map(|usage| {
        let (service, backend) = names.get(&usage.pool.backend)?;
        let family = if service.desired.address.is_ipv4() { 4 } else { 6 };
        Some(PoolSample {
            service: service.desired.name.to_string(),
            backend: backend.desired.name.to_string(),
            address: address_of(usage.pool.address, family)?.to_string(),
            in_use: usage.in_use.into(),
            capacity: usage.capacity.into(),
        })
    });
    pools.collect()
}
