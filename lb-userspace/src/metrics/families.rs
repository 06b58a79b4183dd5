//! The metrics: names, help texts, labels, and where their values come from.

use lb_common::abi::{DropReason, InterfaceCounters, Refusal, Signal, TrafficCounters};
use prometheus::Result;

use super::latency;
use super::page::{Page, Samples};
use super::replication::replication;
use super::{program, routers};
use crate::reconcile::DriftCounts;

use super::{BackendSample, InterfaceSample, Observation, PoolSample, ServiceSample, TableSample};
use crate::events::{EventCounts, Topic};
use crate::model::{Condition, Health, Keyword as _, Standing};

/// Bytes of a sample and of the text around them, roughly.
const SAMPLE_BYTES: usize = 80;
const FIXED_BYTES: usize = 16 << 10;
/// Samples of a backend and of a service.
const SAMPLES: usize = 22;

/// The observation in Prometheus' text format. Prometheus itself rounds values beyond 2^53.
///
/// # Errors
/// The encoder refuses a family, which would be a defect.
pub fn text(observation: &Observation) -> Result<String> {
    let owners: usize = observation.services.iter().map(|service| 1 + service.backends.len()).sum();
    let mut page = Page::with_capacity(owners * SAMPLES * SAMPLE_BYTES + FIXED_BYTES);
    backends(&mut page, &observation.services)?;
    Samples::new([((), [("version", observation.version)])]).write(
        &mut page,
        "lb_build_info",
        "1, labelled with the version of lbd.",
        |()| 1,
    )?;
    drops(&mut page, &observation.drops)?;
    tables(&mut page, &observation.tables)?;
    program::write(&mut page, observation.program.as_ref())?;
    interfaces(&mut page, &observation.interfaces)?;
    Samples::new([(observation.reconcile_errors, [])]).write(
        &mut page,
        "lb_reconcile_errors_total",
        "How often the maps could not be brought to the desired state.",
        |errors| *errors,
    )?;
    Samples::new([(observation.pins_in_reach, [])]).write(
        &mut page,
        "lb_pins_in_reach",
        "1 if maps, programs and links are pinned where they are looked for; 0: forwarding ends with lbd.",
        |in_reach| (*in_reach).into(),
    )?;
    drift(&mut page, &observation.drift)?;
    let help = "Captures under way: the packets that they look at take longer.";
    Samples::new([(observation.captures, [])]).write(&mut page, "lb_captures", help, |count| *count)?;
    events(&mut page, &observation.events)?;
    services(&mut page, &observation.services)?;
    limits(&mut page, &observation.services)?;
    latency::write(&mut page, &observation.services, observation.latency)?;
    admission(&mut page, observation)?;
    pools(&mut page, &observation.pools)?;
    routers::write(&mut page, observation)?;
    replication(&mut page, observation.replication.as_ref())?;
    Ok(page.into_text())
}

/// A metric of [`TrafficCounters`] with its two directions.
type Directions = (&'static str, &'static str, fn(&TrafficCounters) -> [u64; 2]);

const PACKETS: Directions =
    ("packets_total", "Packets from clients (in) and from backends (out).", |traffic| {
        [traffic.packets_in, traffic.packets_out]
    });
const BYTES: Directions = (
    "bytes_total",
    "Bytes from clients (in) and from backends (out), without Ethernet headers.",
    |traffic| [traffic.bytes_in, traffic.bytes_out],
);
const FLOWS: &str = "Flows begun.";
const ACTIVE_FLOWS: &str = "Flows that live.";

/// Metrics of the signals without a label of their own.
const SIGNALS: [(&str, &str, Signal); 3] = [
    (
        "lb_backend_syns_total",
        "SYNs sent to the backend before it answered the connection; repeated ones count again.",
        Signal::Syn,
    ),
    ("lb_backend_syn_acks_total", "Connections that the backend answered with a SYN-ACK.", Signal::SynAck),
    ("lb_backend_syn_resets_total", "Connections that the backend refused with a RST.", Signal::Reset),
];

