//! How many flows and packets services let in, and what they refused.

use axum::{Json, extract::State};
use lb_common::abi::{Refusal, Refusals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{answer::Answer, data::DataSource, handlers::blocking, router::Api};

/// `GET /v1/limits`: a service with its limits, and the packets that it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceLimits {
    /// Its name.
    pub service: String,
    /// Most flows at once; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Flows that count towards that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Most flows that begin in a second; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_rate: Option<u32>,
    /// How many of them may begin at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_burst: Option<u32>,
    /// Most flows of one source that begin in a second; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_rate: Option<u32>,
    /// How many of them may begin at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_burst: Option<u32>,
    /// Most packets from clients in a second; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_rate: Option<u32>,
    /// How many of them may come at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_burst: Option<u32>,
    /// Most packets of one source in a second; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_rate: Option<u32>,
    /// How many of them may come at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_burst: Option<u32>,
    /// Most flows of one source at once; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_connections: Option<u32>,
    /// Most flows of one source at once that nobody answered yet; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_embryonic: Option<u32>,
    /// Bits of clients' addresses that are one source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_prefix: Option<u8>,
    /// Packets that were refused.
    pub refused: Refused,
}

/// Packets that were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The source is blocked for all services.
    pub source_blocked: u64,
    /// The service's list does not let the source in.
    pub source_denied: u64,
    /// Too many flows of the source.
    pub source_limited: u64,
    /// Too many flows of the service.
    pub service_limited: u64,
    /// The source has as many flows as it may.
    pub source_full: u64,
    /// The source has as many flows that nobody answered as it may.
    pub source_embryonic: u64,
    /// Too many packets of the source.
    pub source_packets: u64,
    /// Too many packets for the service.
    pub service_packets: u64,
}

impl From<Refusals> for Refused {
    fn from(refusals: Refusals) -> Self {
        Self {
            source_blocked: refusals.of(Refusal::Blocked),
            source_denied: refusals.of(Refusal::Denied),
            source_limited: refusals.of(Refusal::SourceLimited),
            service_limited: refusals.of(Refusal::ServiceLimited),
            source_full: refusals.of(Refusal::SourceFull),
            source_embryonic: refusals.of(Refusal::SourceEmbryonic),
            source_packets: refusals.of(Refusal::SourcePackets),
            service_packets: refusals.of(Refusal::ServicePackets),
        }
    }
}

pub(super) async fn list(State(api): State<Api>) -> Answer<Vec<ServiceLimits>> {
    let refusals = blocking(&api, DataSource::refusals).await?;
    let (snapshot, occupancy) = (api.control.snapshot(), api.data.occupancy());
    let shown = snapshot.services.iter().map(|view| {
        let (desired, rates) = (&view.desired, &view.desired.rates);
        let some = |number: u32| Some(number).filter(|number| *number > 0);
        let (flow_rate, source_flow_rate) = (some(rates.flow_rate), some(rates.source_flow_rate));
        let (packet_rate, source_packet_rate) = (some(rates.packet_rate), some(rates.source_packet_rate));
        let default_prefix = if desired.address.is_ipv4() { 32 } else { 64 };
        ServiceLimits {
            service: desired.name.to_string(),
            max_connections: some(desired.max_connections),
            connections: desired
                .is_limited()
                .then(|| occupancy.services.get(&view.id).copied().unwrap_or_default()),
            flow_rate,
            flow_burst: flow_rate.map(|_| rates.burst()),
            source_flow_rate,
            source_flow_burst: source_flow_rate.map(|_| rates.source_burst()),
            packet_rate,
            packet_burst: packet_rate.map(|_| rates.packet_burst()),
            source_packet_rate,
            source_packet_burst: source_packet_rate.map(|_| rates.source_packet_burst()),
            source_max_connections: some(rates.source_max_connections),
            source_max_embryonic: some(rates.source_max_embryonic),
            source_prefix: rates.has_sources().then(|| rates.source_prefix.unwrap_or(default_prefix)),
            refused: refusals.get(usize::from(view.id)).copied().unwrap_or_default().into(),
        }
    });
    Ok(Json(shown.collect()))
}
