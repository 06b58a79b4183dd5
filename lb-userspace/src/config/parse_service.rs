//! Services and backends.

use super::parse::set;
use super::reader::TableReader;
use super::scalar;
use crate::model::{
    Backend, DEFAULT_WEIGHT, Drain, FlowRates, Form, HealthCheck, Invalid, PROBE_KEYS, Probe, ProbeSettings,
    ProbeType, Service, ServiceAddress, Setting, SourceList,
};

/// A service without mistakes.
pub(super) fn service(table: TableReader<'_>) -> Option<Service> {
    let mistakes = table.report.count();
    let name = table.required("name", &scalar::service_name());
    let address = table.required("address", &scalar::address());
    let protocol = table.required("protocol", &scalar::keyword("a protocol"));
    let port = table.required("port", &scalar::any_port());
    let at = address.zip(protocol).zip(port);
    let at = at.map(|((address, protocol), port)| ServiceAddress { address, protocol, port });
    let mut service = name.zip(at).map(|(name, at)| Service::new(name, at));

    let mode = table.value("mode", &scalar::keyword("a mode"));
    let algorithm = table.value("algorithm", &scalar::keyword("an algorithm"));
    let slots = table.value("slots", &scalar::number());
    let affinity_prefix = table.value("affinity_prefix", &scalar::prefix());
    let affinity_timeout = table.value("affinity_timeout", &scalar::duration());
    let max_connections = table.value("max_connections", &scalar::number());
    let on_full = table.value("on_full", &scalar::keyword("a policy"));
    let syn_cookies = table.value("syn_cookies", &scalar::keyword("a policy"));
    let sources = sources(&table);
    let rates = rates(&table);
    let snat_addresses = table.list("snat_addresses", &scalar::address());
    let on_down = table.value("on_down", &scalar::keyword("a policy"));
    let slow_start = table.value("slow_start", &scalar::duration());
    let backup_below = table.value("backup_below", &scalar::number());
    let health = table.table("health").and_then(health);
    let backends: Vec<Option<Backend>> = table
        .tables("backends", "[[services.backends]]")
        .into_iter()
        .map(|(_, table)| backend(table, port.unwrap_or_default()))
        .collect();
    let report = table.report;
    table.end();

    if let Some(service) = &mut service {
        set(&mut service.mode, mode);
        set(&mut service.algorithm, algorithm);
        service.slots = slots;
        set(&mut service.snat_addresses, snat_addresses);
        service.affinity_prefix = affinity_prefix;
        set(&mut service.affinity_timeout, affinity_timeout);
        set(&mut service.max_connections, max_connections);
        set(&mut service.on_full, on_full);
        set(&mut service.syn_cookies, syn_cookies);
        service.sources = sources;
        service.rates = rates;
        set(&mut service.on_down, on_down);
        set(&mut service.slow_start, slow_start);
        set(&mut service.backup_below, backup_below);
        service.health = health;
        service.backends = backends.into_iter().flatten().collect();
    }
    service.filter(|_| report.count() == mistakes)
}

fn sources(table: &TableReader<'_>) -> SourceList {
    let prefix = scalar::prefix_of_addresses();
    SourceList {
        allow: table.list("allow", &prefix).unwrap_or_default(),
        allow_file: table.value("allow_file", &scalar::path()),
        deny: table.list("deny", &prefix).unwrap_or_default(),
        deny_file: table.value("deny_file", &scalar::path()),
    }
}

fn rates(table: &TableReader<'_>) -> FlowRates {
    let number = |key| table.value(key, &scalar::number()).unwrap_or_default();
    FlowRates {
        flow_rate: number("flow_rate"),
        flow_burst: number("flow_burst"),
        source_flow_rate: number("source_flow_rate"),
        source_flow_burst: number("source_flow_burst"),
        packet_rate: number("packet_rate"),
        packet_burst: number("packet_burst"),
        source_packet_rate: number("source_packet_rate"),
        source_packet_burst: number("source_packet_burst"),
        source_max_connections: number("source_max_connections"),
        source_max_embryonic: number("source_max_embryonic"),
        source_prefix: table.value("source_prefix", &scalar::prefix()),
    }
}