fn backends(page: &mut Page, services: &[ServiceSample]) -> Result<()> {
    let all = || services.iter().flat_map(|service| service.backends.iter().map(move |b| (service, b)));
    let directed = Samples::new(all().flat_map(|(service, backend)| {
        let labels =
            |direction| [("backend", &*backend.name), ("direction", direction), ("service", &*service.name)];
        [((&backend.traffic, 0), labels("in")), ((&backend.traffic, 1), labels("out"))]
    }));
    for (name, help, values) in [PACKETS, BYTES] {
        let value = |(traffic, direction): &(&TrafficCounters, usize)| values(traffic)[*direction];
        directed.write(page, &format!("lb_backend_{name}"), help, value)?;
    }
    // Its memory is used again.
    drop(directed);
    let plain = Samples::new(
        all().map(|(service, backend)| (backend, [("backend", &*backend.name), ("service", &*service.name)])),
    );
    plain.write(page, "lb_backend_flows_total", FLOWS, |backend| backend.traffic.flows)?;
    plain.write(page, "lb_backend_active_flows", ACTIVE_FLOWS, |backend| backend.active_flows)?;
    let help = "1 if the backend's health lets it take flows, else 0.";
    plain.write(page, "lb_backend_up", help, |backend| backend.up.into())?;
    let help = "Configured weight of the backend.";
    plain.write(page, "lb_backend_weight", help, |backend| backend.weight.into())?;
    let help =
        "Present weight of the backend: less than configured during a slow start, 0 if it takes no flows.";
    plain.write(page, "lb_backend_effective_weight", help, |backend| backend.effective_weight.into())?;
    let help = "How often the backend's health changed.";
    plain.write(page, "lb_backend_health_transitions_total", help, |backend| backend.transitions)?;
    let help = "1 if the backend is taken out because it is unhealthy, else 0.";
    let is = |standing| move |backend: &&BackendSample| (backend.standing == standing).into();
    plain.write(page, "lb_backend_ejected", help, is(Standing::Ejected))?;
    let help = "1 if the backend is unhealthy and takes flows, as no more may be taken out or too few are healthy, else 0.";
    let forced =
        |backend: &&BackendSample| matches!(backend.standing, Standing::Kept | Standing::Panic).into();
    plain.write(page, "lb_backend_forced", help, forced)?;
    let help = "1 if the backend is held down because it went up and down too often, else 0.";
    plain.write(page, "lb_backend_held_down", help, |backend| backend.held.into())?;
    let help = "1 if the backend's checks came to a result, else 0 (not checked, or not long enough).";
    plain
        .write(page, "lb_backend_health_known", help, |backend| (backend.health != Health::Unknown).into())?;
    let help = "How often clients' connections made the backend suspect, so that it was checked at once.";
    plain.write(page, "lb_backend_suspects_total", help, |backend| backend.suspects)?;
    for (name, help, signal) in SIGNALS {
        plain.write(page, name, help, |backend| backend.signals.of(signal))?;
    }
    drop(plain);
    let unreachable = Samples::new(all().flat_map(|(service, backend)| {
        let labels = |source| [("backend", &*backend.name), ("service", &*service.name), ("source", source)];
        let count = |signal| backend.signals.of(signal);
        [
            (count(Signal::Unreachable), labels("backend")),
            (count(Signal::RouterUnreachable), labels("router")),
        ]
    }));
    let help = "ICMP errors that say that the backend cannot be reached, of its own or of a router.";
    unreachable.write(page, "lb_backend_unreachable_total", help, |count| *count)
}

fn services(page: &mut Page, services: &[ServiceSample]) -> Result<()> {
    let directed = Samples::new(services.iter().flat_map(|service| {
        let labels = |direction| [("direction", direction), ("service", &*service.name)];
        [((&service.traffic, 0), labels("in")), ((&service.traffic, 1), labels("out"))]
    }));
    for (name, help, values) in [PACKETS, BYTES] {
        let value = |(traffic, direction): &(&TrafficCounters, usize)| values(traffic)[*direction];
        directed.write(page, &format!("lb_service_{name}"), help, value)?;
    }
    let plain = Samples::new(services.iter().map(|service| (service, [("service", &*service.name)])));
    plain.write(page, "lb_service_flows_total", FLOWS, |service| service.traffic.flows)?;
    plain.write(page, "lb_service_active_flows", ACTIVE_FLOWS, |service| service.active_flows)?;
    let help = "Backends that are to take flows and are healthy, backups included.";
    plain.write(page, "lb_service_healthy_backends", help, |service| service.healthy)?;
    let is = |condition| move |service: &&ServiceSample| (service.condition == condition).into();
    let help = "1 if so few backends are healthy that all are used, else 0.";
    plain.write(page, "lb_service_panic", help, is(Condition::Panic))?;
    let help = "1 if backups take flows, as too few other backends are healthy, else 0.";
    plain.write(page, "lb_service_backups_in_use", help, is(Condition::Backup))
}

