//! Answers of a daemon whose figures are known.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{
    screen::Screen,
    state::{Besides, Round, State},
};

/// A backend of the services below.
fn backend(name: &str, address: &str, health: &str) -> Value {
    let is_down = health == "down";
    let mut backend = json!({
        "name": name, "id": 1, "address": address, "port": 8080, "weight": 100, "state": "enabled",
        "effective": if is_down { "down" } else { "active" }, "health": health,
        "standing": if is_down { "ejected" } else { "serving" },
        "effective_weight": if is_down { 0 } else { 100 }, "since_seconds": 65,
    });
    if is_down {
        backend["reason"] = "connection refused".into();
    }
    backend
}

fn service(name: &str, address: &str, port: u16, backends: &[Value]) -> Value {
    json!({
        "name": name, "id": 1, "address": address, "protocol": "tcp", "port": port, "mode": "nat", "algorithm": "maglev",
        "slots": 65537, "on_full": "drop", "syn_cookies": "auto", "on_down": "reselect", "backup_below": 0, "condition": "normal", "backends": backends,
    })
}

fn traffic(packets: u64) -> Value {
    json!({"packets_in": packets, "bytes_in": packets * 100, "packets_out": packets * 2, "bytes_out": packets * 2000, "flows": packets / 10})
}

fn with(mut row: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        row[key] = value.clone();
    }
    row
}

/// The overview so many seconds after `lbd` started, with rates that are proportional to `pace`.
pub(super) fn overview(seconds: u64, pace: u64) -> Value {
    let packets = |share: u64| traffic(seconds * pace * share);
    let stat = |service: &str, share: u64| with(json!({"service": service}), &packets(share));
    let of_backend = |service: &str, backend: &str, share: u64| {
        let names = json!({"service": service, "backend": backend, "syns": 0, "syn_acks": 0, "syn_resets": 0, "unreachable": 0, "unreachable_by_routers": 0});
        with(names, &packets(share))
    };
    let pool = |service: &str, backends: u64, healthy: u64, flows: u64| json!({"service": service, "backends": backends, "wanted": backends, "healthy": healthy, "established": flows, "embryonic": 3});
    let web = [
        backend("b1", "10.0.0.11", "up"),
        backend("b2", "10.0.0.12", "down"),
        backend("b3", "2001:db8::13", "up"),
    ];
    let long = "a-service-with-a-name-that-is-as-long-as-names-may-be-at-most-1";
    json!({
        "milliseconds": seconds * 1000,
        "status": {
            "version": "0.1.0", "uptime_seconds": seconds, "config_file": "/etc/lb/lb.toml", "unsaved_changes": false,
            "interfaces": [], "services": 3, "backends": {"active": 4, "draining": 0, "down": 1, "disabled": 0}, "flows": 12_345,
        },
        "services": [
            service("web", "203.0.113.10", 80, &web),
            service("dns", "203.0.113.10", 0, &[backend("d1", "10.0.0.53", "unknown")]),
            service(long, "2001:db8::1:10", 443, &[]),
        ],
        "pools": [pool("web", 3, 2, 12_000), pool("dns", 1, 1, 342), pool(long, 0, 0, 0)],
        "more": 0,
        "stats": {
            "services": [stat("web", 30), stat("dns", 4), stat(long, 0)],
            "backends": [of_backend("web", "b1", 20), of_backend("web", "b2", 0), of_backend("web", "b3", 10)],
            "interfaces": [{"name": "eth0", "ifindex": 2, "rx_packets": seconds * pace * 40, "rx_bytes": seconds * pace * 4000, "tx_packets": seconds * pace * 38,
                "tx_bytes": seconds * pace * 3800, "passed": seconds, "dropped": seconds * 5}],
        },
        "totals": packets(34),
        "flows": [
            {"service": "web", "backend": "b1", "established": 8000, "embryonic": 2},
            {"service": "web", "backend": "b3", "established": 4000, "embryonic": 1},
        ],
        "drops": [
            {"reason": "no-service", "packets": seconds * 5, "description": "Nothing listens there.", "usual": true,
             "causes": ["Scanners try every port.", "A service is missing in the configuration."], "look": ["lbctl service list"]},
            {"reason": "no-backend", "packets": seconds, "description": "The service has no backend that takes flows.", "usual": false,
             "causes": ["All backends are down."], "look": ["lbctl backend list"]},
        ],
        "dropped": seconds * 6,
        "virtual_routers": [{
            "name": "outside", "interface": "eth0", "virtual_router_id": 51, "state": "active", "priority": 120, "configured_priority": 150,
            "tracked": [{"name": "interface eth1", "state": "down", "held": false, "fault": false, "priority": -30}],
            "virtual_addresses": ["203.0.113.10/24"], "taking_over": false, "transitions": 2, "notify_failures": 0, "rejected": {"checksum": 4},
        }],
    })
}