fn health(table: TableReader<'_>) -> Option<HealthCheck> {
    let mut check = HealthCheck::default();
    set(&mut check.interval, table.value("interval", &scalar::duration()));
    set(&mut check.timeout, table.value("timeout", &scalar::duration()));
    set(&mut check.rise, table.value("rise", &scalar::number()));
    set(&mut check.fall, table.value("fall", &scalar::number()));
    check.port = table.value("port", &scalar::port());
    check.fast_interval = table.value("fast_interval", &scalar::duration());
    set(&mut check.jitter, table.value("jitter", &scalar::duration()));
    set(&mut check.damping.max_flaps, table.value("max_flaps", &scalar::number()));
    set(&mut check.damping.window, table.value("flap_window", &scalar::duration()));
    set(&mut check.damping.hold, table.value("hold_down", &scalar::duration()));
    set(&mut check.damping.max_hold, table.value("max_hold_down", &scalar::duration()));
    set(&mut check.max_ejected, table.value("max_ejected", &scalar::percentage()));
    set(&mut check.panic_threshold, table.value("panic_threshold", &scalar::percentage()));
    set(&mut check.passive.enabled, table.value("passive", &scalar::boolean()));
    set(&mut check.passive.window, table.value("passive_window", &scalar::duration()));
    set(&mut check.passive.count, table.value("passive_count", &scalar::number()));
    set(&mut check.passive.percent, table.value("passive_percent", &scalar::percentage()));
    let probe = probe(&table);
    table.end();
    check.probe = probe?.into();
    Some(check)
}

/// What belongs to the check's type. Keys of other types are told apart from unknown ones.
fn probe(table: &TableReader<'_>) -> Option<Probe> {
    let mistakes = table.report.count();
    let probe_type: ProbeType = table.value("type", &scalar::keyword("a type of check")).unwrap_or_default();
    let source = table.value("source", &scalar::address());
    let mut settings = ProbeSettings::default();
    for key in &PROBE_KEYS {
        if !key.types.contains(&probe_type) && !table.has_other(key.name) {
            continue;
        }
        let value = match key.form {
            Form::Text => table.value(key.name, &scalar::setting()).map(Setting::Text),
            Form::Flag => table.value(key.name, &scalar::flag()).map(Setting::Flag),
            Form::List => table.list(key.name, &scalar::text()).map(Setting::List),
        };
        settings.set(key.name, value);
    }
    if table.report.count() > mistakes {
        return None;
    }
    let found = match Probe::new(probe_type, source, &settings) {
        Ok(probe) => return Some(probe),
        Err(found) => found,
    };
    for Invalid { path, value, problem } in found {
        table.wrong(&path, format!("{value} {problem}").trim_start().to_owned());
    }
    None
}

fn backend(table: TableReader<'_>, service_port: u16) -> Option<Backend> {
    let name = table.required("name", &scalar::backend_name());
    let address = table.required("address", &scalar::address());
    // 0 is for services of all ports; the check of the whole service says so.
    let kind = if service_port == 0 { scalar::any_port() } else { scalar::port() };
    let port = table.value("port", &kind).unwrap_or(service_port);
    let weight = table.value("weight", &scalar::weight()).unwrap_or(DEFAULT_WEIGHT);
    let state = table.value("state", &scalar::keyword("a state")).unwrap_or_default();
    let then = table.value("drain_then", &scalar::keyword("an end of a drain"));
    let until = match then {
        Some(_) => table.required("drain_until", &scalar::timestamp()),
        None => table.value("drain_until", &scalar::timestamp()),
    };
    let drain = until.map(|until| Drain { until, then: then.unwrap_or_default() });
    let backup = table.value("backup", &scalar::boolean()).unwrap_or_default();
    let max_connections = table.value("max_connections", &scalar::number()).unwrap_or_default();
    table.end();
    Some(Backend { name: name?, address: address?, port, weight, state, drain, backup, max_connections })
}
