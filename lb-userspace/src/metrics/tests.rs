//! What is printed, and how the server behaves.

use std::{sync::Arc, time::Duration};

use lb_common::abi::{BackendSignals, DropReason, Latencies, Refusals, TrafficCounters};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::api::{Replication, Tracked};
use crate::events::EventCounts;
use crate::flows::CookieUse;
use crate::model::{Condition, Health, LatencyMetrics, Standing};
use crate::sys::bpf::ProgramFigures;
use crate::{
    maps::Part,
    reconcile::{Drift, DriftCounts, DriftKind},
};

fn router() -> RouterSample {
    RouterSample {
        name: "outside".into(),
        vip: "203.0.113.10".into(),
        state: "active",
        priority: 150,
        standby: false,
        transitions: vec![("active", "silence", 2)],
        sent: 31,
        received: 32,
        rejected: vec![("checksum", 33), ("vrid", 0)],
        announcements: 34,
        claims: 36,
        takeover: Some(Duration::from_millis(340)),
        tracked: vec![Tracked {
            name: "service web".into(),
            state: "down".into(),
            priority: -50,
            ..Tracked::default()
        }],
        notify_failures: Some(37),
    }
}

fn latencies() -> Latencies {
    let mut latencies = Latencies::default();
    latencies.handshake.add(100);
    latencies.rtt.add(3000);
    latencies
}

fn program() -> ProgramFigures {
    ProgramFigures {
        verified_instructions: 41,
        translated_bytes: 42,
        jited_bytes: 43,
        runs: 44,
        run_time: Duration::from_nanos(45_000_000_046),
    }
}

fn pool() -> PoolSample {
    PoolSample {
        service: "web".into(),
        backend: "b1".into(),
        address: "192.0.2.1".into(),
        in_use: 5,
        capacity: 31_744,
    }
}

fn observation() -> Observation {
    let traffic = TrafficCounters { packets_in: 3, bytes_in: 300, packets_out: 2, bytes_out: 200, flows: 1 };
    let backend = BackendSample {
        name: "b1".into(),
        traffic,
        active_flows: 1,
        up: true,
        weight: 100,
        effective_weight: 35,
        health: Health::Up,
        transitions: 6,
        connections: Some(7),
        max_connections: 10,
        signals: BackendSignals { counts: [21, 22, 23, 24, 25, 0, 0, 0] },
        suspects: 26,
        latencies: latencies(),
        ..BackendSample::default()
    };
    let (health, standing) = (Health::Down, Standing::Ejected);
    let down = BackendSample { name: "b2".into(), health, standing, held: true, ..BackendSample::default() };
    let services = vec![ServiceSample {
        name: "web".into(),
        traffic,
        active_flows: 1,
        condition: Condition::Panic,
        healthy: 1,
        connections: Some(9),
        max_connections: 50,
        refusals: Refusals { counts: [41, 42, 43, 44, 45, 46, 47, 48] },
        cookies: Some(CookieUse { active: true, half_open: 51, sent: 52, accepted: 53, invalid: 54 }),
        clients: Some(3),
        backends: vec![backend, down],
    }];
    let mut drift = DriftCounts::default();
    drift.add(&Drift { part: Part::Backends, kind: DriftKind::Changed, count: 2, examples: Vec::new() });
    Observation {
        version: "1.2.3",
        services,
        latency: LatencyMetrics::Backend,
        program: Some(program()),
        captures: 47,
        interfaces: vec![InterfaceSample {
            name: "eth0".into(),
            mode: "native",
            ..InterfaceSample::default()
        }],
        blocked_prefixes: 45,
        drops: vec![7],
        tables: vec![TableSample { name: "flows_v4".into(), entries: 2, capacity: 1024 }],
        pools: vec![pool()],
        pins_in_reach: true,
        reconcile_errors: 4,
        drift,
        events: EventCounts { published: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], lost: 6, subscriptions: 7 },
        routers: vec![router()],
        unknown_adverts: vec![("vrid", 35)],
        replication: None,
    }
}

