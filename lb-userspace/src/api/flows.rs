//! Flows: lists, who has most of them, and their end.

use std::net::IpAddr;

use axum::{Json, extract::State};
use ipnet::IpNet;
use lb_common::abi::FlowState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{
    answer::Answer,
    convert,
    data::{DataError, DataSource, FlowFilter, GroupBy},
    error::ApiError,
    extract::{Body, Params},
    handlers::blocking,
    resolve,
    router::Api,
    schema::{Duration, Network, Word},
    traffic::{FlowTop, FlowTotals, Flows, KilledFlows},
    view,
};
use crate::{
    control::{Error, ServiceView, Snapshot},
    events::{Attribute, Kind, Notice},
    model::{Protocol, keyword::keyword},
};

/// Flows listed if the client says nothing, and at most.
const FLOWS_DEFAULT: usize = 1000;
const FLOWS_MAX: usize = 100_000;
/// The same for groups.
const GROUPS_DEFAULT: usize = 20;
const GROUPS_MAX: usize = 10_000;
/// Bits of clients' addresses that make a group.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 64;

/// Requests that read all flows at once: each keeps processors busy, and has memory for what it finds.
static READERS: Semaphore = Semaphore::const_new(2);

/// What flows are put together by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopBy {
    /// The client's address.
    #[default]
    Client,
    /// The first bits of it.
    ClientPrefix,
    /// The service.
    Service,
    /// The backend.
    Backend,
}

keyword!(TopBy {
    Client = "client",
    ClientPrefix = "client-prefix",
    Service = "service",
    Backend = "backend"
});

/// A structure with what flows are picked by, and fields of its own.
macro_rules! picking {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$about:meta])+ $field:ident: $type:ty,)* }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Only of this service, by its name or its address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub service: Option<String>,
            /// Only of this backend, by its name or its address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub backend: Option<String>,
            /// Only of clients of this address or network.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<Network>")]
            pub client: Option<String>,
            /// Only of this protocol.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<Word<Protocol>>")]
            pub protocol: Option<String>,
            /// Only in these states, separated by commas.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<States>")]
            pub state: Option<String>,
            /// Only without a packet for at least this time.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<Duration>")]
            pub idle_min: Option<String>,
            /// Only with a packet in this time.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<Duration>")]
            pub idle_max: Option<String>,
            $($(#[$about])+ pub $field: $type,)*
        }

        impl $name {
            fn filter(&self, snapshot: &Snapshot, limit: usize) -> Result<FlowFilter, ApiError> {
                let Self { service, backend, client, protocol, state, idle_min, idle_max, .. } = self;
                let texts = [service, backend, client, protocol, state, idle_min, idle_max];
                filter(snapshot, texts.map(Option::as_deref), limit)
            }
        }
    };
}

picking! {
    /// Parameters of `GET /v1/flows`.
    FlowParams {
        /// At most so many; 1000 if left out.
        #[schemars(range(min = 1, max = FLOWS_MAX))]
        limit: Option<usize>,
    }
}

picking! {
    /// Parameters of `GET /v1/flows/top`.
    TopParams {
        /// What flows are put together by; `client` if left out.
        #[serde(default)]
        #[schemars(with = "Option<Word<TopBy>>")]
        by: Option<String>,
        /// Bits of IPv4 addresses that count with `client-prefix`; 24 if left out.
        #[schemars(range(max = 32))]
        prefix_v4: Option<u8>,
        /// Bits of IPv6 addresses that count with `client-prefix`; 64 if left out.
        #[schemars(range(max = 128))]
        prefix_v6: Option<u8>,
        /// At most so many groups; 20 if left out.
        #[schemars(range(min = 1, max = GROUPS_MAX))]
        limit: Option<usize>,
    }
}

picking! {
    /// Body of `POST /v1/flows/kill`.
    KillFlows {
        /// End every flow if nothing is picked.
        #[serde(default)]
        all: bool,
        /// Only say how many it would be.
        #[serde(default)]
        dry_run: bool,
    }
}

/// Schema of states separated by commas.
struct States;

impl JsonSchema for States {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "States".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let words = FlowState::ALL.map(FlowState::as_str).join("|");
        schemars::json_schema!({"type": "string", "pattern": format!("^({words})(,({words}))*$")})
    }
}

pub(super) async fn flows(State(api): State<Api>, Params(params): Params<FlowParams>) -> Answer<Flows> {
    let snapshot = api.control.snapshot();
    let filter = params.filter(&snapshot, limit(params.limit, FLOWS_DEFAULT, FLOWS_MAX)?)?;
    let list = reading(&api, move |data| data.flows(&filter)).await?;
    Ok(Json(view::flows(&snapshot, &list)))
}

pub(super) async fn flow_counts(State(api): State<Api>) -> Answer<FlowTotals> {
    let counts = reading(&api, DataSource::flow_counts).await?;
    Ok(Json(view::flow_totals(&api.control.snapshot(), &counts)))
}

