//! Lists of sources, and who is blocked.

use std::net::IpAddr;

use axum::{Json, extract::State};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::Answer,
    convert,
    data::FlowFilter,
    error::ApiError,
    extract::{Body, Params},
    handlers::blocking,
    resolve,
    router::Api,
    schema::{Duration, Network},
};
use crate::{
    control::{NewBlocks, ServiceView, Snapshot},
    model::SourceList,
};

/// Prefixes shown if the client says nothing, and at most.
const SHOWN_DEFAULT: usize = 1000;
const SHOWN_MAX: usize = 1_000_000;

/// `GET /v1/acl`: sources that no service lets in, and the lists of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acl {
    /// Number of prefixes that are blocked for all services.
    pub blocked: usize,
    /// The first of them.
    pub prefixes: Vec<BlockedPrefix>,
    /// Services with lists of their own.
    pub services: Vec<ServiceAcl>,
}

/// A prefix that is blocked for all services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockedPrefix {
    /// The prefix.
    #[schemars(with = "Network")]
    pub prefix: String,
    /// Who says so: `configuration`, `file` or `request`.
    pub by: String,
    /// Since when it is blocked by request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when; none: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The list of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceAcl {
    /// Its name.
    pub service: String,
    /// Prefixes that are let in; with any nobody else is.
    pub allow: usize,
    /// Prefixes that are not.
    pub deny: usize,
}

/// Parameters of `GET /v1/acl`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AclParams {
    /// At most so many prefixes; 1000 if left out.
    #[schemars(range(min = 1, max = SHOWN_MAX))]
    limit: Option<usize>,
}

/// Body of `POST /v1/acl/block` and `POST /v1/acl/load`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockSources {
    /// Addresses and networks.
    #[schemars(with = "Vec<Network>")]
    pub prefixes: Vec<String>,
    /// For how long, `1s` to `8760h`; for good if left out.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub time: Option<String>,
    /// What for: one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether the flows that they have end, too.
    #[serde(default)]
    pub end: bool,
}

/// Body of `POST /v1/acl/unblock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnblockSources {
    /// Addresses and networks that are blocked by request.
    #[schemars(with = "Vec<Network>")]
    pub prefixes: Vec<String>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// Number of prefixes that are blocked by request.
    pub blocked: usize,
    /// Flows that were ended.
    pub ended: u64,
}

/// Parameters of `GET /v1/acl/check`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckParams {
    /// An address.
    #[schemars(with = "super::schema::Address")]
    address: String,
    /// Only of this service, by its name or its address.
    #[serde(default)]
    service: Option<String>,
}

/// `GET /v1/acl/check`: what the lists say of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AclVerdicts {
    /// The address.
    pub address: String,
    /// The prefix that blocks it for all services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<BlockedPrefix>,
    /// What each service of its family says, those without lists included.
    pub services: Vec<AclVerdict>,
}

/// What a service's lists say of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AclVerdict {
    /// Name of the service.
    pub service: String,
    /// Whether it is let in, by this list and the one that is for all services.
    pub admitted: bool,
    /// The prefix of the service's own lists that decides; none: no prefix holds the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

pub(super) async fn list(State(api): State<Api>, Params(params): Params<AclParams>) -> Answer<Acl> {
    let limit = params.limit.unwrap_or(SHOWN_DEFAULT);
    if !(1..=SHOWN_MAX).contains(&limit) {
        let message = format!("{limit} is not a limit; expected 1 to {SHOWN_MAX}");
        return Err(ApiError::invalid("limit", message));
    }
    let snapshot = api.control.snapshot();
    let blocked = blocked(&snapshot);
    let services = snapshot.services.iter().filter(|view| !view.desired.sources.is_empty());
    let services = services.map(|view| {
        let SourceList { allow, allow_file, deny, deny_file } = &view.desired.sources;
        let files = &snapshot.sources.files;
        ServiceAcl {
            service: view.desired.name.to_string(),
            allow: allow.len() + files.of(allow_file.as_ref()).len(),
            deny: deny.len() + files.of(deny_file.as_ref()).len(),
        }
    });
    Ok(Json(Acl {
        blocked: blocked.len(),
        services: services.collect(),
        prefixes: blocked.into_iter().take(limit).collect(),
    }))
}

pub(super) async fn block(State(api): State<Api>, Body(body): Body<BlockSources>) -> Answer<Blocked> {
    changed(&api, body, false).await
}

pub(super) async fn load(State(api): State<Api>, Body(body): Body<BlockSources>) -> Answer<Blocked> {
    changed(&api, body, true).await
}

pub(super) async fn unblock(State(api): State<Api>, Body(body): Body<UnblockSources>) -> Answer<Blocked> {
    let snapshot = api.control.unblock(prefixes(&body.prefixes)?).await?;
    Ok(Json(Blocked { blocked: snapshot.blocks.len(), ended: 0 }))
}

