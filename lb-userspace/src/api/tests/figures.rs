//! Flows, counters and drops, with names instead of ids.

use hyper::{Method, StatusCode};
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

#[tokio::test]
async fn an_overview_has_what_the_others_show() {
    let daemon = Daemon::start();
    let seen = daemon.get("/v1/overview").await;
    assert_eq!(seen["milliseconds"], 61_000);
    for (part, path) in
        [("status", "/v1/status"), ("services", "/v1/services"), ("virtual_routers", "/v1/vrrp")]
    {
        assert_eq!(seen[part], daemon.get(path).await, "{path}");
    }
    let stats = daemon.get("/v1/stats").await;
    assert_eq!(seen["stats"], stats);
    assert_eq!(seen["totals"]["packets_in"], stats["services"][0]["packets_in"]);
    assert_eq!(seen["flows"], daemon.get("/v1/flows/count").await["backends"]);
    let drops = daemon.get("/v1/drops").await;
    let counted: Vec<_> = drops.as_array().unwrap().iter().filter(|drop| drop["packets"] != 0).collect();
    assert_eq!(seen["drops"], json!(counted));
    assert_eq!((&seen["dropped"], &seen["more"]), (&json!(7), &json!(0)));
}

#[tokio::test]
async fn an_overview_is_as_large_as_it_may_be() {
    let daemon = Daemon::start();
    let names = |seen: &serde_json::Value| {
        let services = seen["services"].as_array().unwrap().iter();
        services.map(|service| service["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (query, shown, more) in [
        ("limit=1", &["web"][..], 1),
        ("limit=0", &[], 2),
        ("matching=n", &["dns"], 0),
        ("matching=none", &[], 0),
        ("limit=1&matching=", &["web"], 1),
    ] {
        let seen = daemon.get(&format!("/v1/overview?{query}")).await;
        assert_eq!(
            (names(&seen), &seen["more"]),
            (shown.iter().map(|name| (*name).to_owned()).collect(), &json!(more)),
            "{query}"
        );
        let of_others = seen["stats"]["backends"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| !shown.contains(&row["service"].as_str().unwrap()));
        assert_eq!(of_others.count(), 0, "{query}");
    }
    let (status, _, path, message) = daemon.refusal(Method::GET, "/v1/overview?limit=1001", "").await;
    assert_eq!((status, path.as_str()), (StatusCode::BAD_REQUEST, "limit"));
    assert!(message.contains("1001 is too much; expected at most 1000"), "{message}");
}

#[tokio::test]
async fn an_overview_leaves_backends_out_that_nobody_wants_and_sums_them_up_all_the_same() {
    let daemon = Daemon::start();
    let whole = daemon.get("/v1/overview").await;
    let pool = |service: &str, backends: usize, established: u64, embryonic: u64| json!({"service": service, "backends": backends, "wanted": backends, "healthy": backends, "established": established, "embryonic": embryonic});
    assert_eq!(whole["pools"], json!([pool("web", 2, 7, 1), pool("dns", 1, 0, 0)]));
    for (wanted, backends) in [("", 0), ("dns", 1), ("web", 2), ("none", 0)] {
        let seen = daemon.get(&format!("/v1/overview?backends={wanted}")).await;
        let lists = seen["services"].as_array().unwrap().iter().map(|service| &service["backends"]);
        let listed: usize = lists.map(|list| list.as_array().unwrap().len()).sum();
        assert_eq!(listed, backends, "{wanted}");
        assert_eq!(seen["stats"]["backends"].as_array().unwrap().len(), backends, "{wanted}");
        assert_eq!(seen["pools"], whole["pools"], "{wanted}");
        assert_eq!(seen["totals"], whole["totals"], "{wanted}");
    }
}

#[tokio::test]
async fn a_history_is_of_all_services_or_of_one() {
    let daemon = Daemon::start();
    let all = daemon.get("/v1/history").await;
    assert_eq!((&all["times"], &all["packets_in"]), (&json!([1_700_000_005]), &json!([100.5])));
    assert_eq!(daemon.get("/v1/history?service=web").await["packets_in"], json!([]));
    assert_eq!(daemon.get("/v1/history?service=203.0.113.10:80/tcp").await["packets_in"], json!([]));
    let (status, ..) = daemon.refusal(Method::GET, "/v1/history?service=none", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
