//! What the API shows of the replication of flows.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{answer::Answer, data::DataSource, handlers::blocking, router::Api};

/// `GET /v1/replication`. Counts are since `lbd` started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replication {
    /// `off`: it is not configured; `disconnected`: the other machine is not heard; `syncing`: this machine does not have all its flows;
    /// `synced`: it has them.
    pub state: String,
    /// The other machine's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether the other machine has all flows of this one, but for those under way.
    pub peer_synced: bool,
    /// How long the oldest packet with flows is under way that the other machine has not confirmed.
    pub lag_seconds: f64,
    /// Flows that wait to be sent.
    pub waiting: u64,
    /// Sessions of the other machine: it was started, or heard for the first time.
    pub sessions: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets taken.
    pub packets_received: u64,
    /// Flows sent: begun, ended, and named again.
    pub flows_sent: u64,
    /// Flows received, likewise.
    pub flows_received: u64,
    /// Of these, what changed something in the flow tables.
    pub flows_stored: u64,
    /// Of these, flows of services that are not here.
    pub flows_unknown_service: u64,
    /// Of these, flows of backends that are not here.
    pub flows_unknown_backend: u64,
    /// Of these, flows that use the addresses and ports of another flow that is here.
    pub flows_conflicting: u64,
    /// Flows that were forgotten since the other machine has them no more.
    pub flows_forgotten: u64,
    /// Flows that could not be sent in time; the next sweep names them.
    pub flows_lost: u64,
    /// Batches that were missing when a later one arrived.
    pub gaps: u64,
    /// Batches sent again.
    pub resent: u64,
    /// Packets that were rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Default for Replication {
    fn default() -> Self {
        Self {
            state: "off".to_owned(),
            peer: None,
            peer_synced: false,
            lag_seconds: 0.0,
            waiting: 0,
            sessions: 0,
            packets_sent: 0,
            packets_received: 0,
            flows_sent: 0,
            flows_received: 0,
            flows_stored: 0,
            flows_unknown_service: 0,
            flows_unknown_backend: 0,
            flows_conflicting: 0,
            flows_forgotten: 0,
            flows_lost: 0,
            gaps: 0,
            resent: 0,
            rejected: BTreeMap::new(),
        }
    }
}

pub(super) async fn replication(State(api): State<Api>) -> Answer<Replication> {
    Ok(Json(blocking(&api, |data: &dyn DataSource| Ok(data.replication())).await?))
}