/// Limits of connections, and affinity: only of those that have them.
fn limits(page: &mut Page, services: &[ServiceSample]) -> Result<()> {
    const IN_USE: &str = "Flows that count towards the limits of connections.";
    const LIMIT: &str = "Most flows at once.";
    let backends = services.iter().flat_map(|service| {
        let labels = |backend| [("backend", backend), ("service", &*service.name)];
        service.backends.iter().map(move |backend| (backend, labels(&*backend.name)))
    });
    let limited = backends.filter_map(|(backend, labels)| Some(((backend, backend.connections?), labels)));
    Samples::new(limited).write(page, "lb_backend_connections", IN_USE, |(_, connections)| *connections)?;
    let backends = services.iter().flat_map(|service| {
        let labels = |backend| [("backend", backend), ("service", &*service.name)];
        service.backends.iter().map(move |backend| (backend.max_connections, labels(&*backend.name)))
    });
    let limits = backends.filter(|(limit, _)| *limit > 0);
    Samples::new(limits).write(page, "lb_backend_connections_limit", LIMIT, |limit| u64::from(*limit))?;

    let all = || services.iter().map(|service| (service, [("service", &*service.name)]));
    let limited = all().filter_map(|(service, labels)| Some((service.connections?, labels)));
    Samples::new(limited).write(page, "lb_service_connections", IN_USE, |connections| *connections)?;
    let limits = all().filter(|(service, _)| service.max_connections > 0);
    let limit = |service: &&ServiceSample| u64::from(service.max_connections);
    Samples::new(limits).write(page, "lb_service_connections_limit", LIMIT, limit)?;
    let help = "Clients whose backend is remembered.";
    let clients = all().filter_map(|(service, labels)| Some((service.clients?, labels)));
    Samples::new(clients).write(page, "lb_service_affinity_clients", help, |clients| *clients)
}

fn admission(page: &mut Page, observation: &Observation) -> Result<()> {
    let counts = observation.services.iter().flat_map(|service| {
        Refusal::ALL.map(|refusal| {
            let labels = [("reason", refusal.reason().as_str()), ("service", &*service.name)];
            (service.refusals.of(refusal), labels)
        })
    });
    let help = "Packets that the service refused, by reason.";
    Samples::new(counts).write(page, "lb_service_refused_total", help, |count| *count)?;
    let with = || {
        let all = observation.services.iter();
        all.filter_map(|service| Some((service.cookies?, [("service", &*service.name)])))
    };
    let help = "1 if the service's SYNs are answered by cookies, else 0.";
    Samples::new(with())
        .write(page, "lb_service_syn_cookies_active", help, |cookies| cookies.active.into())?;
    let help = "Half-open connections, SYNs that were answered by cookies included.";
    Samples::new(with()).write(page, "lb_service_half_open", help, |cookies| cookies.half_open.into())?;
    let counts = with().flat_map(|(cookies, [service])| {
        let counts = [("accepted", cookies.accepted), ("invalid", cookies.invalid), ("sent", cookies.sent)];
        counts.map(|(result, count)| (count, [("result", result), service]))
    });
    let help = "SYN cookies that were sent, came back, and ACKs without a flow that brought no valid one.";
    Samples::new(counts).write(page, "lb_service_syn_cookies_total", help, |count| *count)?;
    let help = "Prefixes that are blocked for all services by request.";
    Samples::new([((), [])])
        .write(page, "lb_blocked_prefixes", help, |()| observation.blocked_prefixes as u64)
}

