//! The metrics: names, help texts, labels, and where their values come from.

use lb_common::abi::{DropReason, TrafficCounters};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Result, core::Collector, proto::MetricFamily};

use super::{Observation, ServiceSample};

/// The families of one scrape, made anew each time: what is gone leaves no trace.
pub(super) struct Families {
    service: TrafficFamilies,
    backend: TrafficFamilies,
    backend_up: IntGaugeVec,
    backend_weight: IntGaugeVec,
    interface_packets: IntCounterVec,
    interface_bytes: IntCounterVec,
    interface_passed: IntCounterVec,
    interface_dropped: IntCounterVec,
    xdp_mode: IntGaugeVec,
    drops: IntCounterVec,
    table_entries: IntGaugeVec,
    table_capacity: IntGaugeVec,
    ports_in_use: IntGaugeVec,
    ports_capacity: IntGaugeVec,
    reconcile_errors: IntCounterVec,
    build_info: IntGaugeVec,
}

const BACKEND: &[&str] = &["service", "backend"];
const POOL: &[&str] = &["service", "backend", "address"];

impl Families {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            service: TrafficFamilies::new("service", &["service"])?,
            backend: TrafficFamilies::new("backend", BACKEND)?,
            backend_up: gauge(
                "lb_backend_up",
                "1 if the backend's health lets it take flows, else 0.",
                BACKEND,
            )?,
            backend_weight: gauge("lb_backend_weight", "Configured weight of the backend.", BACKEND)?,
            interface_packets: counter(
                "lb_interface_packets_total",
                "Frames that arrived (rx), and that the data path sent (tx).",
                &["interface", "direction"],
            )?,
            interface_bytes: counter(
                "lb_interface_bytes_total",
                "Bytes of frames that arrived (rx), and that the data path sent (tx).",
                &["interface", "direction"],
            )?,
            interface_passed: counter(
                "lb_interface_passed_packets_total",
                "Frames handed to the host, untouched.",
                &["interface"],
            )?,
            interface_dropped: counter(
                "lb_interface_dropped_packets_total",
                "Frames dropped.",
                &["interface"],
            )?,
            xdp_mode: gauge(
                "lb_xdp_mode",
                "1 for the mode the program is attached in.",
                &["interface", "mode"],
            )?,
            drops: counter("lb_drops_total", "Packets dropped, by reason.", &["reason"])?,
            table_entries: gauge(
                "lb_flow_table_entries",
                "Entries of a flow table, two for a flow.",
                &["table"],
            )?,
            table_capacity: gauge("lb_flow_table_capacity", "Most entries of a flow table.", &["table"])?,
            ports_in_use: gauge("lb_snat_ports_in_use", "Ports of a SNAT address that are taken.", POOL)?,
            ports_capacity: gauge("lb_snat_ports_capacity", "Ports of a SNAT address that there are.", POOL)?,
            reconcile_errors: counter(
                "lb_reconcile_errors_total",
                "How often the maps could not be brought to the desired state.",
                &[],
            )?,
            build_info: gauge("lb_build_info", "1, labelled with the version of lbd.", &["version"])?,
        })
    }

    pub(super) fn fill(&self, observation: &Observation) -> Result<()> {
        observation.services.iter().try_for_each(|service| self.fill_service(service))?;
        for interface in &observation.interfaces {
            let name = interface.name.as_str();
            let traffic = &interface.traffic;
            add(&self.interface_packets, &[name, "rx"], traffic.rx_packets)?;
            add(&self.interface_packets, &[name, "tx"], traffic.tx_packets)?;
            add(&self.interface_bytes, &[name, "rx"], traffic.rx_bytes)?;
            add(&self.interface_bytes, &[name, "tx"], traffic.tx_bytes)?;
            add(&self.interface_passed, &[name], traffic.passed)?;
            add(&self.interface_dropped, &[name], traffic.dropped)?;
            set(&self.xdp_mode, &[name, interface.mode], 1)?;
        }
        for reason in DropReason::ALL {
            let count = observation.drops.get(*reason as usize).copied().unwrap_or_default();
            add(&self.drops, &[reason.as_str()], count)?;
        }
        for table in &observation.tables {
            set(&self.table_entries, &[&table.name], table.entries)?;
            set(&self.table_capacity, &[&table.name], table.capacity)?;
        }
        for pool in &observation.pools {
            let labels = [pool.service.as_str(), &pool.backend, &pool.address];
            set(&self.ports_in_use, &labels, pool.in_use)?;
            set(&self.ports_capacity, &labels, pool.capacity)?;
        }
        add(&self.reconcile_errors, &[], observation.reconcile_errors)?;
        set(&self.build_info, &[observation.version], 1)
    }

    fn fill_service(&self, service: &ServiceSample) -> Result<()> {
        self.service.fill(&[&service.name], &service.traffic, service.active_flows)?;
        for backend in &service.backends {
            let labels = [service.name.as_str(), &backend.name];
            self.backend.fill(&labels, &backend.traffic, backend.active_flows)?;
            set(&self.backend_up, &labels, backend.up.into())?;
            set(&self.backend_weight, &labels, backend.weight.into())?;
        }
        Ok(())
    }

    pub(super) fn collect(&self) -> Vec<MetricFamily> {
        let families: [&dyn Collector; 14] = [
            &self.backend_up,
            &self.backend_weight,
            &self.interface_packets,
            &self.interface_bytes,
            &self.interface_passed,
            &self.interface_dropped,
            &self.xdp_mode,
            &self.drops,
            &self.table_entries,
            &self.table_capacity,
            &self.ports_in_use,
            &self.ports_capacity,
            &self.reconcile_errors,
            &self.build_info,
        ];
        let traffic = self.service.all().into_iter().chain(self.backend.all());
        traffic
            .chain(families)
            .flat_map(Collector::collect)
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

/// The metrics that services and backends both have.
struct TrafficFamilies {
    packets: IntCounterVec,
    bytes: IntCounterVec,
    flows: IntCounterVec,
    active_flows: IntGaugeVec,
}

impl TrafficFamilies {
    fn new(what: &str, labels: &[&str]) -> Result<Self> {
        let with_direction = [labels, &["direction"]].concat();
        Ok(Self {
            packets: counter(
                &format!("lb_{what}_packets_total"),
                "Packets from clients (in) and from backends (out).",
                &with_direction,
            )?,
            bytes: counter(
                &format!("lb_{what}_bytes_total"),
                "Bytes from clients (in) and from backends (out), without Ethernet headers.",
                &with_direction,
            )?,
            flows: counter(&format!("lb_{what}_flows_total"), "Flows begun.", labels)?,
            active_flows: gauge(&format!("lb_{what}_active_flows"), "Flows that live.", labels)?,
        })
    }

    fn fill(&self, labels: &[&str], traffic: &TrafficCounters, active_flows: u64) -> Result<()> {
        let (inward, outward) = ([labels, &["in"]].concat(), [labels, &["out"]].concat());
        add(&self.packets, &inward, traffic.packets_in)?;
        add(&self.packets, &outward, traffic.packets_out)?;
        add(&self.bytes, &inward, traffic.bytes_in)?;
        add(&self.bytes, &outward, traffic.bytes_out)?;
        add(&self.flows, labels, traffic.flows)?;
        set(&self.active_flows, labels, active_flows)
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.packets, &self.bytes, &self.flows, &self.active_flows]
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn add(family: &IntCounterVec, labels: &[&str], value: u64) -> Result<()> {
    family.get_metric_with_label_values(labels)?.inc_by(value);
    Ok(())
}

fn set(family: &IntGaugeVec, labels: &[&str], value: u64) -> Result<()> {
    family.get_metric_with_label_values(labels)?.set(i64::try_from(value).unwrap_or(i64::MAX));
    Ok(())
}
