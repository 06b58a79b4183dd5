//! What the API's JSON looks like.
//!
//! Words (protocols, modes, algorithms, states) are strings here and become model types in [`super::convert`], which says what
//! it expected instead.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Health;
use super::object;
use super::schema::{Address, Duration, Name, Network, Word};
use super::traffic::Latencies;
use crate::model::{
    AdminState, Algorithm, Condition, DrainEnd, Mode, OnFull, Protocol, Standing, SynCookies,
};

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Version of `lbd`.
    pub version: String,
    /// Seconds since `lbd` started.
    pub uptime_seconds: u64,
    /// The configuration file.
    pub config_file: String,
    /// Whether changes were made that are not in the file (`runtime=true`).
    pub unsaved_changes: bool,
    /// Keys of the configuration file whose new values take effect when `lbd` is started again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<String>,
    /// Until when the configuration that was applied is to be confirmed; then the previous one comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_until: Option<String>,
    /// Why the maps do not hold the desired state; it is tried again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Services of whose backends so few are healthy that all are used (`panic_threshold`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub panic: Vec<String>,
    /// Whether the BPF file system with the pins was unmounted: forwarding ends with this `lbd` unless one is mounted there again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pins_out_of_reach: bool,
    /// Elements of the maps that somebody else changed and that `lbd` put right since it started.
    #[serde(default)]
    pub drift_repaired: u64,
    /// Streams of events that are open.
    #[serde(default)]
    pub event_subscribers: usize,
    /// Interfaces the program is attached to.
    pub interfaces: Vec<Interface>,
    /// Number of services.
    pub services: usize,
    /// Backends by state.
    pub backends: BackendTotals,
    /// Flows that live.
    pub flows: u64,
}

/// Number of backends by the state they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendTotals {
    /// They take flows.
    pub active: usize,
    /// They keep their flows and take none.
    pub draining: usize,
    /// Unhealthy.
    pub down: usize,
    /// Taken out by the operator.
    pub disabled: usize,
}

/// An interface the program is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// `native` or `generic`.
    pub mode: String,
}

/// A service, as `GET /v1/services` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Name.
    pub name: String,
    /// Id in the maps; 0 while it has none.
    pub id: u16,
    /// VIP.
    #[schemars(with = "Address")]
    pub address: IpAddr,
    /// `tcp` or `udp`.
    #[schemars(with = "Word<Protocol>")]
    pub protocol: String,
    /// Port; 0: every port without a service of its own.
    pub port: u16,
    /// `nat` or `full-nat`.
    #[schemars(with = "Word<Mode>")]
    pub mode: String,
    /// Balancing algorithm.
    #[schemars(with = "Word<Algorithm>")]
    pub algorithm: String,
    /// Size of the slot table.
    pub slots: u32,
    /// Bits of the client's address that count (`source-hash`, affinity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_prefix: Option<u8>,
    /// For how long after its last flow began a client gets the backend it had; none: no affinity is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub affinity_timeout: Option<String>,
    /// Clients whose backend is remembered, as of the last scan, which is about a second ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_clients: Option<u64>,
    /// Most flows of all backends at once; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Flows that count towards the limits of the service and its backends; only where there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// What becomes of packets that would begin one flow too many: `drop` or `reset`.
    #[schemars(with = "Word<OnFull>")]
    pub on_full: String,
    /// Whether its SYNs are answered by cookies: `off`, `auto` (while too many connections are half-open) or `always`.
    #[schemars(with = "Word<SynCookies>")]
    pub syn_cookies: String,
    /// What it does with cookies; only of TCP services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<CookieUse>,
    /// Sources that are let in; with any nobody else is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Network>")]
    pub allow: Vec<String>,
    /// A file with more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_file: Option<String>,
    /// Sources that are not let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Network>")]
    pub deny: Vec<String>,
    /// A file with more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_file: Option<String>,
    /// Most flows that begin in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_rate: Option<u32>,
    /// How many of them may begin at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_burst: Option<u32>,
    /// Most flows of one source that begin in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_rate: Option<u32>,
    /// How many of them may begin at once; 0 or none: as many as in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_burst: Option<u32>,
    /// Most packets from clients in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_rate: Option<u32>,
    /// How many of them may come at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_burst: Option<u32>,
    /// Most packets of one source in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_rate: Option<u32>,
    /// How many of them may come at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_burst: Option<u32>,
    /// Most flows of one source at once; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_connections: Option<u32>,
    /// Most flows of one source at once that nobody answered yet; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_embryonic: Option<u32>,
    /// Bits of clients' addresses that are one source; none: 32 of IPv4, 64 of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_prefix: Option<u8>,
    /// Source addresses towards the backends (`full-nat`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Address>")]
    pub snat_addresses: Vec<IpAddr>,
    /// What becomes of TCP connections of a backend that takes no packets any more: `reselect` or `reset`.
    pub on_down: String,
    /// Over which a backend's weight rises after it came back; none: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub slow_start: Option<String>,
    /// With fewer healthy others than this, backups take flows.
    pub backup_below: u32,
    /// `normal`; `backup`: too few backends are healthy, backups take flows; `panic`: so few are healthy that all are used.
    #[schemars(with = "Word<Condition>")]
    pub condition: String,
    /// Health check; none: every backend is taken to be healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Backends, in the order of the file.
    pub backends: Vec<Backend>,
}