pub(super) async fn check(
    State(api): State<Api>,
    Params(params): Params<CheckParams>,
) -> Answer<AclVerdicts> {
    let snapshot = api.control.snapshot();
    let address = convert::address("address", &params.address)?;
    let blocked_by = longest(&blocked(&snapshot), address, |blocked| blocked.prefix.parse().ok());
    let services: Vec<&ServiceView> = match params.service.as_deref() {
        Some(name) => vec![resolve::service(&snapshot, name)?],
        None => {
            let all = snapshot.services.iter().map(|view| &**view);
            all.filter(|view| view.desired.address.is_ipv4() == address.is_ipv4()).collect()
        }
    };
    let services = services.into_iter().map(|view| verdict(&snapshot, view, address, blocked_by.is_some()));
    Ok(Json(AclVerdicts { address: address.to_string(), services: services.collect(), blocked_by }))
}

/// Blocks sources, in the place of all others or beside them, and ends their flows if that is wanted.
async fn changed(api: &Api, body: BlockSources, replace: bool) -> Answer<Blocked> {
    if body.prefixes.is_empty() && !replace {
        let message = "no prefix is given; expected one or more such as 203.0.113.0/24";
        return Err(ApiError::invalid("prefixes", message));
    }
    let prefixes = prefixes(&body.prefixes)?;
    let time = convert::duration("for", body.time.as_deref())?;
    let wanted = NewBlocks { prefixes: prefixes.clone(), time, reason: body.reason, replace };
    let snapshot = api.control.block(wanted).await?;
    let ended = if body.end { end_flows(api, prefixes).await? } else { 0 };
    Ok(Json(Blocked { blocked: snapshot.blocks.len(), ended }))
}

/// Ends all flows of clients with these prefixes.
async fn end_flows(api: &Api, prefixes: Vec<IpNet>) -> Result<u64, ApiError> {
    let mut ended = 0;
    for prefix in prefixes {
        let filter = FlowFilter { client: Some(prefix), limit: usize::MAX, ..FlowFilter::default() };
        let killed = blocking(api, move |data| data.kill_flows(&filter, false)).await?;
        ended += killed.reset + killed.forgotten;
    }
    Ok(ended)
}

/// What is blocked for all services, by prefix.
fn blocked(snapshot: &Snapshot) -> Vec<BlockedPrefix> {
    let list = &snapshot.config.acl;
    let file = snapshot.sources.files.of(list.deny_file.as_ref());
    let by = |prefix: &IpNet, by: &str| BlockedPrefix {
        prefix: prefix.to_string(),
        by: by.to_owned(),
        ..BlockedPrefix::default()
    };
    let mut all = std::collections::BTreeMap::new();
    for (prefix, block) in &*snapshot.blocks {
        let shown = BlockedPrefix {
            since: Some(block.since.to_string()),
            until: block.until.map(|until| until.wall.to_string()),
            reason: block.reason.clone(),
            ..by(prefix, "request")
        };
        all.insert(*prefix, shown);
    }
    all.extend(file.iter().map(|prefix| (*prefix, by(prefix, "file"))));
    all.extend(list.deny.iter().map(|prefix| (*prefix, by(prefix, "configuration"))));
    all.into_values().collect()
}

/// What a service's own lists say of an address.
fn verdict(snapshot: &Snapshot, view: &ServiceView, address: IpAddr, blocked: bool) -> AclVerdict {
    let list = &view.desired.sources;
    let files = &snapshot.sources.files;
    let find = |own: &[IpNet], file: &[IpNet]| {
        let all: Vec<IpNet> = own.iter().chain(file).copied().collect();
        longest(&all, address, |prefix| Some(*prefix))
    };
    let allowed = find(&list.allow, &files.of(list.allow_file.as_ref()));
    let denied = find(&list.deny, &files.of(list.deny_file.as_ref()));
    let length = |prefix: &Option<IpNet>| prefix.map(|prefix| prefix.prefix_len());
    let (admitted, prefix) = match (length(&allowed), length(&denied)) {
        (None, None) => (!list.is_exclusive(), None),
        (allow, deny) if allow > deny => (true, allowed),
        _ => (false, denied),
    };
    AclVerdict {
        service: view.desired.name.to_string(),
        admitted: admitted && !blocked,
        prefix: prefix.map(|prefix| prefix.to_string()),
    }
}

/// The element with the longest prefix that holds an address.
fn longest<T: Clone>(all: &[T], address: IpAddr, prefix: impl Fn(&T) -> Option<IpNet>) -> Option<T> {
    let holding = all.iter().filter_map(|one| Some((prefix(one)?, one)));
    let holding = holding.filter(|(prefix, _)| prefix.contains(&address));
    holding.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, one)| one.clone())
}

fn prefixes(texts: &[String]) -> Result<Vec<IpNet>, ApiError> {
    convert::prefixes("prefixes", texts)
}
