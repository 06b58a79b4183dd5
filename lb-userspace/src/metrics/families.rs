//! The metrics: names, help texts, labels, and where their values come from.

use lb_common::abi::{DropReason, InterfaceCounters, TrafficCounters};

use super::page::{
    Kind::{Counter, Gauge},
    Page,
};
use super::{Observation, PoolSample, ServiceSample, TableSample};

/// Bytes of a sample and of the text around them, roughly.
const SAMPLE_BYTES: usize = 80;
const FIXED_BYTES: usize = 16 << 10;
/// Samples of a backend and of a service.
const SAMPLES: usize = 8;

/// The observation in Prometheus' text format.
#[must_use]
pub fn text(observation: &Observation) -> String {
    let owners: usize = observation.services.iter().map(|service| 1 + service.backends.len()).sum();
    let mut page = Page::with_capacity(owners * SAMPLES * SAMPLE_BYTES + FIXED_BYTES);
    backends(&mut page, &observation.services);
    page.family(Gauge, "lb_build_info", "1, labelled with the version of lbd.")
        .sample(&[("version", observation.version)], 1);
    drops(&mut page, &observation.drops);
    tables(&mut page, &observation.tables);
    interfaces(&mut page, observation);
    page.family(
        Counter,
        "lb_reconcile_errors_total",
        "How often the maps could not be brought to the desired state.",
    )
    .sample(&[], observation.reconcile_errors);
    services(&mut page, &observation.services);
    pools(&mut page, &observation.pools);
    page.into_text()
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

fn backends(page: &mut Page, services: &[ServiceSample]) {
    let all = || services.iter().flat_map(|service| service.backends.iter().map(move |b| (service, b)));
    for (name, help, values) in [PACKETS, BYTES] {
        let name = format!("lb_backend_{name}");
        let mut family = page.family(Counter, &name, help);
        for (service, backend) in all() {
            let [inward, outward] = values(&backend.traffic);
            for (direction, value) in [("in", inward), ("out", outward)] {
                let labels = [
                    ("backend", backend.name.as_str()),
                    ("direction", direction),
                    ("service", &service.name),
                ];
                family.sample(&labels, value);
            }
        }
    }
    let mut plain = |kind, name, help, value: fn(&super::BackendSample) -> u64| {
        let mut family = page.family(kind, name, help);
        for (service, backend) in all() {
            family.sample(&[("backend", &backend.name), ("service", &service.name)], value(backend));
        }
    };
    plain(Counter, "lb_backend_flows_total", FLOWS, |backend| backend.traffic.flows);
    plain(Gauge, "lb_backend_active_flows", ACTIVE_FLOWS, |backend| backend.active_flows);
    plain(Gauge, "lb_backend_up", "1 if the backend's health lets it take flows, else 0.", |backend| {
        backend.up.into()
    });
    plain(Gauge, "lb_backend_weight", "Configured weight of the backend.", |backend| backend.weight.into());
}

fn services(page: &mut Page, services: &[ServiceSample]) {
    for (name, help, values) in [PACKETS, BYTES] {
        let name = format!("lb_service_{name}");
        let mut family = page.family(Counter, &name, help);
        for service in services {
            let [inward, outward] = values(&service.traffic);
            for (direction, value) in [("in", inward), ("out", outward)] {
                family.sample(&[("direction", direction), ("service", &service.name)], value);
            }
        }
    }
    let mut family = page.family(Counter, "lb_service_flows_total", FLOWS);
    services.iter().for_each(|service| family.sample(&[("service", &service.name)], service.traffic.flows));
    let mut family = page.family(Gauge, "lb_service_active_flows", ACTIVE_FLOWS);
    services.iter().for_each(|service| family.sample(&[("service", &service.name)], service.active_flows));
}

fn interfaces(page: &mut Page, observation: &Observation) {
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
    for (name, help, values) in both {
        let mut family = page.family(Counter, name, help);
        for interface in &observation.interfaces {
            let [received, sent] = values(&interface.traffic);
            for (direction, value) in [("rx", received), ("tx", sent)] {
                family.sample(&[("direction", direction), ("interface", &interface.name)], value);
            }
        }
    }
    let name = "lb_interface_passed_packets_total";
    let mut family = page.family(Counter, name, "Frames handed to the host, untouched.");
    for interface in &observation.interfaces {
        family.sample(&[("interface", &interface.name)], interface.traffic.passed);
    }
    let mut family = page.family(Counter, "lb_interface_dropped_packets_total", "Frames dropped.");
    for interface in &observation.interfaces {
        family.sample(&[("interface", &interface.name)], interface.traffic.dropped);
    }
    let mut family = page.family(Gauge, "lb_xdp_mode", "1 for the mode the program is attached in.");
    for interface in &observation.interfaces {
        family.sample(&[("interface", &interface.name), ("mode", interface.mode)], 1);
    }
}

fn drops(page: &mut Page, drops: &[u64]) {
    let mut family = page.family(Counter, "lb_drops_total", "Packets dropped, by reason.");
    for reason in DropReason::ALL {
        let count = drops.get(*reason as usize).copied().unwrap_or_default();
        family.sample(&[("reason", reason.as_str())], count);
    }
}

fn tables(page: &mut Page, tables: &[TableSample]) {
    let mut family = page.family(Gauge, "lb_flow_table_capacity", "Most entries of a flow table.");
    tables.iter().for_each(|table| family.sample(&[("table", &table.name)], table.capacity));
    let mut family = page.family(Gauge, "lb_flow_table_entries", "Entries of a flow table, two for a flow.");
    tables.iter().for_each(|table| family.sample(&[("table", &table.name)], table.entries));
}

fn pools(page: &mut Page, pools: &[PoolSample]) {
    let mut plain = |name, help, value: fn(&PoolSample) -> u64| {
        let mut family = page.family(Gauge, name, help);
        for pool in pools {
            let PoolSample { service, backend, address, .. } = pool;
            family.sample(&[("address", address), ("backend", backend), ("service", service)], value(pool));
        }
    };
    plain("lb_snat_ports_in_use", "Ports of a SNAT address that are taken.", |pool| pool.in_use);
    plain("lb_snat_ports_capacity", "Ports of a SNAT address that there are.", |pool| pool.capacity);
}
