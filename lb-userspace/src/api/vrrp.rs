//! What the API shows of virtual routers, and planned switchovers.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::Answer,
    data::DataSource,
    extract::{Names, Params},
    handlers::blocking,
    router::Api,
};
use crate::control::{Error, ErrorKind};

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
    /// Its priority as it is configured.
    pub configured_priority: u8,
    /// What it tracks, and what others of its sync group track and it goes by.
    pub tracked: Vec<Tracked>,
    /// The VIPs with the lengths of their prefixes.
    pub virtual_addresses: Vec<String>,
    /// The MAC address that the VIPs are at, if it is that of the virtual router and not the interface's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_mac: Option<String>,
    /// The interface of that MAC address, which has the VIPs; none if it cannot be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_interface: Option<String>,
    /// The address of the machine that is active, where that is another one that is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_router: Option<String>,
    /// That machine's priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_priority: Option<u8>,
    /// Whether it waits only for its time to become active: no machine is heard that it would leave active.
    pub taking_over: bool,
    /// The last switchover, if it has an effect still: `handing-over` (active until another machine is heard), `no-successor` (none
    /// took over: this one remains active), `standby` (it leaves whoever is active alone until it is released), `standby-forced`
    /// (it does not become active where no machine is, either, until one was heard or it is released).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switchover: Option<String>,
    /// Changes of state since `lbd` started.
    pub transitions: u64,
    /// Runs of `notify` that failed, since `lbd` started.
    pub notify_failures: u64,
    /// Packets that were rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Something that a virtual router tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tracked {
    /// What it is, such as `interface eth0` or `service web (2 healthy)`.
    pub name: String,
    /// `up`, `down`, or `unknown` until it was looked at.
    pub state: String,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number that a file holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i32>,
    /// Whether it is up again, and counts as down until it has been so for a while.
    pub held: bool,
    /// Whether it keeps the virtual router from taking part.
    pub fault: bool,
    /// What it adds to the priority at present.
    pub priority: i64,
}

pub(super) async fn virtual_routers(State(api): State<Api>) -> Answer<Vec<VirtualRouter>> {
    Ok(Json(blocking(&api, |data: &dyn DataSource| Ok(data.virtual_routers())).await?))
}

/// What is wanted of virtual routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// That another machine is active.
    Failover {
        /// Whether the VIPs are given up although no other machine takes over.
        force: bool,
    },
    /// That it takes part in elections again as it is configured.
    Release,
}

/// The name in the path of a virtual router.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RouterPath {
    /// Name of the virtual router; all of its sync group switch over together.
    router: String,
}

/// Parameter of a failover.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    /// Give the VIPs up although no other machine takes over.
    #[serde(default)]
    force: bool,
}

pub(super) async fn fail_over_all(
    State(api): State<Api>,
    Params(Force { force }): Params<Force>,
) -> Answer<Vec<VirtualRouter>> {
    switch_over(api, None, Switch::Failover { force }).await
}

pub(super) async fn fail_over(
    State(api): State<Api>,
    Names(RouterPath { router }): Names<RouterPath>,
    Params(Force { force }): Params<Force>,
) -> Answer<Vec<VirtualRouter>> {
    switch_over(api, Some(router), Switch::Failover { force }).await
}

pub(super) async fn release_all(State(api): State<Api>) -> Answer<Vec<VirtualRouter>> {
    switch_over(api, None, Switch::Release).await
}

pub(super) async fn release(
    State(api): State<Api>,
    Names(RouterPath { router }): Names<RouterPath>,
) -> Answer<Vec<VirtualRouter>> {
    switch_over(api, Some(router), Switch::Release).await
}

async fn switch_over(api: Api, router: Option<String>, switch: Switch) -> Answer<Vec<VirtualRouter>> {
    let data = Arc::clone(&api.data);
    let switched = tokio::task::spawn_blocking(move || data.switch_over(router, switch)).await;
    let stopping = |_| Error::new(ErrorKind::Unavailable, "", "lbd is stopping");
    Ok(Json(switched.map_err(stopping)??))
}