#[test]
fn latencies_are_of_backends_or_of_services_and_only_of_those_that_have_some() {
    let mut observation = observation();
    let of_backends = text(&observation).unwrap();
    for line in [
        r#"lb_backend_handshake_seconds_bucket{backend="b1",service="web",le="0.000131072"} 1"#,
        r#"lb_backend_handshake_seconds_count{backend="b1",service="web"} 1"#,
        r#"lb_backend_rtt_seconds_bucket{backend="b1",service="web",le="0.002097152"} 0"#,
        r#"lb_backend_rtt_seconds_bucket{backend="b1",service="web",le="0.004194304"} 1"#,
    ] {
        assert!(of_backends.lines().any(|found| found == line), "{line} is missing in\n{of_backends}");
    }
    assert!(!of_backends.contains(r#"lb_backend_rtt_seconds_count{backend="b2""#));
    // A second backend, with as many.
    observation.services[0].backends[1].latencies = observation.services[0].backends[0].latencies;
    observation.latency = LatencyMetrics::Service;
    let of_services = text(&observation).unwrap();
    assert!(of_services.contains("lb_backend_handshake_seconds_count{service=\"web\"} 2\n"), "{of_services}");
    observation.latency = LatencyMetrics::Off;
    assert!(!text(&observation).unwrap().contains("lb_backend_handshake_seconds"));
}

#[test]
fn every_figure_is_printed_with_its_labels() {
    let text = text(&observation()).unwrap();
    for line in [
        "lb_program_verified_instructions 41",
        "lb_captures 47",
        "lb_program_code_bytes 43",
        "lb_program_runs_total 44",
        "lb_program_run_seconds_total 45.000000046",
        r#"lb_service_packets_total{direction="in",service="web"} 3"#,
        r#"lb_events_total{topic="health"} 3"#,
        "lb_events_lost_total 6",
        r#"lb_service_refused_total{reason="source-blocked",service="web"} 41"#,
        "lb_blocked_prefixes 45",
        "lb_event_subscribers 7",
        r#"lb_service_bytes_total{direction="out",service="web"} 200"#,
        r#"lb_service_flows_total{service="web"} 1"#,
        r#"lb_service_active_flows{service="web"} 1"#,
        r#"lb_backend_packets_total{backend="b1",direction="out",service="web"} 2"#,
        r#"lb_backend_active_flows{backend="b1",service="web"} 1"#,
        r#"lb_backend_up{backend="b1",service="web"} 1"#,
        r#"lb_backend_up{backend="b2",service="web"} 0"#,
        r#"lb_backend_weight{backend="b1",service="web"} 100"#,
        r#"lb_backend_effective_weight{backend="b1",service="web"} 35"#,
        r#"lb_backend_health_transitions_total{backend="b1",service="web"} 6"#,
        r#"lb_backend_health_known{backend="b1",service="web"} 1"#,
        r#"lb_backend_ejected{backend="b1",service="web"} 0"#,
        r#"lb_backend_ejected{backend="b2",service="web"} 1"#,
        r#"lb_backend_forced{backend="b2",service="web"} 0"#,
        r#"lb_backend_held_down{backend="b2",service="web"} 1"#,
        r#"lb_backend_syns_total{backend="b1",service="web"} 21"#,
        r#"lb_backend_syn_acks_total{backend="b1",service="web"} 22"#,
        r#"lb_backend_syn_resets_total{backend="b1",service="web"} 23"#,
        r#"lb_backend_unreachable_total{backend="b1",service="web",source="backend"} 24"#,
        r#"lb_backend_unreachable_total{backend="b1",service="web",source="router"} 25"#,
        r#"lb_backend_suspects_total{backend="b1",service="web"} 26"#,
        r#"lb_backend_suspects_total{backend="b2",service="web"} 0"#,
        r#"lb_service_healthy_backends{service="web"} 1"#,
        r#"lb_service_panic{service="web"} 1"#,
        r#"lb_service_backups_in_use{service="web"} 0"#,
        r#"lb_interface_packets_total{direction="rx",interface="eth0"} 0"#,
        r#"lb_interface_passed_packets_total{interface="eth0"} 0"#,
        r#"lb_xdp_mode{interface="eth0",mode="native"} 1"#,
        r#"lb_flow_table_entries{table="flows_v4"} 2"#,
        r#"lb_flow_table_capacity{table="flows_v4"} 1024"#,
        r#"lb_snat_ports_in_use{address="192.0.2.1",backend="b1",service="web"} 5"#,
        r#"lb_snat_ports_capacity{address="192.0.2.1",backend="b1",service="web"} 31744"#,
        "lb_reconcile_errors_total 4",
        "lb_pins_in_reach 1",
        r#"lb_drift_repaired_total{kind="changed",map="backends"} 2"#,
        r#"lb_drift_repaired_total{kind="extra",map="slots"} 0"#,
        r#"lb_build_info{version="1.2.3"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
    }
}

#[test]
fn every_figure_of_virtual_routers_is_printed_with_its_labels() {
    let text = text(&observation()).unwrap();
    for line in [
        r#"lb_vrrp_state{router="outside",state="active",vip="203.0.113.10"} 1"#,
        r#"lb_vrrp_state{router="outside",state="backup",vip="203.0.113.10"} 0"#,
        r#"lb_vrrp_transitions_total{cause="silence",router="outside",state="active"} 2"#,
        r#"lb_vrrp_priority{router="outside"} 150"#,
        r#"lb_vrrp_standby{router="outside"} 0"#,
        r#"lb_vrrp_adverts_sent_total{router="outside"} 31"#,
        r#"lb_vrrp_adverts_received_total{router="outside"} 32"#,
        r#"lb_vrrp_announcements_total{router="outside"} 34"#,
        r#"lb_vrrp_claims_total{router="outside"} 36"#,
        r#"lb_vrrp_takeover_seconds{router="outside"} 0.34"#,
        r#"lb_vrrp_tracked_up{name="service web",router="outside"} 0"#,
        r#"lb_vrrp_tracked_fault{name="service web",router="outside"} 0"#,
        r#"lb_vrrp_tracked_priority{name="service web",router="outside"} -50"#,
        r#"lb_vrrp_notify_failures_total{router="outside"} 37"#,
        r#"lb_vrrp_rejected_total{reason="checksum",router="outside"} 33"#,
        r#"lb_vrrp_rejected_total{reason="vrid",router=""} 35"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
    }
}

#[test]
fn every_drop_reason_is_there_even_if_nothing_was_dropped() {
    let text = text(&observation()).unwrap();
    for reason in DropReason::ALL {
        let count = if *reason as u32 == 0 { 7 } else { 0 };
        let line = format!("lb_drops_total{{reason=\"{}\"}} {count}", reason.as_str());
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn names_follow_the_conventions() {
    for line in text(&observation()).unwrap().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(name.starts_with("lb_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    }
}

/// A server that is asked once.
async fn ask(request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let source: Source = Arc::new(|| text(&observation()).map_err(|error| error.to_string()));
    let server = tokio::spawn(serve(listener, source, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    server.abort();
    reply
}

#[tokio::test]
async fn metrics_are_served_and_nothing_else_is() {
    let reply = ask("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("lb_build_info"), "{reply}");
    assert!(reply.contains(&format!("content-type: {}", prometheus::TEXT_FORMAT)), "{reply}");
    let reply = ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 404"), "{reply}");
    let reply = ask("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 405"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_is_given_up() {
    let reply = tokio::time::timeout(Duration::from_secs(10), ask("GET /metrics HTTP/1.1\r\n")).await;
    assert!(!reply.expect("the server closes the connection").contains("lb_build_info"));
}

#[test]
fn replication_is_printed_where_there_is_one() {
    let replication = Some(Replication {
        state: "syncing".into(),
        lag_seconds: 0.0125,
        flows_unknown_service: 1,
        flows_unknown_backend: 2,
        rejected: [("replayed".to_owned(), 4)].into(),
        ..Replication::default()
    });
    assert!(!text(&observation()).unwrap().contains("lb_replication"));
    let text = text(&Observation { replication, ..observation() }).unwrap();
    for line in [
        "lb_replication_connected 1",
        "lb_replication_synced 0",
        "lb_replication_lag_milliseconds 12",
        "lb_replication_flows_unknown_total 3",
        r#"lb_replication_rejected_total{reason="replayed"} 4"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing from:\n{text}");
    }
}

/// Everything that there can be.
fn whole() -> Observation {
    let replication = Replication { rejected: [("replayed".to_owned(), 4)].into(), ..Replication::default() };
    Observation { replication: Some(replication), ..observation() }
}

/// A family of the page: name, kind, the labels of its first sample, help text.
fn families(page: &str) -> Vec<(String, String, Vec<String>, String)> {
    let mut families: Vec<(String, String, Vec<String>, String)> = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.push((name.to_owned(), String::new(), Vec::new(), help.to_owned()));
        } else if let (Some(rest), Some(family)) = (line.strip_prefix("# TYPE "), families.last_mut()) {
            family.1 = rest.split_once(' ').unwrap().1.to_owned();
        } else if let Some(family) = families.last_mut().filter(|family| family.2.is_empty()) {
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            family.2 = names.filter(|name| name != "le").collect();
        }
    }
    families.sort();
    families
}

const RULE: &str = "every metric is in the table of docs/monitoring.md (LB_UPDATE_DOCS=1 writes it anew), has a sample in the \
                    observation of these tests, and one in the scrape of tests/tests/monitoring.rs";

#[test]
fn every_metric_that_the_code_names_has_a_sample() {
    let families = families(&text(&whole()).unwrap());
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/metrics");
    let mut named = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()) {
        let is_code =
            file.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("tests.rs");
        let source = if is_code { std::fs::read_to_string(&file).unwrap() } else { String::new() };
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let words = code.split('"').skip(1).step_by(2).filter(|word| word.starts_with("lb_"));
        named.extend(words.filter(|word| !word.contains(['{', ' '])).map(str::to_owned));
    }
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<&String> =
        named.iter().filter(|name| families.iter().all(|(family, ..)| family != *name)).collect();
    assert!(missing.is_empty(), "{missing:?}: {RULE}");
}

#[test]
fn the_documentation_lists_every_metric() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
    let found = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- metrics -->\n", "<!-- end -->");
    let (head, rest) = found.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    let mut table = "\n| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, kind, labels, help) in families(&text(&whole()).unwrap()) {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        table += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "));
    }
    let expected = format!("{head}{begin}{table}\n{end}{tail}");
    if std::env::var_os("LB_UPDATE_DOCS").is_some() {
        return std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(found, expected, "{RULE}");
}
