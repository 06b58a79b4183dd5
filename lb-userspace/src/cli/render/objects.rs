//! Status, services and backends.

use std::net::{IpAddr, SocketAddr};

use super::note::note;
use super::table::{Style, Value, facts, number, state, table, text};
use crate::{
    api::{Backend, Drain, DriftCount, Health, Repaired, Service, Status},
    config::format_duration,
    model::HealthCheck,
};

/// `lbctl status`.
pub(in crate::cli) fn status(status: &Status, _: Style) -> String {
    let interfaces: Vec<String> = status
        .interfaces
        .iter()
        .map(|interface| format!("{} ({})", interface.name, interface.mode))
        .collect();
    let backends = status.backends;
    let total = backends.active + backends.draining + backends.down + backends.disabled;
    let mut lines = vec![
        ("version", status.version.clone()),
        ("uptime", duration(status.uptime_seconds)),
        ("config", status.config_file.clone()),
        ("unsaved changes", unsaved(status.unsaved_changes).to_owned()),
        ("interfaces", if interfaces.is_empty() { "none".to_owned() } else { interfaces.join(", ") }),
        ("services", status.services.to_string()),
        (
            "backends",
            format!(
                "{total}: {} active, {} draining, {} down, {} disabled",
                backends.active, backends.draining, backends.down, backends.disabled
            ),
        ),
        ("flows", status.flows.to_string()),
    ];
    if let Some(until) = &status.confirm_until {
        lines.push((
            "unconfirmed",
            format!("the previous configuration comes back at {until}: `lbctl config confirm`"),
        ));
    }
    if status.drift_repaired > 0 {
        let repaired = status.drift_repaired;
        lines.push((
            "drift",
            format!("{repaired} elements of maps that somebody else changed were put right"),
        ));
    }
    if !status.restart_needed.is_empty() {
        lines.push(("restart needed", format!("for {}", status.restart_needed.join(", "))));
    }
    if !status.panic.is_empty() {
        let services = status.panic.join(", ");
        lines.push(("PANIC", format!("{services}: so few backends are healthy that all are used")));
    }
    if status.pins_out_of_reach {
        let problem = "their file system was unmounted, and forwarding ends with this lbd: `lbctl doctor` has the command that helps";
        lines.push(("PINS", problem.to_owned()));
    }
    if let Some(problem) = &status.problem {
        lines.push(("problem", format!("{problem}; lbd tries again by itself")));
    }
    facts(&lines)
}

fn unsaved(unsaved: bool) -> &'static str {
    if unsaved { "yes: made with --runtime; lost when lbd reads its file again" } else { "no" }
}

/// `lbctl config repair`.
pub(in crate::cli) fn repaired(repaired: &Repaired) -> String {
    if repaired.repaired == 0 {
        return "the maps hold what they should\n".to_owned();
    }
    let mut text = format!("put right: {}\n", repaired.repaired);
    for DriftCount { map, kind, count } in &repaired.elements {
        text.push_str(&format!("  {map}: {count} {kind}\n"));
    }
    text
}

/// `lbctl service list`.
pub(in crate::cli) fn services(services: &[Service], style: Style) -> String {
    let mut header = vec!["NAME", "ADDRESS", "PROTOCOL", "MODE", "ALGORITHM", "HEALTH", "ACTIVE", "BACKENDS"];
    if style.wide {
        header.extend(["ID", "SLOTS", "ON-DOWN", "SNAT-ADDRESSES"]);
    }
    let row = |service: &Service| {
        let active = service.backends.iter().filter(|backend| backend.effective == "active").count();
        let mut row = vec![
            text(&service.name),
            text(endpoint(service.address, service.port)),
            text(&service.protocol),
            text(&service.mode),
            text(&service.algorithm),
            text(if service.health.is_some() { "checked" } else { "-" }),
            number(active as u64),
            number(service.backends.len() as u64),
        ];
        if style.wide {
            let snat: Vec<String> = service.snat_addresses.iter().map(ToString::to_string).collect();
            let snat = if snat.is_empty() { "-".to_owned() } else { snat.join(",") };
            row.extend([
                number(service.id.into()),
                number(service.slots.into()),
                text(&service.on_down),
                text(snat),
            ]);
        }
        row
    };
    table(style, &header, services.iter().map(row), "no services; add one: `lbctl service add --help`")
}

