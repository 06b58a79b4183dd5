//! What the API shows of virtual routers.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{answer::Answer, data::DataSource, handlers::blocking, router::Api};

/// An element of `GET /v1/vrrp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VirtualRouter {
    /// Name.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Its number.
    pub virtual_router_id: u8,
    /// `initialize`, `fault`, `backup` or `active`.
    pub state: String,
    /// Its priority, with everything counted in.
    pub priority: u8,
    /// The VIPs with the lengths of their prefixes.
    pub virtual_addresses: Vec<String>,
    /// The address of the machine that is active, where that is another one that is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_router: Option<String>,
    /// That machine's priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_priority: Option<u8>,
    /// Changes of state since `lbd` started.
    pub transitions: u64,
    /// Packets that were rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
}

pub(super) async fn virtual_routers(State(api): State<Api>) -> Answer<Vec<VirtualRouter>> {
    Ok(Json(blocking(&api, |data: &dyn DataSource| Ok(data.virtual_routers())).await?))
}
