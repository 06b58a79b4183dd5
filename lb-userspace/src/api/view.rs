//! Snapshots and figures become answers: ids become names.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::abi::{self, BackendState, DropReason, FlowState, Histogram};

use super::{
    check::Health,
    data::{
        Counters, DataSource, Ended, FlowCount, FlowGroupKey, FlowList, FlowRecord, FlowShare, FlowTable,
        FlowTally, Occupancy,
    },
    drop_reasons::{DropAdvice, advice},
    flows::TopBy,
    traffic::{
        BackendFlows, BackendStats, Drop, Flow, FlowGroup, FlowTop, FlowTotals, Flows, KilledFlows,
        Latencies, Latency, ServiceStats, Stats, TableUse,
    },
    types::{Backend, BackendTotals, Checked, Drain, DriftCount, Repaired, Service},
};
use crate::{
    config::format_duration,
    control::{BackendView, DrainView, DrainViews, ServiceView, Snapshot},
    health::Suspects,
    model::{Condition, Draft, HealthCheck, Keyword as _, Protocol},
    reconcile::DriftCounts,
};

/// What is not in the view of a service itself.
#[derive(Clone)]
pub(super) struct Moment<'a> {
    /// The present.
    pub(super) now: Instant,
    /// How far drains are.
    pub(super) drains: &'a DrainViews,
    /// Who has how many of the places that there are.
    pub(super) occupancy: Occupancy,
    /// Who is or was suspect.
    pub(super) suspects: Arc<Suspects>,
    /// What the data path measured.
    pub(super) data: &'a dyn DataSource,
}

/// A service.
pub(super) fn service(view: &ServiceView, moment: &Moment<'_>) -> Service {
    let desired = &view.desired;
    let kept = Some(desired.affinity_timeout).filter(|timeout| !timeout.is_zero());
    let limited = desired.is_limited();
    let some = |number: u32| Some(number).filter(|number| *number > 0);
    Service {
        name: desired.name.to_string(),
        id: view.id,
        address: desired.address,
        protocol: desired.protocol.to_string(),
        port: desired.port,
        mode: desired.mode.to_string(),
        algorithm: desired.algorithm.to_string(),
        slots: desired.slot_count(),
        affinity_prefix: desired.affinity_prefix,
        affinity_timeout: kept.map(format_duration),
        affinity_clients: kept.map(|_| moment.occupancy.clients.get(&view.id).copied().unwrap_or_default()),
        max_connections: Some(desired.max_connections).filter(|limit| *limit > 0),
        connections: limited.then(|| moment.occupancy.services.get(&view.id).copied().unwrap_or_default()),
        on_full: desired.on_full.to_string(),
        syn_cookies: desired.syn_cookies.to_string(),
        cookies: moment.occupancy.cookies.get(&view.id).copied(),
        allow: desired.sources.allow.iter().map(ToString::to_string).collect(),
        allow_file: desired.sources.allow_file.as_ref().map(|file| file.display().to_string()),
        deny: desired.sources.deny.iter().map(ToString::to_string).collect(),
        deny_file: desired.sources.deny_file.as_ref().map(|file| file.display().to_string()),
        flow_rate: some(desired.rates.flow_rate),
        flow_burst: some(desired.rates.flow_burst),
        source_flow_rate: some(desired.rates.source_flow_rate),
        source_flow_burst: some(desired.rates.source_flow_burst),
        packet_rate: some(desired.rates.packet_rate),
        packet_burst: some(desired.rates.packet_burst),
        source_packet_rate: some(desired.rates.source_packet_rate),
        source_packet_burst: some(desired.rates.source_packet_burst),
        source_max_connections: some(desired.rates.source_max_connections),
        source_max_embryonic: some(desired.rates.source_max_embryonic),
        source_prefix: desired.rates.source_prefix,
        snat_addresses: desired.snat_addresses.clone(),
        on_down: desired.on_down.to_string(),
        slow_start: Some(desired.slow_start).filter(|length| !length.is_zero()).map(format_duration),
        backup_below: desired.backup_below,
        condition: view.pool.condition.to_string(),
        health: desired.health.as_ref().map(health),
        backends: view.backends.iter().map(|backend| self::backend(view, backend, moment)).collect(),
    }
}

