//! What the data path knows, for the API.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::abi::{
    BackendSignals, CaptureFilter, DropReason, InterfaceCounters, Latencies, Refusals, Signal,
    TrafficCounters,
};

use super::{
    Clock, Failure,
    attached::AttachedList,
    captures::Captures,
    explainer::Explainer,
    flows::LastReport,
    history::LastHour,
    replication::ReplicationBoard,
    suspects::KnownSuspects,
    vrrp::{RouterStatus, Routers, TrackedStatus},
};
use crate::{
    api::{
        self, CaptureAbout, CaptureUnderWay, Counters as CounterList, DataError, DataSource, Ended,
        Explained, FlowCount, FlowFilter, FlowList, FlowTable, FlowTally, GroupBy, InterfaceTraffic,
        Occupancy, PacketAt, Switch, Traffic,
    },
    capture::{CaptureRefused, Feed},
    control::Error,
    flows::{self, CookieUse, Counts, FlowMaps, Owner},
    health::Suspects,
    history::Rate,
    maps::{BackendLatencies, Counters, Signals},
    model::{ServiceName, Timestamp},
    plan::FlowGroup,
    sys::bpf::OpenProgram,
    vrrp::{Impact, Reading},
};

/// Reads the maps when it is asked.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) clock: Clock,
    pub(super) started: Duration,
    pub(super) routers: Routers,
    pub(super) replicated: ReplicationBoard,
    pub(super) attached: AttachedList,
    pub(super) flows: Arc<FlowMaps>,
    pub(super) counters: Counters,
    pub(super) last: LastReport,
    pub(super) signals: Arc<Signals>,
    pub(super) latencies: BackendLatencies,
    pub(super) program: OpenProgram,
    pub(super) suspects: KnownSuspects,
    pub(super) history: LastHour,
    explainer: Explainer,
    pub(super) captures: Captures,
}

impl Data {
    /// Opens the maps pinned in `tables`. The daemon started at `started`.
    pub(super) fn open(
        tables: &Path,
        clock: Clock,
        started: Duration,
        routers: Routers,
        explainer: Explainer,
        program: OpenProgram,
    ) -> Result<Self, Failure> {
        Ok(Self {
            clock,
            started,
            routers,
            replicated: ReplicationBoard::default(),
            attached: explainer.attached.clone(),
            captures: Captures::default(),
            explainer,
            flows: Arc::new(FlowMaps::open(tables).map_err(Failure::system("open the flow tables"))?),
            counters: Counters::open(tables)?,
            last: LastReport::default(),
            signals: Arc::new(Signals::open(tables)?),
            latencies: BackendLatencies::open(tables)?,
            program,
            suspects: KnownSuspects::default(),
            history: LastHour::default(),
        })
    }
}

impl DataSource for Data {
    fn now(&self) -> Instant {
        self.clock.instant()
    }

    fn suspects(&self) -> Arc<Suspects> {
        self.suspects.latest()
    }

