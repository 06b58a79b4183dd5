//! From the model to keys and values.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml_edit::{Array, Datetime, Value};

use super::duration::format_duration;
use super::render_vrrp::virtual_routers;
use super::replication;
use crate::model::{
    AdminState, Backend, DEFAULT_WEIGHT, Draft, HealthCheck, Keyword as _, PROBE_KEYS, Service, Setting,
    Timestamp,
};

/// A key below a table (one or two steps) and its value; `None`: the key is not there.
pub(super) type Entry = (&'static [&'static str], Option<Value>);

/// The keys outside the services.
pub(super) fn top(draft: &Draft) -> Vec<Entry> {
    let (limits, timeouts) = (&draft.limits, &draft.timeouts);
    let duration = |duration| Some(Value::from(format_duration(duration)));
    let number = |number: u32| Some(Value::from(i64::from(number)));
    let listen = draft.metrics_listen.as_ref().map(SocketAddr::to_string).unwrap_or_default();
    let tcp = &draft.api_tcp;
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned().into());
    let mut entries: Vec<Entry> = vec![
        (&["interfaces"], Some(list(&draft.interfaces))),
        (&["xdp_mode"], Some(draft.xdp_mode.as_str().into())),
        (&["pin_directory"], Some(draft.pin_directory.to_string_lossy().into_owned().into())),
        (&["seed"], draft.seed.map(|seed| Value::from(seed.cast_signed()))),
        (&["api", "socket"], Some(draft.api_socket.to_string_lossy().into_owned().into())),
        (&["api", "group"], draft.api_group.as_deref().map(Value::from)),
        (&["api", "listen"], tcp.listen.map(|address| address.to_string().into())),
        (&["api", "plain_http"], tcp.plain_http.then(|| true.into())),
        (&["api", "tls_certificate"], file(&tcp.tls_certificate)),
        (&["api", "tls_key"], file(&tcp.tls_key)),
        (&["api", "tls_client_ca"], file(&tcp.tls_client_ca)),
        (&["metrics", "listen"], Some(listen.into())),
        (&["metrics", "latency"], Some(draft.latency.as_str().into())),
        (&["metrics", "program_run_time"], draft.program_run_time.then(|| true.into())),
        (&["dashboard", "listen"], draft.dashboard_listen.map(|address| address.to_string().into())),
        (&["limits", "connections_v4"], number(limits.connections_v4)),
        (&["limits", "connections_v6"], number(limits.connections_v6)),
        (&["limits", "embryonic"], number(limits.embryonic)),
        (&["limits", "services"], number(limits.services)),
        (&["limits", "backends"], number(limits.backends)),
        (&["limits", "port_pools"], number(limits.port_pools)),
        (&["limits", "affinity"], number(limits.affinity)),
        (&["limits", "prefixes"], number(limits.prefixes)),
        (&["limits", "sources"], number(limits.sources)),
        (&["limits", "table_full"], limits.table_full.map(|policy| policy.as_str().into())),
        (&["timeouts", "tcp_handshake"], duration(timeouts.tcp_handshake)),
        (&["timeouts", "tcp_established"], duration(timeouts.tcp_established)),
        (&["timeouts", "tcp_half_closed"], duration(timeouts.tcp_half_closed)),
        (&["timeouts", "tcp_closing"], duration(timeouts.tcp_closing)),
        (&["timeouts", "tcp_closed"], duration(timeouts.tcp_closed)),
        (&["timeouts", "udp_new"], duration(timeouts.udp_new)),
        (&["timeouts", "udp_established"], duration(timeouts.udp_established)),
        (&["answers", "icmp_errors"], number(draft.answers.icmp_errors)),
        (&["answers", "echo_replies"], number(draft.answers.echo_replies)),
        (&["answers", "resets"], number(draft.answers.resets)),
        (&["acl", "deny"], some_list(&draft.acl.deny)),
        (&["acl", "deny_file"], file(&draft.acl.deny_file)),
        (&["vrrp"], virtual_routers(&draft.vrrp)),
        (&["snat", "ports"], Some(format!("{}-{}", draft.snat_ports.min, draft.snat_ports.max).into())),
    ];
    entries.extend(replication::entries(draft.replication.as_ref()));
    entries
}

