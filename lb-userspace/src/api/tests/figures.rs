//! Flows, counters and drops, with names instead of ids.

use lb_common::abi::DropReason;
use serde_json::json;

use super::fixture::Daemon;

#[tokio::test]
async fn flows_are_listed_and_filtered() {
    let daemon = Daemon::start();
    let list = daemon.get("/v1/flows").await;
    let expected = json!({
        "service": "web", "backend": "b1", "protocol": "tcp", "client": "198.51.100.7:40000", "vip": "203.0.113.10:80",
        "source": "198.51.100.7:40000", "destination": "10.0.0.11:8080", "state": "established", "idle_seconds": 3,
    });
    assert_eq!(list["flows"][0], expected);
    assert_eq!(list["flows"][2]["backend"], "#99", "a backend that is gone");
    assert_eq!(list["truncated"], false);
    for (query, count) in [
        ("service=web", 3),
        ("service=dns", 0),
        ("backend=b2", 1),
        ("service=web&backend=b1", 1),
        ("client=198.51.100.7", 2),
        ("client=198.51.100.7&backend=b2", 1),
    ] {
        let list = daemon.get(&format!("/v1/flows?{query}")).await;
        assert_eq!(list["flows"].as_array().unwrap().len(), count, "{query}");
    }
    let list = daemon.get("/v1/flows?limit=1").await;
    assert_eq!((list["flows"].as_array().unwrap().len(), &list["truncated"]), (1, &json!(true)));
}

#[tokio::test]
async fn flows_are_counted_for_every_backend() {
    let daemon = Daemon::start();
    let row = |service: &str, backend: &str, established: u64, embryonic: u64| json!({"service": service, "backend": backend, "established": established, "embryonic": embryonic});
    let rows =
        [row("web", "b1", 5, 1), row("web", "b2", 0, 0), row("dns", "d1", 0, 0), row("web", "#99", 2, 0)];
    assert_eq!(daemon.get("/v1/flows/count").await, json!({"total": 8, "embryonic": 1, "backends": rows}));
}

#[tokio::test]
async fn every_service_and_backend_has_counters() {
    let daemon = Daemon::start();
    let stats = daemon.get("/v1/stats").await;
    let web = json!({
        "service": "web", "packets_in": 10, "bytes_in": 1000, "packets_out": 9, "bytes_out": 900, "flows": 2,
    });
    assert_eq!(stats["services"][0], web);
    assert_eq!(stats["services"][1]["service"], "dns");
    assert_eq!(stats["services"][1]["packets_in"], 0);
    assert_eq!(stats["backends"].as_array().unwrap().len(), 3);
    assert_eq!(stats["backends"][0]["backend"], "b1");
    assert_eq!(stats["interfaces"][0]["rx_packets"], 11);
}

#[tokio::test]
async fn every_drop_reason_is_listed_with_its_meaning() {
    let daemon = Daemon::start();
    let drops = daemon.get("/v1/drops").await;
    let drops = drops.as_array().unwrap();
    assert_eq!(drops.len(), DropReason::ALL.len());
    for (drop, reason) in drops.iter().zip(DropReason::ALL) {
        assert_eq!(drop["reason"], reason.as_str());
        assert_eq!(drop["packets"], if *reason == DropReason::NoRoute { 7 } else { 0 });
        assert_eq!(drop["description"], reason.description());
    }
}