/// A backend of a service.
pub(super) fn backend(service: &ServiceView, view: &BackendView, moment: &Moment<'_>) -> Backend {
    let (finding, now, suspect) = (&view.finding, moment.now, moment.suspects.of(view.id));
    let seconds = |duration: Duration| duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX);
    Backend {
        name: view.desired.name.to_string(),
        id: view.id,
        address: view.desired.address,
        port: view.desired.port,
        weight: view.desired.weight,
        state: view.desired.state.to_string(),
        effective: view.state.as_str().to_owned(),
        health: view.health.as_str().to_owned(),
        drain: moment.drains.get(&view.id).map(drain),
        backup: view.desired.backup,
        max_connections: Some(view.desired.max_connections).filter(|limit| *limit > 0),
        connections: service
            .desired
            .is_limited()
            .then(|| moment.occupancy.backends.get(&view.id).copied().unwrap_or_default()),
        standing: view.share.standing.to_string(),
        effective_weight: service.pool.weight(&view.share),
        since_seconds: finding.since.map(|since| now.saturating_duration_since(since).as_secs()),
        reason: finding.reason.as_ref().map(ToString::to_string),
        held_seconds: finding
            .held_until
            .map(|until| seconds(until.saturating_duration_since(now)))
            .filter(|seconds| *seconds > 0),
        transitions: finding.transitions,
        suspect: suspect
            .and_then(|suspect| suspect.present.as_ref().map(|(reason, _)| reason.clone().into_owned())),
        suspects: suspect.map_or(0, |suspect| suspect.times),
        latency: latencies(moment.data.latencies(view.id)),
    }
}

fn latencies(measured: abi::Latencies) -> Option<Latencies> {
    let found = Latencies { handshake: latency(&measured.handshake), rtt: latency(&measured.rtt) };
    (found != Latencies::default()).then_some(found)
}

fn latency(histogram: &Histogram) -> Option<Latency> {
    let count = histogram.count();
    let quantile = |share| histogram.quantile(share).map(|nanos| nanos / 1000);
    Some(Latency {
        count,
        mean_microseconds: histogram.nanos.checked_div(count)? / 1000,
        p50_microseconds: quantile(0.5)?,
        p90_microseconds: quantile(0.9)?,
        p99_microseconds: quantile(0.99)?,
    })
}

fn drain(view: &DrainView) -> Drain {
    let DrainView { drain, flows, drained, expired } = *view;
    Drain {
        until: drain.map(|drain| drain.until.to_string()),
        then: drain.map(|drain| drain.then.to_string()),
        flows,
        drained,
        expired,
    }
}

fn health(check: &HealthCheck) -> Health {
    let probe = super::probe::shown(&check.probe);
    Health {
        interval: Some(format_duration(check.interval)),
        timeout: Some(format_duration(check.timeout)),
        rise: Some(check.rise),
        fall: Some(check.fall),
        port: check.port,
        fast_interval: check.fast_interval.map(format_duration),
        jitter: Some(format_duration(check.jitter)),
        max_flaps: Some(check.damping.max_flaps),
        flap_window: Some(format_duration(check.damping.window)),
        hold_down: Some(format_duration(check.damping.hold)),
        max_hold_down: Some(format_duration(check.damping.max_hold)),
        max_ejected: Some(check.max_ejected),
        panic_threshold: Some(check.panic_threshold),
        passive: Some(check.passive.enabled),
        passive_window: Some(format_duration(check.passive.window)),
        passive_count: Some(check.passive.count),
        passive_percent: Some(check.passive.percent),
        ..probe
    }
}