/// The keys of a service outside its health check and backends.
pub(super) fn service(service: &Service) -> Vec<Entry> {
    let (sources, rates) = (&service.sources, &service.rates);
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned().into());
    let rate = |rate: u32| Some(rate).filter(|rate| *rate > 0).map(|rate| i64::from(rate).into());
    vec![
        (&["name"], Some(service.name.as_str().into())),
        (&["address"], Some(service.address.to_string().into())),
        (&["protocol"], Some(service.protocol.as_str().into())),
        (&["port"], Some(i64::from(service.port).into())),
        (&["mode"], Some(service.mode.as_str().into())),
        (&["algorithm"], Some(service.algorithm.as_str().into())),
        (&["slots"], service.slots.map(|slots| i64::from(slots).into())),
        (&["affinity_prefix"], service.affinity_prefix.map(|bits| i64::from(bits).into())),
        (&["affinity_timeout"], Some(format_duration(service.affinity_timeout).into())),
        (&["max_connections"], Some(i64::from(service.max_connections).into())),
        (&["on_full"], Some(service.on_full.as_str().into())),
        (&["syn_cookies"], Some(service.syn_cookies.as_str().into())),
        (&["allow"], some_list(&sources.allow)),
        (&["allow_file"], file(&sources.allow_file)),
        (&["deny"], some_list(&sources.deny)),
        (&["deny_file"], file(&sources.deny_file)),
        (&["flow_rate"], rate(rates.flow_rate)),
        (&["flow_burst"], rate(rates.flow_burst)),
        (&["source_flow_rate"], rate(rates.source_flow_rate)),
        (&["source_flow_burst"], rate(rates.source_flow_burst)),
        (&["packet_rate"], rate(rates.packet_rate)),
        (&["packet_burst"], rate(rates.packet_burst)),
        (&["source_packet_rate"], rate(rates.source_packet_rate)),
        (&["source_packet_burst"], rate(rates.source_packet_burst)),
        (&["source_max_connections"], rate(rates.source_max_connections)),
        (&["source_max_embryonic"], rate(rates.source_max_embryonic)),
        (&["source_prefix"], rates.source_prefix.map(|bits| i64::from(bits).into())),
        (&["snat_addresses"], some_list(&service.snat_addresses)),
        (&["on_down"], Some(service.on_down.as_str().into())),
        (&["slow_start"], Some(format_duration(service.slow_start).into())),
        (&["backup_below"], Some(i64::from(service.backup_below).into())),
    ]
}

/// The keys of a health check.
pub(super) fn health(check: &HealthCheck) -> Vec<Entry> {
    let (damping, passive) = (&check.damping, &check.passive);
    let duration = |duration| Some(Value::from(format_duration(duration)));
    let number = |number: i64| Some(Value::from(number));
    let mut entries: Vec<Entry> = vec![
        (&["type"], Some(check.probe.probe_type().as_str().into())),
        (&["interval"], Some(format_duration(check.interval).into())),
        (&["timeout"], Some(format_duration(check.timeout).into())),
        (&["rise"], Some(i64::from(check.rise).into())),
        (&["fall"], Some(i64::from(check.fall).into())),
        (&["port"], check.port.map(|port| i64::from(port).into())),
        (&["fast_interval"], check.fast_interval.and_then(duration)),
        (&["jitter"], duration(check.jitter)),
        (&["max_flaps"], number(damping.max_flaps.into())),
        (&["flap_window"], duration(damping.window)),
        (&["hold_down"], duration(damping.hold)),
        (&["max_hold_down"], duration(damping.max_hold)),
        (&["max_ejected"], number(check.max_ejected.into())),
        (&["panic_threshold"], number(check.panic_threshold.into())),
        (&["passive"], Some(passive.enabled.into())),
        (&["passive_window"], duration(passive.window)),
        (&["passive_count"], number(passive.count.into())),
        (&["passive_percent"], number(passive.percent.into())),
        (&["source"], check.probe.source.map(|source| source.to_string().into())),
    ];
    let settings = check.probe.settings();
    let value = |setting: &Setting| match setting {
        Setting::Text(text) => Value::from(text.as_str()),
        Setting::Flag(flag) => Value::from(*flag),
        Setting::List(texts) => list(texts),
    };
    entries.extend(PROBE_PATHS.iter().map(|path| (&path[..], settings.value(path[0]).map(value))));
    entries
}