    fn latencies(&self, backend: u32) -> Latencies {
        self.latencies.of(backend)
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

    fn flow_top(&self, by: GroupBy, filter: &FlowFilter) -> Result<FlowTally, DataError> {
        flows::top(&self.flows, self.clock.tick(), by, filter).map_err(|error| unreadable(&error))
    }

    fn wall(&self) -> Timestamp {
        self.clock.moment().wall
    }

    fn kill_flows(&self, filter: &FlowFilter, dry_run: bool) -> Result<Ended, DataError> {
        flows::kill(&self.flows, self.clock.tick(), filter, dry_run)
            .map_err(|error| DataError(format!("cannot change the flow tables: {error}")))
    }

    fn explain(&self, packet: &PacketAt) -> Result<Explained, DataError> {
        self.explainer.explain(&self.flows, packet, self.clock.tick()).map_err(DataError)
    }

    fn capture(&self, wanted: &CaptureFilter, about: CaptureAbout) -> Result<Feed, CaptureRefused> {
        self.captures.begin(wanted, about)
    }

    fn captures(&self) -> Vec<CaptureUnderWay> {
        self.captures.list()
    }

    fn stop_capture(&self, number: u64) -> bool {
        self.captures.stop(number)
    }

    fn now_of_packets(&self) -> Duration {
        self.clock.now()
    }

    fn wall_clock_ahead(&self) -> Duration {
        self.clock.wall_clock_ahead()
    }

    fn flow_tables(&self) -> Vec<FlowTable> {
        let report = self.last.latest();
        let shown = report.tables.iter().map(|table| FlowTable {
            name: table.name,
            entries: table.entries,
            capacity: table.capacity.into(),
        });
        shown.collect()
    }

    fn flow_counts(&self) -> Result<Vec<FlowCount>, DataError> {
        let counts = flows::count(&self.flows, self.clock.tick()).map_err(|error| unreadable(&error))?;
        Ok(counts.iter().map(|(owner, counts)| flow_count(*owner, counts)).collect())
    }

    fn is_out_of_reach(&self) -> bool {
        self.attached.is_out_of_reach()
    }

    fn recent_flow_counts(&self) -> Result<Vec<FlowCount>, DataError> {
        Ok(self.last.latest().flows.iter().map(|(owner, counts)| flow_count(*owner, counts)).collect())
    }

    fn history(&self, service: Option<&ServiceName>) -> Vec<Rate> {
        self.history.rates(service)
    }

    fn flow_groups(&self, full_nat: &BTreeSet<u16>) -> Result<Vec<FlowGroup>, DataError> {
        flows::groups(&self.flows, self.clock.tick(), full_nat).map_err(|error| unreadable(&error))
    }

    fn stats(&self) -> Result<CounterList, DataError> {
        let totals = self.counters.read().map_err(|error| unreadable(&error))?;
        let counted = |traffic: &TrafficCounters| *traffic != TrafficCounters::default();
        let services = (0..).zip(&totals.services).filter(|(_, traffic)| counted(traffic));
        let backends = (0..).zip(&totals.backends).filter(|(_, traffic)| counted(traffic));
        let signals = (0..totals.backends.len() as u32).map(|id| (id, self.signals.of(id)));
        let signals = signals.filter(|(_, signals)| *signals != BackendSignals::default());
        let attached = self.attached.snapshot().into_iter();
        let interfaces = attached.map(|attached| {
            interface_traffic(attached.name, attached.ifindex, totals.interface(attached.ifindex))
        });
        Ok(CounterList {
            services: services.map(|(id, traffic)| (id, traffic_of(*traffic))).collect(),
            backends: backends.map(|(id, traffic)| (id, traffic_of(*traffic))).collect(),
            signals: signals.map(|(id, signals)| (id, signals_of(&signals))).collect(),
            interfaces: interfaces.collect(),
        })
    }

    fn refusals(&self) -> Result<Vec<Refusals>, DataError> {
        self.counters.read_refusals().map_err(|error| unreadable(&error))
    }

    fn occupancy(&self) -> Occupancy {
        let report = self.last.latest();
        let cookies = report.cookies.iter().map(|(id, cookies)| (*id, cookies_of(*cookies))).collect();
        Occupancy { clients: report.affinities.clone(), cookies, ..self.flows.occupancy() }
    }

    fn virtual_routers(&self) -> Vec<api::VirtualRouter> {
        self.routers.snapshot().routers.into_iter().map(virtual_router).collect()
    }

    fn switch_over(&self, router: Option<String>, switch: Switch) -> Result<Vec<api::VirtualRouter>, Error> {
        Ok(self.routers.switch_over(router, switch)?.into_iter().map(virtual_router).collect())
    }

    fn replication(&self) -> api::Replication {
        self.replicated.shown()
    }

    fn drops(&self) -> Result<Vec<(DropReason, u64)>, DataError> {
        let totals = self.counters.read().map_err(|error| unreadable(&error))?;
        Ok(DropReason::ALL.iter().map(|reason| (*reason, totals.drops(*reason))).collect())
    }
}

fn flow_count((service, backend): Owner, counts: &Counts) -> FlowCount {
    FlowCount { service, backend, established: counts.established, embryonic: counts.embryonic }
}

fn virtual_router(status: RouterStatus) -> api::VirtualRouter {
    let RouterStatus { router, state, priority, tracked, active, switchover, is_about_to_claim, .. } = status;
    api::VirtualRouter {
        name: router.name.to_string(),
        interface: router.interface.to_string(),
        virtual_router_id: router.virtual_router_id,
        state: state.to_string(),
        priority,
        configured_priority: router.priority,
        tracked: tracked.into_iter().map(shown).collect(),
        virtual_addresses: router.virtual_addresses.iter().map(ToString::to_string).collect(),
        virtual_mac: router.mac().map(|mac| mac.to_string()),
        virtual_interface: status.device,
        active_router: active.map(|peer| peer.address.to_string()),
        active_priority: active.map(|peer| peer.priority.number()),
        taking_over: is_about_to_claim,
        switchover: switchover.map(|switchover| switchover.to_string()),
        transitions: status.transitions,
        notify_failures: status.hook_failures,
        rejected: status.rejected.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
    }
}

/// Something tracked, as the API shows it.
pub(super) fn shown(tracked: TrackedStatus) -> api::Tracked {
    let TrackedStatus { name, reading, held, impact } = tracked;
    let (state, reason, value) = match reading {
        None => ("unknown", None, None),
        Some(Reading::There) => ("up", None, None),
        Some(Reading::Missing(reason)) => ("down", Some(reason.into_owned()), None),
        Some(Reading::Number(number)) => ("up", None, Some(number)),
    };
    let priority = match impact {
        Impact::Fault => 0,
        Impact::Priority(amount) => amount,
    };
    api::Tracked {
        name,
        state: state.to_owned(),
        reason,
        value,
        held,
        fault: impact == Impact::Fault,
        priority,
    }
}

fn unreadable(error: &dyn std::error::Error) -> DataError {
    DataError(format!("cannot read the maps: {error}"))
}

fn traffic_of(counters: TrafficCounters) -> Traffic {
    let TrafficCounters { packets_in, bytes_in, packets_out, bytes_out, flows } = counters;
    Traffic { packets_in, bytes_in, packets_out, bytes_out, flows }
}

fn cookies_of(cookies: CookieUse) -> api::CookieUse {
    let CookieUse { active, half_open, sent, accepted, invalid } = cookies;
    api::CookieUse { active, half_open, sent, accepted, invalid }
}

fn signals_of(signals: &BackendSignals) -> api::Signals {
    api::Signals {
        syns: signals.of(Signal::Syn),
        syn_acks: signals.of(Signal::SynAck),
        syn_resets: signals.of(Signal::Reset),
        unreachable: signals.of(Signal::Unreachable),
        unreachable_by_routers: signals.of(Signal::RouterUnreachable),
    }
}

fn interface_traffic(name: String, ifindex: u32, counters: InterfaceCounters) -> InterfaceTraffic {
    let InterfaceCounters { rx_packets, rx_bytes, tx_packets, tx_bytes, passed, dropped } = counters;
    InterfaceTraffic { name, ifindex, rx_packets, rx_bytes, tx_packets, tx_bytes, passed, dropped }
}