/// `lbctl service show`.
pub(in crate::cli) fn service(service: &Service, style: Style) -> String {
    let mut lines = vec![
        ("name", service.name.clone()),
        ("id", service.id.to_string()),
        ("address", endpoint(service.address, service.port)),
        ("protocol", service.protocol.clone()),
        ("mode", service.mode.clone()),
        ("algorithm", service.algorithm.clone()),
        ("slots", service.slots.to_string()),
    ];
    if let Some(affinity) = affinity(service) {
        lines.push(("affinity", affinity));
    }
    if let Some(connections) = connections(service) {
        lines.push(("connections", connections));
    }
    if let Some(cookies) = cookies(service) {
        lines.push(("SYN cookies", cookies));
    }
    if !service.snat_addresses.is_empty() {
        let addresses: Vec<String> = service.snat_addresses.iter().map(ToString::to_string).collect();
        lines.push(("SNAT addresses", addresses.join(", ")));
    }
    lines.push(("on down", service.on_down.clone()));
    let health = service.health.as_ref().map_or_else(
        || "not checked".to_owned(),
        |health| {
            let port = health.port.map_or_else(|| "the backend's".to_owned(), |port| port.to_string());
            format!(
                "{} every {}, timeout {}, rise {}, fall {}, port {port}",
                health.probe_type.as_deref().unwrap_or("tcp"),
                health.interval.as_deref().unwrap_or("-"),
                health.timeout.as_deref().unwrap_or("-"),
                health.rise.unwrap_or_default(),
                health.fall.unwrap_or_default(),
            )
        },
    );
    lines.push(("health", health));
    let probe = service.health.as_ref().map(probe_settings).unwrap_or_default();
    if !probe.is_empty() {
        lines.push(("probe", probe));
    }
    if let Some(rules) = service.health.as_ref().and_then(rules) {
        lines.push(("health rules", rules));
    }
    if let Some(slow_start) = &service.slow_start {
        lines.push(("slow start", slow_start.clone()));
    }
    match service.condition.as_str() {
        "panic" => lines.push(("PANIC", "so few backends are healthy that all are used".to_owned())),
        "backup" => lines.push(("backups", "in use, as too few other backends are healthy".to_owned())),
        _ if service.backends.iter().any(|backend| backend.backup) => {
            lines.push(("backups", format!("used below {} healthy others", service.backup_below)));
        }
        _ => {}
    }
    format!("{}\n{}", facts(&lines), backends(&service.name, &service.backends, style))
}

/// By what a client keeps its backend: `10m for each /24, 17 clients known`.
fn affinity(service: &Service) -> Option<String> {
    let of = service.affinity_prefix.map_or_else(|| "each client".to_owned(), |bits| format!("each /{bits}"));
    match (&service.affinity_timeout, service.affinity_prefix) {
        (Some(timeout), _) => {
            let clients = service.affinity_clients.unwrap_or_default();
            Some(format!("{timeout} for {of}, {clients} known"))
        }
        (None, Some(_)) => Some(format!("by hash of {of}")),
        (None, None) => None,
    }
}

/// How many of the places that there are: `7 of 10, else drop`.
fn connections(service: &Service) -> Option<String> {
    let now = service.connections?;
    let most = service.max_connections.map_or_else(|| "any number".to_owned(), |most| most.to_string());
    Some(format!("{now} of {most}, others: {}", service.on_full))
}

/// What it does with SYN cookies: `auto, off: 12 half-open; 3 sent, 2 accepted, 0 invalid`.
fn cookies(service: &Service) -> Option<String> {
    let cookies = service.cookies?;
    let now = if cookies.active { "on" } else { "off" };
    let mut shown = format!("{}, {now}: {} half-open", service.syn_cookies, cookies.half_open);
    if cookies.sent > 0 {
        shown.push_str(&format!(
            "; {} sent, {} accepted, {} invalid",
            cookies.sent, cookies.accepted, cookies.invalid
        ));
    }
    Some(shown)
}

/// The rules of a health check that are not the usual ones.
fn rules(health: &Health) -> Option<String> {
    let usual = HealthCheck::default();
    let mut rules = Vec::new();
    if let Some(fast) = &health.fast_interval {
        rules.push(format!("every {fast} until the verdict"));
    }
    if let Some(jitter) = health.jitter.as_ref().filter(|jitter| *jitter != "0s") {
        rules.push(format!("jitter {jitter}"));
    }
    if let Some(flaps) = health.max_flaps.filter(|flaps| *flaps != usual.damping.max_flaps) {
        rules.push(if flaps == 0 { "no flap damping".to_owned() } else { format!("max flaps {flaps}") });
    }
    if let Some(percent) = health.max_ejected.filter(|percent| *percent != usual.max_ejected) {
        rules.push(format!("max ejected {percent} %"));
    }
    if let Some(percent) = health.panic_threshold.filter(|percent| *percent != usual.panic_threshold) {
        rules.push(format!("panic below {percent} %"));
    }
    let passive = &usual.passive;
    let unusual = [
        health.passive_window.as_ref().filter(|window| **window != format_duration(passive.window)).cloned(),
        health.passive_count.filter(|count| *count != passive.count).map(|count| format!("{count} signals")),
        health
            .passive_percent
            .filter(|part| *part != passive.percent)
            .map(|part| format!("{part} % of SYNs")),
    ];
    let unusual: Vec<String> = unusual.into_iter().flatten().collect();
    if health.passive == Some(false) {
        rules.push("no passive signals".to_owned());
    } else if !unusual.is_empty() {
        rules.push(format!("suspect by {}", unusual.join(", ")));
    }
    (!rules.is_empty()).then(|| rules.join(", "))
}