/// Services of whose backends so few are healthy that all are used.
pub(super) fn in_panic(snapshot: &Snapshot) -> Vec<String> {
    let panic = snapshot.services.iter().filter(|service| service.pool.condition == Condition::Panic);
    panic.map(|service| service.desired.name.to_string()).collect()
}

/// Backends by state.
pub(super) fn totals(snapshot: &Snapshot) -> BackendTotals {
    let mut totals = BackendTotals::default();
    for (_, backend) in snapshot.backends() {
        match backend.state {
            BackendState::Active => totals.active += 1,
            BackendState::Draining => totals.draining += 1,
            BackendState::Down => totals.down += 1,
            BackendState::Disabled => totals.disabled += 1,
            BackendState::Unused => {}
        }
    }
    totals
}

/// What a configuration holds.
pub(super) fn checked(config: &Draft) -> Checked {
    let backends = config.services.iter().map(|service| service.backends.len()).sum();
    Checked { services: config.services.len(), backends }
}

/// What was put right.
pub(super) fn repaired(counts: &DriftCounts) -> Repaired {
    let found = counts.iter().filter(|(_, _, count)| *count > 0);
    let elements = found.map(|(part, kind, count)| DriftCount {
        map: part.as_str().to_owned(),
        kind: kind.as_str().to_owned(),
        count,
    });
    Repaired { repaired: counts.total(), elements: elements.collect() }
}

/// Flows with the names of their services and backends.
pub(super) fn flows(snapshot: &Snapshot, list: &FlowList) -> Flows {
    let names = Names::of(snapshot);
    let flows = list.flows.iter().map(|record| flow(&names, record)).collect();
    Flows { flows, truncated: list.truncated }
}

fn flow(names: &Names<'_>, record: &FlowRecord) -> Flow {
    let (service, backend) = names.pair(record.service, record.backend);
    let protocol = Protocol::from_number(record.protocol);
    Flow {
        service,
        backend,
        protocol: protocol.map_or_else(|| record.protocol.to_string(), |protocol| protocol.to_string()),
        client: record.client,
        vip: record.vip,
        source: record.source,
        destination: record.destination,
        state: FlowState::from_number(record.state).map_or("unknown", FlowState::as_str).to_owned(),
        idle_seconds: record.idle_seconds,
    }
}

/// The largest groups of flows, with names.
pub(super) fn flow_top(snapshot: &Snapshot, by: TopBy, tally: &FlowTally, tables: &[FlowTable]) -> FlowTop {
    let names = Names::of(snapshot);
    let group = |share: &FlowShare| {
        let FlowShare { key, established, embryonic } = *share;
        let group = FlowGroup { established, embryonic, ..FlowGroup::default() };
        match key {
            FlowGroupKey::Clients(network) => {
                let whole = network.prefix_len() == network.max_prefix_len() && by == TopBy::Client;
                let client = if whole { network.addr().to_string() } else { network.to_string() };
                FlowGroup { client: Some(client), ..group }
            }
            FlowGroupKey::Service(service) => FlowGroup { service: Some(names.service(service)), ..group },
            FlowGroupKey::Backend(service, backend) => {
                let (service, backend) = names.pair(service, backend);
                FlowGroup { service: Some(service), backend: Some(backend), ..group }
            }
        }
    };
    let table_use = |table: &FlowTable| TableUse {
        table: table.name.to_owned(),
        entries: table.entries,
        capacity: table.capacity,
    };
    FlowTop {
        by: by.to_string(),
        established: tally.established,
        embryonic: tally.embryonic,
        groups: tally.groups,
        largest: tally.largest.iter().map(group).collect(),
        tables: tables.iter().map(table_use).collect(),
    }
}

/// What became of flows that were to end.
pub(super) fn killed(ended: &Ended, dry_run: bool) -> KilledFlows {
    KilledFlows { dry_run, reset: ended.reset, forgotten: ended.forgotten }
}

