//! What the data path knows, for the API.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::abi::{DropReason, InterfaceCounters, TrafficCounters};

use super::{
    Clock,
    attached::AttachedList,
    flows::LastReport,
    vrrp::{RouterStatus, StatusBoard},
};
use crate::{
    api::{
        self, Counters as CounterList, DataError, DataSource, FlowCount, FlowFilter, FlowList,
        InterfaceTraffic, Occupancy, Traffic,
    },
    flows::{self, FlowMaps},
    maps::Counters,
    plan::FlowGroup,
};

/// Reads the maps when it is asked.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) clock: Clock,
    pub(super) started: Duration,
    pub(super) routers: StatusBoard,
    pub(super) attached: AttachedList,
    pub(super) flows: Arc<FlowMaps>,
    pub(super) counters: Counters,
    pub(super) last: LastReport,
}

impl DataSource for Data {
    fn now(&self) -> Instant {
        self.clock.instant()
    }

    fn uptime(&self) -> Duration {
        self.clock.now().saturating_sub(self.started)
    }

    fn interfaces(&self) -> Result<Vec<api::Interface>, DataError> {
        let attached = self.attached.snapshot().into_iter();
        let shown = attached.map(|attached| api::Interface {
            name: attached.name,
            ifindex: attached.ifindex,
            mode: attached.mode.as_str().to_owned(),
        });
        Ok(shown.collect())
    }

    fn flows(&self, filter: &FlowFilter) -> Result<FlowList, DataError> {
        flows::list(&self.flows, self.clock.tick(), filter).map_err(|error| unreadable(&error))
    }

    fn flow_counts(&self) -> Result<Vec<FlowCount>, DataError> {
        let counts = flows::count(&self.flows, self.clock.tick()).map_err(|error| unreadable(&error))?;
        let shown = counts.into_iter().map(|((service, backend), counts)| FlowCount {
            service,
            backend,
            established: counts.established,
            embryonic: counts.embryonic,
        });
        Ok(shown.collect())
    }

    fn flow_groups(&self, full_nat: &BTreeSet<u16>) -> Result<Vec<FlowGroup>, DataError> {
        flows::groups(&self.flows, self.clock.tick(), full_nat).map_err(|error| unreadable(&error))
    }

    fn stats(&self) -> Result<CounterList, DataError> {
        let totals = self.counters.read().map_err(|error| unreadable(&error))?;
        let counted = |traffic: &TrafficCounters| *traffic != TrafficCounters::default();
        let services = (0..).zip(&totals.services).filter(|(_, traffic)| counted(traffic));
        let backends = (0..).zip(&totals.backends).filter(|(_, traffic)| counted(traffic));
        let attached = self.attached.snapshot().into_iter();
        let interfaces = attached.map(|attached| {
            interface_traffic(attached.name, attached.ifindex, totals.interface(attached.ifindex))
        });
        Ok(CounterList {
            services: services.map(|(id, traffic)| (id, traffic_of(*traffic))).collect(),
            backends: backends.map(|(id, traffic)| (id, traffic_of(*traffic))).collect(),
            interfaces: interfaces.collect(),
        })
    }

    fn occupancy(&self) -> Occupancy {
        Occupancy { clients: self.last.latest().affinities.clone(), ..self.flows.occupancy() }
    }

    fn virtual_routers(&self) -> Vec<api::VirtualRouter> {
        self.routers.snapshot().into_iter().map(virtual_router).collect()
    }

    fn drops(&self) -> Result<Vec<(DropReason, u64)>, DataError> {
        let totals = self.counters.read().map_err(|error| unreadable(&error))?;
        Ok(DropReason::ALL.iter().map(|reason| (*reason, totals.drops(*reason))).collect())
    }
}

fn virtual_router(status: RouterStatus) -> api::VirtualRouter {
    let RouterStatus { router, state, priority, active, transitions, rejected } = status;
    api::VirtualRouter {
        name: router.name.to_string(),
        interface: router.interface.to_string(),
        virtual_router_id: router.virtual_router_id,
        state: state.to_string(),
        priority,
        virtual_addresses: router.virtual_addresses.iter().map(ToString::to_string).collect(),
        active_router: active.map(|peer| peer.address.to_string()),
        active_priority: active.map(|peer| peer.priority.number()),
        transitions,
        rejected: rejected.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
    }
}

fn unreadable(error: &dyn std::error::Error) -> DataError {
    DataError(format!("cannot read the maps: {error}"))
}

fn traffic_of(counters: TrafficCounters) -> Traffic {
    let TrafficCounters { packets_in, bytes_in, packets_out, bytes_out, flows } = counters;
    Traffic { packets_in, bytes_in, packets_out, bytes_out, flows }
}

fn interface_traffic(name: String, ifindex: u32, counters: InterfaceCounters) -> InterfaceTraffic {
    let InterfaceCounters { rx_packets, rx_bytes, tx_packets, tx_bytes, passed, dropped } = counters;
    InterfaceTraffic { name, ifindex, rx_packets, rx_bytes, tx_packets, tx_bytes, passed, dropped }
}
