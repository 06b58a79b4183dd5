//! `GET /v1/history`: the traffic of the last hour.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{answer::Answer, extract::Params, handlers::blocking, resolve, router::Api};
use crate::{history::Rate, model::ServiceName};

/// Which service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Name or address of a service. Left out: all of them together.
    service: Option<String>,
}

/// Rates of the last hour, a list for each figure; all lists are equally long. They are empty without a dashboard (`[dashboard] listen`), and for
/// services after the first 100 of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// When, in seconds since 1970: every 5 seconds.
    pub times: Vec<u64>,
    /// Packets from clients per second.
    pub packets_in: Vec<f64>,
    /// Bytes of these per second, from the network header on.
    pub bytes_in: Vec<f64>,
    /// Packets to clients per second.
    pub packets_out: Vec<f64>,
    /// Bytes of these per second.
    pub bytes_out: Vec<f64>,
    /// Flows that began per second.
    pub flows: Vec<f64>,
    /// Flows that lived.
    pub active_flows: Vec<u64>,
    /// Dropped packets per second; 0 for a service, as drops are not counted by service.
    pub drops: Vec<f64>,
}

impl From<Vec<Rate>> for History {
    fn from(rates: Vec<Rate>) -> Self {
        let list = |of: fn(&Rate) -> f64| rates.iter().map(of).collect();
        Self {
            times: rates.iter().map(|rate| rate.at.to_epoch().as_secs()).collect(),
            packets_in: list(|rate| rate.packets_in),
            bytes_in: list(|rate| rate.bytes_in),
            packets_out: list(|rate| rate.packets_out),
            bytes_out: list(|rate| rate.bytes_out),
            flows: list(|rate| rate.flows),
            active_flows: rates.iter().map(|rate| rate.active_flows).collect(),
            drops: list(|rate| rate.drops),
        }
    }
}

pub(super) async fn history(
    State(api): State<Api>,
    Params(Wanted { service }): Params<Wanted>,
) -> Answer<History> {
    let snapshot = api.control.snapshot();
    let service: Option<ServiceName> = match service {
        Some(name) => Some(resolve::service(&snapshot, &name)?.desired.name.clone()),
        None => None,
    };
    Ok(Json(blocking(&api, move |data| Ok(data.history(service.as_ref()).into())).await?))
}