pub(super) async fn top(State(api): State<Api>, Params(params): Params<TopParams>) -> Answer<FlowTop> {
    let snapshot = api.control.snapshot();
    let filter = params.filter(&snapshot, limit(params.limit, GROUPS_DEFAULT, GROUPS_MAX)?)?;
    let by: TopBy = params.by.as_deref().map(|by| convert::word("by", by)).transpose()?.unwrap_or_default();
    let prefix = (
        bits("prefix_v4", params.prefix_v4, PREFIX_V4, 32)?,
        bits("prefix_v6", params.prefix_v6, PREFIX_V6, 128)?,
    );
    let group = match by {
        TopBy::Client => GroupBy::Client,
        TopBy::ClientPrefix => GroupBy::ClientPrefix(prefix.0, prefix.1),
        TopBy::Service => GroupBy::Service,
        TopBy::Backend => GroupBy::Backend,
    };
    let (tally, tables) =
        reading(&api, move |data| Ok((data.flow_top(group, &filter)?, data.flow_tables()))).await?;
    Ok(Json(view::flow_top(&snapshot, by, &tally, &tables)))
}

pub(super) async fn kill(State(api): State<Api>, Body(body): Body<KillFlows>) -> Answer<KilledFlows> {
    let filter = body.filter(&api.control.snapshot(), usize::MAX)?;
    if filter.wants_all() && !body.all && !body.dry_run {
        let message = "nothing says which flows are to end; name a service, a backend, a client, a protocol, states or an idle time, or end \
                       them all by `\"all\": true`";
        return Err(ApiError::invalid("all", message));
    }
    let dry_run = body.dry_run;
    let ended = reading(&api, move |data| data.kill_flows(&filter, dry_run)).await?;
    if !dry_run {
        tracing::info!(which = ?body, reset = ended.reset, forgotten = ended.forgotten, "flows were ended by request");
        let notice = Notice::new(Kind::FlowKilled).with(Attribute::Count, ended.reset + ended.forgotten);
        api.events.publish(api.data.wall(), [notice.with(Attribute::Reason, body.which())]);
    }
    Ok(Json(view::killed(&ended, dry_run)))
}

impl KillFlows {
    /// Which flows are meant, such as `service=web client=198.51.100.0/24`.
    fn which(&self) -> String {
        let Self { service, backend, client, protocol, state, idle_min, idle_max, .. } = self;
        let given = [
            ("service", service),
            ("backend", backend),
            ("client", client),
            ("protocol", protocol),
            ("state", state),
            ("idle_min", idle_min),
            ("idle_max", idle_max),
        ];
        let words = given.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)));
        let words: Vec<String> = words.collect();
        if words.is_empty() { "all".to_owned() } else { words.join(" ") }
    }
}

/// As [`blocking`], for what reads all flows.
async fn reading<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(&dyn DataSource) -> Result<T, DataError> + Send + 'static,
) -> Result<T, ApiError> {
    let _permit = READERS.acquire().await;
    blocking(api, read).await
}

/// Texts in the order of the fields.
fn filter(
    snapshot: &Snapshot,
    [service, backend, client, protocol, state, idle_min, idle_max]: [Option<&str>; 7],
    limit: usize,
) -> Result<FlowFilter, ApiError> {
    let service = service.map(|name| resolve::service(snapshot, name)).transpose()?;
    let seconds = |path, text| -> Result<_, ApiError> {
        Ok(convert::duration(path, text)?.map(|duration| duration.as_secs()))
    };
    Ok(FlowFilter {
        service: service.map(|service| service.id),
        backends: backend.map(|name| backends_named(snapshot, service, name)).transpose()?,
        client: client.map(network).transpose()?,
        protocol: protocol
            .map(|word| convert::word::<Protocol>("protocol", word))
            .transpose()?
            .map(Protocol::number),
        states: state.map(states).transpose()?,
        idle_min: seconds("idle_min", idle_min)?,
        idle_max: seconds("idle_max", idle_max)?,
        limit,
    })
}

fn network(text: &str) -> Result<IpNet, ApiError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse().ok().or_else(address).ok_or_else(|| {
        let message = format!(
            "{text:?} is not an address or a network; expected one such as 203.0.113.10, 198.51.100.0/24 or 2001:db8::/48"
        );
        ApiError::invalid("client", message)
    })
}

fn states(text: &str) -> Result<Vec<u8>, ApiError> {
    let named = |word: &str| FlowState::ALL.into_iter().find(|state| state.as_str() == word);
    let number = |word: &str| {
        named(word).map(|state| state as u8).ok_or_else(|| {
            let words = FlowState::ALL.map(FlowState::as_str).join(", ");
            ApiError::invalid("state", format!("{word:?} is not known; expected some of {words}"))
        })
    };
    text.split(',').map(number).collect()
}

fn limit(limit: Option<usize>, default: usize, most: usize) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(default);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::invalid("limit", format!("{limit} is not a limit; expected 1 to {most}")))
}

fn bits(path: &str, bits: Option<u8>, default: u8, most: u8) -> Result<u8, ApiError> {
    let bits = bits.unwrap_or(default);
    if bits <= most {
        return Ok(bits);
    }
    Err(ApiError::invalid(path, format!("{bits} bits are too many; expected 0 to {most}")))
}

/// Ids of the backends of a name or an address, in one service or in all.
fn backends_named(snapshot: &Snapshot, service: Option<&ServiceView>, name: &str) -> Result<Vec<u32>, Error> {
    if let Some(service) = service {
        return Ok(vec![resolve::backend(service, name)?.id]);
    }
    let ids: Vec<u32> = resolve::backends(snapshot, name).iter().map(|backend| backend.id).collect();
    if ids.is_empty() {
        let known: Vec<&str> =
            snapshot.backends().map(|(_, backend)| backend.desired.name.as_str()).collect();
        return Err(Error::unknown("backend", "backend", name, &known));
    }
    Ok(ids)
}