/// What a service does with SYN cookies, as of the last scan, which is about a second ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CookieUse {
    /// Whether its SYNs are answered by cookies.
    pub active: bool,
    /// Half-open connections, SYNs that were answered by cookies included; counted with `auto` only.
    pub half_open: u32,
    /// SYNs that were answered by a cookie.
    pub sent: u64,
    /// Cookies that came back: connections.
    pub accepted: u64,
    /// ACKs without a flow that brought no valid cookie, while there were some to come back.
    pub invalid: u64,
}

/// A backend, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backend {
    /// Name.
    pub name: String,
    /// Id in the maps; 0 while it has none.
    pub id: u32,
    /// Address.
    #[schemars(with = "Address")]
    pub address: IpAddr,
    /// Port; 0: the port the client used.
    pub port: u16,
    /// Share of the new flows.
    pub weight: u16,
    /// As configured: `enabled`, `draining` or `disabled`.
    #[schemars(with = "Word<AdminState>")]
    pub state: String,
    /// What it comes to: `active`, `draining`, `down` or `disabled`.
    pub effective: String,
    /// What its checks say: `up`, `down` or `unknown`.
    pub health: String,
    /// How far its drain is; only while it is draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Whether it takes flows only while too few of the others are healthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// Most flows at once; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Flows that count towards the limits; only where it or its service has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// What it is to its service: `serving`; `standby`, a backup that is not needed; `ejected`, unhealthy; `kept`, unhealthy but used, as
    /// no more may be ejected; `panic`, unhealthy but used, as too few are healthy; `idle`, as the operator wants it.
    #[schemars(with = "Word<Standing>")]
    pub standing: String,
    /// Its present share of the new flows: less than `weight` during a slow start, 0 if it takes none.
    pub effective_weight: u32,
    /// For how many seconds its health has been what it is; none: nothing was found yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<u64>,
    /// Why it is down, the last failure of its check; or why it cannot be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how many more seconds it stays down even if its checks succeed, as it went up and down too often (`max_flaps`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_seconds: Option<u64>,
    /// How often its health changed.
    #[serde(default)]
    pub transitions: u64,
    /// What clients' connections showed that has it checked at once; only until that check, or those that confirm it, came to a
    /// result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<String>,
    /// How often it became suspect.
    #[serde(default)]
    pub suspects: u64,
    /// How long handshakes with it took; none: nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latencies>,
}