/// What a health check does, as in the configuration file: `path = "/", ...`.
fn probe_settings(health: &Health) -> String {
    let common = Health {
        interval: None,
        timeout: None,
        rise: None,
        fall: None,
        port: None,
        fast_interval: None,
        jitter: None,
        max_flaps: None,
        flap_window: None,
        hold_down: None,
        max_hold_down: None,
        max_ejected: None,
        panic_threshold: None,
        passive: None,
        passive_window: None,
        passive_count: None,
        passive_percent: None,
        probe_type: None,
        ..health.clone()
    };
    // A body without maps whose keys are no texts has a JSON form.
    let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(&common) else { return String::new() };
    let mut parts: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if health.tls_verify == Some(false) {
        parts.push("CERTIFICATES ARE NOT VERIFIED".to_owned());
    }
    parts.join(", ")
}

/// `lbctl backend list SERVICE`.
pub(in crate::cli) fn backends(service: &str, backends: &[Backend], style: Style) -> String {
    let extra = Extra::of(&backends.iter().collect::<Vec<_>>(), style);
    let mut header = vec!["NAME", "ADDRESS", "WEIGHT", "STATE", "HEALTH"];
    header.extend(extra.titles());
    let none = format!("no backends; add one: `lbctl backend add {service} NAME ADDRESS:PORT`");
    table(style, &header, backends.iter().map(|backend| backend_row(backend, extra).collect()), &none)
}

/// `lbctl backend list`.
pub(in crate::cli) fn all_backends(services: &[Service], style: Style) -> String {
    let extra = Extra::of(&services.iter().flat_map(|service| &service.backends).collect::<Vec<_>>(), style);
    let mut header = vec!["SERVICE", "NAME", "ADDRESS", "WEIGHT", "STATE", "HEALTH"];
    header.extend(extra.titles());
    let row = |service: &Service, backend| {
        std::iter::once(text(&service.name)).chain(backend_row(backend, extra)).collect()
    };
    let rows =
        services.iter().flat_map(|service| service.backends.iter().map(move |backend| row(service, backend)));
    table(style, &header, rows, "no backends; add one: `lbctl backend add SERVICE NAME ADDRESS:PORT`")
}

/// Columns that are there when a backend has something for them, and in wide lists the id in the maps and the state as configured.
#[derive(Clone, Copy, Debug, Default)]
struct Extra {
    limits: bool,
    drains: bool,
    notes: bool,
    wide: bool,
}

impl Extra {
    fn of(backends: &[&Backend], style: Style) -> Self {
        Self {
            limits: backends.iter().any(|backend| backend.connections.is_some()),
            drains: backends.iter().any(|backend| backend.drain.is_some()),
            notes: backends.iter().any(|backend| note(backend).is_some()),
            wide: style.wide,
        }
    }

    fn titles(self) -> impl Iterator<Item = &'static str> {
        let some = self.limits.then_some("CONNECTIONS").into_iter();
        let some = some.chain(self.drains.then_some("DRAIN")).chain(self.notes.then_some("NOTE"));
        some.chain(self.wide.then_some(["ID", "CONFIGURED"]).into_iter().flatten())
    }
}

fn backend_row(backend: &Backend, extra: Extra) -> impl Iterator<Item = Value> + use<> {
    [
        text(&backend.name),
        text(endpoint(backend.address, backend.port)),
        number(u64::from(backend.weight)),
        state(&backend.effective),
        state(&backend.health),
    ]
    .into_iter()
    .chain(extra.limits.then(|| text(places(backend))))
    .chain(extra.drains.then(|| text(drain(backend))))
    .chain(extra.notes.then(|| text(note(backend).unwrap_or_else(|| "-".to_owned()))))
    .chain(extra.wide.then(|| [number(backend.id.into()), text(&backend.state)]).into_iter().flatten())
}

/// When a drain ends, and how; nothing if it has no deadline.
pub(in crate::cli) fn drain_end(drain: &Drain) -> String {
    match (&drain.until, drain.then.as_deref()) {
        (None, _) => String::new(),
        (Some(until), Some("rst")) => format!("until {until}; then flows that are left are reset\n"),
        (Some(until), _) => format!("until {until}; then flows that are left go on\n"),
    }
}

/// How many of its places are in use: `7/10`, or `7` of any number.
fn places(backend: &Backend) -> String {
    match (backend.connections, backend.max_connections) {
        (None, _) => "-".to_owned(),
        (Some(connections), None) => connections.to_string(),
        (Some(connections), Some(most)) => format!("{connections}/{most}"),
    }
}

/// How far a drain is.
fn drain(backend: &Backend) -> String {
    let Some(drain) = &backend.drain else { return "-".to_owned() };
    match (drain.drained, drain.flows) {
        (true, _) => "drained".to_owned(),
        (false, Some(flows)) => format!("{flows} flows left"),
        (false, None) => "flows not counted yet".to_owned(),
    }
}

/// Address and port; `*` for every port.
fn endpoint(address: IpAddr, port: u16) -> String {
    match (address, port) {
        (IpAddr::V4(_), 0) => format!("{address}:*"),
        (IpAddr::V6(_), 0) => format!("[{address}]:*"),
        _ => SocketAddr::new(address, port).to_string(),
    }
}

/// A duration as people say it, in its two largest units.
pub(in crate::cli) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}