/// [`PROBE_KEYS`] as paths of one step.
const PROBE_PATHS: [[&str; 1]; PROBE_KEYS.len()] = {
    let mut paths = [[""]; PROBE_KEYS.len()];
    let mut index = 0;
    while index < paths.len() {
        paths[index] = [PROBE_KEYS[index].name];
        index += 1;
    }
    paths
};

/// The keys of a backend.
pub(super) fn backend(backend: &Backend) -> Vec<Entry> {
    vec![
        (&["name"], Some(backend.name.as_str().into())),
        (&["address"], Some(backend.address.to_string().into())),
        (&["port"], Some(i64::from(backend.port).into())),
        (&["weight"], Some(i64::from(backend.weight).into())),
        (&["state"], Some(backend.state.as_str().into())),
        (&["drain_until"], backend.drain.map(|drain| time(drain.until))),
        (&["drain_then"], backend.drain.map(|drain| drain.then.as_str().into())),
        (&["backup"], Some(backend.backup.into())),
        (&["max_connections"], Some(i64::from(backend.max_connections).into())),
    ]
}

/// The keys of a new service: those that are needed, or differ from the default.
pub(super) fn new_service(wanted: &Service) -> Vec<Entry> {
    let default = Service::new(wanted.name.clone(), wanted.at());
    unlike(service(wanted), &service(&default), &["name", "address", "protocol", "port"])
}

/// The keys of a new health check.
pub(super) fn new_health(check: &HealthCheck) -> Vec<Entry> {
    unlike(health(check), &health(&HealthCheck::default()), &["interval"])
}

/// The keys of a new backend.
pub(super) fn new_backend(wanted: &Backend, service_port: u16) -> Vec<Entry> {
    let default = Backend {
        port: service_port,
        weight: DEFAULT_WEIGHT,
        state: AdminState::default(),
        drain: None,
        backup: false,
        max_connections: 0,
        ..wanted.clone()
    };
    unlike(backend(wanted), &backend(&default), &["name", "address"])
}

fn unlike(entries: Vec<Entry>, defaults: &[Entry], always: &[&str]) -> Vec<Entry> {
    let keep =
        |(entry, default): &(Entry, &Entry)| always.contains(&entry.0[0]) || !same(&entry.1, &default.1);
    entries.into_iter().zip(defaults).filter(keep).map(|(entry, _)| entry).collect()
}

/// Whether two values mean the same.
pub(super) fn same(a: &Option<Value>, b: &Option<Value>) -> bool {
    a.as_ref().map(ToString::to_string) == b.as_ref().map(ToString::to_string)
}

/// A moment in TOML's notation, which is that of RFC 3339.
fn time(time: Timestamp) -> Value {
    let text = time.to_string();
    text.parse::<Datetime>().map_or_else(|_| text.into(), Value::from)
}

/// A list of texts, unless it is empty.
fn some_list(values: &[impl ToString]) -> Option<Value> {
    Some(values).filter(|values| !values.is_empty()).map(list)
}

/// A list of texts.
pub(super) fn list(values: &[impl ToString]) -> Value {
    Value::Array(values.iter().map(ToString::to_string).collect::<Array>())
}