/// How far a drain is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// The deadline, such as `2026-11-22T23:10:00Z`; none: it has all the time that its flows take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What becomes of flows that are left at the deadline: `keep` or `rst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// Flows that have not ended, as of the last scan, which is about a second ago; none: not counted yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<u64>,
    /// Whether the last flow has ended.
    pub drained: bool,
    /// Whether the deadline is over.
    pub expired: bool,
}

/// Body of `POST /v1/services/{service}/backends/{backend}/drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDrain {
    /// How long it may take, such as `60s`; `100ms` to `168h`. If left out: as long as its flows take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub deadline: Option<String>,
    /// What becomes of flows that are left at the deadline: `keep` (if left out) or `rst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<DrainEnd>>")]
    pub then: Option<String>,
}

/// Body of `POST /v1/services`. What is left out takes the default of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// Name.
    #[schemars(with = "Name")]
    pub name: String,
    /// VIP.
    #[schemars(with = "Address")]
    pub address: String,
    /// `tcp` or `udp`.
    #[schemars(with = "Word<Protocol>")]
    pub protocol: String,
    /// Port; 0: every port without a service of its own.
    pub port: u16,
    /// `nat` or `full-nat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<Mode>>")]
    pub mode: Option<String>,
    /// Balancing algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<Algorithm>>")]
    pub algorithm: Option<String>,
    /// Size of the slot table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Bits of the client's address that count (`source-hash`, affinity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_prefix: Option<u8>,
    /// For how long after its last flow began a client gets the backend it had, such as `10m`; `0s`: no affinity is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub affinity_timeout: Option<String>,
    /// Most flows of all backends at once; 0: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// What becomes of packets that would begin one flow too many: `drop` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<OnFull>>")]
    pub on_full: Option<String>,
    /// Whether its SYNs are answered by cookies: `off`, `auto` (while too many connections are half-open) or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<SynCookies>>")]
    pub syn_cookies: Option<String>,
    /// Sources that are let in; with any nobody else is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Network>")]
    pub allow: Vec<String>,
    /// A file with more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_file: Option<String>,
    /// Sources that are not let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Network>")]
    pub deny: Vec<String>,
    /// A file with more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_file: Option<String>,
    /// Most flows that begin in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_rate: Option<u32>,
    /// How many of them may begin at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_burst: Option<u32>,
    /// Most flows of one source that begin in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_rate: Option<u32>,
    /// How many of them may begin at once; 0 or none: as many as in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_burst: Option<u32>,
    /// Most packets from clients in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_rate: Option<u32>,
    /// How many of them may come at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_burst: Option<u32>,
    /// Most packets of one source in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_rate: Option<u32>,
    /// How many of them may come at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_burst: Option<u32>,
    /// Most flows of one source at once; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_connections: Option<u32>,
    /// Most flows of one source at once that nobody answered yet; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_embryonic: Option<u32>,
    /// Bits of clients' addresses that are one source; none: 32 of IPv4, 64 of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_prefix: Option<u8>,
    /// Source addresses towards the backends (`full-nat`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Address>")]
    pub snat_addresses: Vec<String>,
    /// `reselect` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_down: Option<String>,
    /// Over which a backend's weight rises after it came back, such as `30s`; `0s`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub slow_start: Option<String>,
    /// With fewer healthy others than this, backups take flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_below: Option<u32>,
    /// Health check.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub health: Option<Health>,
    /// Backends.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "object::list")]
    pub backends: Vec<NewBackend>,
}