fn interfaces(page: &mut Page, interfaces: &[InterfaceSample]) -> Result<()> {
    type Rates = (&'static str, &'static str, fn(&InterfaceCounters) -> [u64; 2]);
    let both: [Rates; 2] = [
        (
            "lb_interface_packets_total",
            "Frames that arrived (rx), and that the data path sent (tx).",
            |traffic| [traffic.rx_packets, traffic.tx_packets],
        ),
        (
            "lb_interface_bytes_total",
            "Bytes of frames that arrived (rx), and that the data path sent (tx).",
            |traffic| [traffic.rx_bytes, traffic.tx_bytes],
        ),
    ];
    let directed = Samples::new(interfaces.iter().flat_map(|interface| {
        let labels = |direction| [("direction", direction), ("interface", &*interface.name)];
        [((&interface.traffic, 0), labels("rx")), ((&interface.traffic, 1), labels("tx"))]
    }));
    for (name, help, values) in both {
        let value = |(traffic, direction): &(&InterfaceCounters, usize)| values(traffic)[*direction];
        directed.write(page, name, help, value)?;
    }
    let plain = Samples::new(interfaces.iter().map(|one| (&one.traffic, [("interface", &*one.name)])));
    let help = "Frames handed to the host, untouched.";
    plain.write(page, "lb_interface_passed_packets_total", help, |traffic| traffic.passed)?;
    plain.write(page, "lb_interface_dropped_packets_total", "Frames dropped.", |traffic| traffic.dropped)?;
    let modes = interfaces.iter().map(|one| ((), [("interface", &*one.name), ("mode", one.mode)]));
    Samples::new(modes).write(page, "lb_xdp_mode", "1 for the mode the program is attached in.", |()| 1)
}

fn drops(page: &mut Page, drops: &[u64]) -> Result<()> {
    let counts = DropReason::ALL.iter().map(|reason| {
        let count = drops.get(*reason as usize).copied().unwrap_or_default();
        (count, [("reason", reason.as_str())])
    });
    Samples::new(counts).write(page, "lb_drops_total", "Packets dropped, by reason.", |count| *count)
}

fn drift(page: &mut Page, drift: &DriftCounts) -> Result<()> {
    let counts =
        drift.iter().map(|(part, kind, count)| (count, [("kind", kind.as_str()), ("map", part.as_str())]));
    let help = "Elements of maps that somebody else changed and that were put right.";
    Samples::new(counts).write(page, "lb_drift_repaired_total", help, |count| *count)
}

fn events(page: &mut Page, counts: &EventCounts) -> Result<()> {
    let topics =
        Topic::ALL.iter().map(|topic| (counts.published[*topic as usize], [("topic", topic.as_str())]));
    Samples::new(topics)
        .write(page, "lb_events_total", "Events that were told, by topic.", |count| *count)?;
    let whole = Samples::new([((), [])]);
    let help = "Events that subscribers lost because they were too slow.";
    whole.write(page, "lb_events_lost_total", help, |()| counts.lost)?;
    let help = "Streams of events that are open.";
    whole.write(page, "lb_event_subscribers", help, |()| counts.subscriptions as u64)
}

fn tables(page: &mut Page, tables: &[TableSample]) -> Result<()> {
    let samples = Samples::new(tables.iter().map(|table| (table, [("table", &*table.name)])));
    let help = "Most entries of a flow table.";
    samples.write(page, "lb_flow_table_capacity", help, |table| table.capacity)?;
    let help = "Entries of a flow table, two for a flow.";
    samples.write(page, "lb_flow_table_entries", help, |table| table.entries)
}

fn pools(page: &mut Page, pools: &[PoolSample]) -> Result<()> {
    let samples = Samples::new(pools.iter().map(|pool| {
        let PoolSample { service, backend, address, .. } = pool;
        (pool, [("address", &**address), ("backend", &**backend), ("service", &**service)])
    }));
    let help = "Ports of a SNAT address that are taken.";
    samples.write(page, "lb_snat_ports_in_use", help, |pool| pool.in_use)?;
    let help = "Ports of a SNAT address that there are.";
    samples.write(page, "lb_snat_ports_capacity", help, |pool| pool.capacity)
}