/// Numbers of flows; every configured backend, and those that are gone but still have flows.
pub(super) fn flow_totals(snapshot: &Snapshot, counts: &[FlowCount]) -> FlowTotals {
    let names = Names::of(snapshot);
    let mut counted: BTreeMap<u32, FlowCount> = BTreeMap::new();
    for count in counts {
        let entry =
            counted.entry(count.backend).or_insert(FlowCount { established: 0, embryonic: 0, ..*count });
        entry.established += count.established;
        entry.embryonic += count.embryonic;
    }
    let mut backends = Vec::new();
    let mut row = |service, backend, count: Option<FlowCount>| {
        let (established, embryonic) = count.map_or((0, 0), |count| (count.established, count.embryonic));
        backends.push(BackendFlows { service, backend, established, embryonic });
    };
    for (service, backend) in snapshot.backends() {
        row(service.desired.name.to_string(), backend.desired.name.to_string(), counted.remove(&backend.id));
    }
    for count in counted.into_values() {
        let (service, backend) = names.pair(count.service, count.backend);
        row(service, backend, Some(count));
    }
    let embryonic = backends.iter().map(|row| row.embryonic).sum();
    let established: u64 = backends.iter().map(|row| row.established).sum();
    FlowTotals { total: established + embryonic, embryonic, backends }
}

/// Figures of every configured service and backend, and of the interfaces.
pub(super) fn stats(snapshot: &Snapshot, counters: Counters) -> Stats {
    let by_service: BTreeMap<_, _> = counters.services.into_iter().collect();
    let by_backend: BTreeMap<_, _> = counters.backends.into_iter().collect();
    let signals: BTreeMap<_, _> = counters.signals.into_iter().collect();
    let services = snapshot.services.iter().map(|service| ServiceStats {
        service: service.desired.name.to_string(),
        traffic: by_service.get(&service.id).copied().unwrap_or_default(),
    });
    let backends = snapshot.backends().map(|(service, backend)| BackendStats {
        service: service.desired.name.to_string(),
        backend: backend.desired.name.to_string(),
        traffic: by_backend.get(&backend.id).copied().unwrap_or_default(),
        signals: signals.get(&backend.id).copied().unwrap_or_default(),
    });
    Stats { services: services.collect(), backends: backends.collect(), interfaces: counters.interfaces }
}

/// Every reason with its number of packets.
pub(super) fn drops(counts: &[(DropReason, u64)]) -> Vec<Drop> {
    let packets =
        |reason| counts.iter().filter(|(counted, _)| *counted == reason).map(|(_, packets)| packets).sum();
    DropReason::ALL.iter().map(|reason| drop_of(*reason, packets(*reason))).collect()
}

/// A reason with its number of packets.
pub(super) fn drop_of(reason: DropReason, packets: u64) -> Drop {
    let DropAdvice { causes, look, usual } = advice(reason);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Drop {
        reason: reason.as_str().to_owned(),
        packets,
        description: reason.description().to_owned(),
        usual,
        causes: texts(causes),
        look: texts(look),
    }
}

/// Names by id.
pub(super) struct Names<'a> {
    services: BTreeMap<u16, &'a ServiceView>,
    backends: BTreeMap<u32, &'a BackendView>,
}

impl<'a> Names<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            services: snapshot.services.iter().map(|service| (service.id, &**service)).collect(),
            backends: snapshot.backends().map(|(_, backend)| (backend.id, backend)).collect(),
        }
    }

    /// The name of a service; `#` and the id of one that is gone.
    pub(super) fn service(&self, service: u16) -> String {
        let known = self.services.get(&service);
        known.map_or_else(|| format!("#{service}"), |view| view.desired.name.to_string())
    }

    /// The names of a service and a backend, likewise.
    pub(super) fn pair(&self, service: u16, backend: u32) -> (String, String) {
        let known = self.backends.get(&backend);
        let name = known.map_or_else(|| format!("#{backend}"), |view| view.desired.name.to_string());
        (self.service(service), name)
    }
}