/// Body of `PATCH /v1/services/{name}`: what is left out stays. The address, the protocol and the port are a service's identity:
/// to change them, add another service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePatch {
    /// `nat` or `full-nat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<Mode>>")]
    pub mode: Option<String>,
    /// Balancing algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<Algorithm>>")]
    pub algorithm: Option<String>,
    /// Size of the slot table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Bits of the client's address that count (`source-hash`, affinity); `null`: all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub affinity_prefix: Option<Option<u8>>,
    /// For how long after its last flow began a client gets the backend it had, such as `10m`; `0s`: no affinity is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub affinity_timeout: Option<String>,
    /// Most flows of all backends at once; 0: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// What becomes of packets that would begin one flow too many: `drop` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<OnFull>>")]
    pub on_full: Option<String>,
    /// Whether its SYNs are answered by cookies: `off`, `auto` (while too many connections are half-open) or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<SynCookies>>")]
    pub syn_cookies: Option<String>,
    /// Sources that are let in; with any nobody else is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Network>>")]
    pub allow: Option<Vec<String>>,
    /// A file with more of them; `null`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub allow_file: Option<Option<String>>,
    /// Sources that are not let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Network>>")]
    pub deny: Option<Vec<String>>,
    /// A file with more of them; `null`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub deny_file: Option<Option<String>>,
    /// Most flows that begin in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_rate: Option<u32>,
    /// How many of them may begin at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_burst: Option<u32>,
    /// Most flows of one source that begin in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_rate: Option<u32>,
    /// How many of them may begin at once; 0 or none: as many as in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_flow_burst: Option<u32>,
    /// Most packets from clients in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_rate: Option<u32>,
    /// How many of them may come at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_burst: Option<u32>,
    /// Most packets of one source in a second; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_rate: Option<u32>,
    /// How many of them may come at once; 0 or none: as many as in a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_packet_burst: Option<u32>,
    /// Most flows of one source at once; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_connections: Option<u32>,
    /// Most flows of one source at once that nobody answered yet; 0 or none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_max_embryonic: Option<u32>,
    /// Bits of clients' addresses that are one source; `null`: 32 of IPv4, 64 of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub source_prefix: Option<Option<u8>>,
    /// Source addresses towards the backends (`full-nat`): the whole list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Address>>")]
    pub snat_addresses: Option<Vec<String>>,
    /// `reselect` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_down: Option<String>,
    /// Over which a backend's weight rises after it came back, such as `30s`; `0s`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub slow_start: Option<String>,
    /// With fewer healthy others than this, backups take flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_below: Option<u32>,
    /// Health check: its keys change one by one, `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present_object")]
    pub health: Option<Option<Health>>,
}

/// Body of `POST /v1/services/{service}/backends`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBackend {
    /// Name.
    #[schemars(with = "Name")]
    pub name: String,
    /// Address.
    #[schemars(with = "Address")]
    pub address: String,
    /// Port; the service's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of the new flows; 100 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// `enabled` (if left out), `draining` or `disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<AdminState>>")]
    pub state: Option<String>,
    /// Whether it takes flows only while too few of the others are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
    /// Most flows at once; 0: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
}

/// Body of `PATCH /v1/services/{service}/backends/{backend}`: what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendPatch {
    /// Share of the new flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// `enabled`, `draining` or `disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<AdminState>>")]
    pub state: Option<String>,
    /// Whether it takes flows only while too few of the others are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
    /// Most flows at once; 0: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
}

/// Answer of `POST /v1/config/check` and `POST /v1/config/reload`: what the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// Number of services.
    pub services: usize,
    /// Number of backends, all services together.
    pub backends: usize,
}

/// Answer of `POST /v1/config/repair`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repaired {
    /// Elements that were put right.
    pub repaired: u64,
    /// Them by map and kind, without those of which there were none.
    pub elements: Vec<DriftCount>,
}

/// Elements of a map that were wrong in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftCount {
    /// The map, such as `backends`.
    pub map: String,
    /// `missing`, `changed` or `extra`.
    pub kind: String,
    /// Number of elements.
    pub count: u64,
}

/// Tells a `null` (inner `None`) from a key that was left out (outer `None`).
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// As [`present`], for an object.
fn present_object<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    object::optional(deserializer).map(Some)
}
