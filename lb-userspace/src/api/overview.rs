//! `GET /v1/overview`: what a screen shows of `lbd`, read at one moment.

use std::collections::{BTreeSet, HashMap};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{
    answer::Answer,
    data::{Counters, DataError, DataSource, FlowCount},
    error::ApiError,
    extract::Params,
    handlers::{self, blocking},
    router::Api,
    traffic::{BackendFlows, Drop, Stats, Traffic},
    types::{Service, Status},
    view,
    vrrp::VirtualRouter,
};
use crate::{
    control::{ServiceView, Snapshot},
    model::Condition,
};
use lb_common::abi::{BackendState, DropReason};

/// Services shown if the client says nothing, and at most.
const SERVICES_DEFAULT: usize = 50;
const SERVICES_MAX: usize = 1000;
/// All counters are read for each answer: not for many at once.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Which services.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Part of the name of a service. Left out: any.
    matching: Option<String>,
    /// Most services; 50 if left out.
    #[schemars(range(max = SERVICES_MAX))]
    limit: Option<usize>,
    /// The service whose backends are wanted, by its name; empty: of none. Left out: of all that are shown.
    backends: Option<String>,
}

/// What `lbd` is doing, and its services with their figures: first those in trouble, then those with the most packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    /// Milliseconds since `lbd` started, at which the counters were read.
    pub milliseconds: u64,
    /// As of `GET /v1/status`; `flows` as of the last scan, which is about a second ago.
    pub status: Status,
    /// The services.
    pub services: Vec<Service>,
    /// How the backends of each of them do together, in the same order; also where `services` has none of them.
    #[serde(default)]
    pub pools: Vec<ServicePool>,
    /// How many more match.
    pub more: usize,
    /// Counters of these services, of their backends, and of the interfaces.
    pub stats: Stats,
    /// Counters of all services together.
    pub totals: Traffic,
    /// Flows of the backends, as of the last scan.
    pub flows: Vec<BackendFlows>,
    /// Reasons for which packets were dropped.
    pub drops: Vec<Drop>,
    /// All dropped packets.
    pub dropped: u64,
    /// The virtual routers.
    pub virtual_routers: Vec<VirtualRouter>,
}

/// How the backends of a service do together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePool {
    /// Name of the service.
    pub service: String,
    /// All its backends.
    pub backends: usize,
    /// Of them, those that are to take flows.
    pub wanted: usize,
    /// Of these, those that are healthy.
    pub healthy: usize,
    /// Flows with an answer, as of the last scan.
    pub established: u64,
    /// Flows without an answer yet, likewise.
    pub embryonic: u64,
}

/// What is read from the data path.
struct Read {
    milliseconds: u64,
    counters: Counters,
    drops: Vec<(DropReason, u64)>,
    flows: Vec<FlowCount>,
    routers: Vec<VirtualRouter>,
}

pub(super) async fn overview(
    State(api): State<Api>,
    Params(Wanted { matching, limit, backends }): Params<Wanted>,
) -> Answer<Overview> {
    let limit = limit.unwrap_or(SERVICES_DEFAULT);
    if limit > SERVICES_MAX {
        let message = format!("{limit} is too much; expected at most {SERVICES_MAX}");
        return Err(ApiError::invalid("limit", message));
    }
    let _turn = TURNS.acquire().await;
    let Read { milliseconds, counters, drops, flows, routers } = blocking(&api, read).await?;
    let flowing = flows.iter().map(|count| count.established + count.embryonic).sum();
    let status = handlers::describe(&api, flowing).await?;
    let snapshot = api.control.snapshot();
    let (shown, more) = select(&snapshot, &matching.unwrap_or_default(), limit, &counters);
    let moment = handlers::moment(&api, &snapshot);
    let names: BTreeSet<&str> = shown.iter().map(|service| service.desired.name.as_str()).collect();
    let has_backends = |name: &str| names.contains(name) && backends.as_ref().is_none_or(|one| one == name);
    let totals = sum(&counters);
    let mut stats = view::stats(&snapshot, counters);
    stats.services.retain(|row| names.contains(&*row.service));
    stats.backends.retain(|row| has_backends(&row.service));
    let mut flows = view::flow_totals(&snapshot, &flows).backends;
    let pools = pools(&shown, &flows);
    flows.retain(|row| has_backends(&row.service));
    let service = |view: &&ServiceView| {
        let mut service = view::service(view, &moment);
        if !has_backends(&service.name) {
            service.backends.clear();
        }
        service
    };
    Ok(Json(Overview {
        milliseconds,
        status,
        services: shown.iter().map(service).collect(),
        pools,
        more,
        stats,
        totals,
        flows,
        dropped: drops.iter().map(|(_, packets)| packets).sum(),
        drops: view::drops(&drops).into_iter().filter(|drop| drop.packets > 0).collect(),
        virtual_routers: routers,
    }))
}

fn read(data: &dyn DataSource) -> Result<Read, DataError> {
    Ok(Read {
        milliseconds: data.uptime().as_millis().try_into().unwrap_or(u64::MAX),
        counters: data.stats()?,
        drops: data.drops()?,
        flows: data.recent_flow_counts()?,
        routers: data.virtual_routers(),
    })
}

/// The services to show, and how many more there are.
fn select<'a>(
    snapshot: &'a Snapshot,
    matching: &str,
    limit: usize,
    counters: &Counters,
) -> (Vec<&'a ServiceView>, usize) {
    let packets: HashMap<u16, u64> =
        counters.services.iter().map(|(id, traffic)| (*id, traffic.packets_in)).collect();
    let services = snapshot.services.iter().map(|service| &**service);
    let mut found: Vec<&ServiceView> =
        services.filter(|service| service.desired.name.as_str().contains(matching)).collect();
    // Stable: the order of the configuration where nothing else decides.
    found.sort_by_key(|service| {
        let packets = packets.get(&service.id).copied().unwrap_or_default();
        (!is_in_trouble(service), std::cmp::Reverse(packets))
    });
    let more = found.len().saturating_sub(limit);
    found.truncate(limit);
    (found, more)
}

fn pools(shown: &[&ServiceView], flows: &[BackendFlows]) -> Vec<ServicePool> {
    let mut by_service: HashMap<&str, (u64, u64)> = HashMap::new();
    for row in flows {
        let (established, embryonic) = by_service.entry(&row.service).or_default();
        *established += row.established;
        *embryonic += row.embryonic;
    }
    let pool = |view: &&ServiceView| {
        let name = view.desired.name.as_str();
        let (established, embryonic) = by_service.get(name).copied().unwrap_or_default();
        ServicePool {
            service: name.to_owned(),
            backends: view.backends.len(),
            wanted: view.pool.wanted,
            healthy: view.pool.healthy,
            established,
            embryonic,
        }
    };
    shown.iter().map(pool).collect()
}

fn is_in_trouble(service: &ServiceView) -> bool {
    service.pool.condition != Condition::Normal
        || service.backends.iter().any(|backend| backend.state == BackendState::Down)
}

fn sum(counters: &Counters) -> Traffic {
    let mut sum = Traffic::default();
    for (_, traffic) in &counters.services {
        sum.packets_in += traffic.packets_in;
        sum.bytes_in += traffic.bytes_in;
        sum.packets_out += traffic.packets_out;
        sum.bytes_out += traffic.bytes_out;
        sum.flows += traffic.flows;
    }
    sum
}