pub(super) fn round(seconds: u64, pace: u64) -> Round {
    Round { overview: serde_json::from_value(overview(seconds, pace)).unwrap(), besides: None }
}

/// A state before anything was read.
pub(super) fn begun(screen: Screen) -> State {
    State::new("/run/lb/lbd.sock".to_owned(), screen, None, Duration::from_secs(2))
}

/// A state after readings with growing rates, the last of them with what the screen needs besides.
pub(super) fn shown(screen: Screen, besides: Option<&Besides>) -> State {
    let mut state = begun(screen);
    let mut counted = 0;
    for (index, pace) in [0_u64, 1000, 2000, 4000, 8000, 4000].into_iter().enumerate() {
        let seconds = 90_000 + 2 * index as u64;
        counted += 2 * pace;
        // The counters that rates of `pace` since the reading before lead to.
        let mut round = round(seconds, 0);
        let told: Round = Round {
            overview: serde_json::from_value(overview(1, counted)).unwrap(),
            besides: besides.cloned().map(Ok),
        };
        (round.overview.stats, round.overview.totals) = (told.overview.stats, told.overview.totals);
        round.besides = told.besides;
        let wanted = state.wanted();
        state.take(&wanted, round);
    }
    state
}

pub(super) fn top() -> Besides {
    let group = |client: &str, established: u64, embryonic: u64| json!({"client": client, "established": established, "embryonic": embryonic});
    let tables = json!([{"table": "FLOWS_V4", "entries": 24_690, "capacity": 131_072}]);
    let largest = [group("198.51.100.7", 8000, 3), group("2001:db8:7:1::1234", 4000, 0)];
    let top = json!({"by": "client", "established": 12_342, "embryonic": 3, "groups": 345, "largest": largest, "tables": tables});
    Besides::Top(serde_json::from_value(top).unwrap())
}

pub(super) fn flows() -> Besides {
    let flow = |port: u16, state: &str, idle: u64| {
        json!({"service": "web", "backend": "b1", "protocol": "tcp", "client": format!("198.51.100.7:{port}"), "vip": "203.0.113.10:80",
            "source": format!("198.51.100.7:{port}"), "destination": "10.0.0.11:8080", "state": state, "idle_seconds": idle})
    };
    let flows = json!({"flows": [flow(40_001, "established", 3), flow(40_002, "syn-sent", 0), flow(40_003, "established", 700)], "truncated": true});
    Besides::Flows(serde_json::from_value(flows).unwrap())
}

pub(super) fn vrrp() -> Besides {
    let event = |sequence: u64, time: &str, from: &str, to: &str| json!({"sequence": sequence, "time": time, "topic": "vrrp", "kind": "vrrp-state", "attributes": {"router": "outside", "from": from, "to": to}});
    let events = json!([
        event(7, "2026-11-22T23:10:00.250Z", "initialize", "backup"),
        event(9, "2026-11-22T23:10:03.125Z", "backup", "active"),
    ]);
    let replication = json!({
        "state": "synced", "peer": "192.0.2.2", "peer_synced": true, "lag_seconds": 0.012, "waiting": 4, "sessions": 1, "packets_sent": 10,
        "packets_received": 11, "flows_sent": 24_000, "flows_received": 23_990, "flows_stored": 23_990, "flows_unknown_service": 0,
        "flows_unknown_backend": 2, "flows_conflicting": 0, "flows_forgotten": 1, "flows_lost": 0, "gaps": 0, "resent": 0, "rejected": {},
    });
    Besides::Vrrp(
        Box::new(serde_json::from_value(replication).unwrap()),
        serde_json::from_value(events).unwrap(),
    )
}
