//! What is asked for is done, lasting or not.

use hyper::Method;
use serde_json::{Value, json};

use super::fixture::Daemon;

#[tokio::test]
async fn a_service_is_added_changed_and_removed() {
    let daemon = Daemon::start();
    let body = r#"{"name": "mail", "address": "203.0.113.10", "protocol": "tcp", "port": 25, "slots": 101,
        "backends": [{"name": "m1", "address": "10.0.0.25"}]}"#;
    let added = daemon.call(Method::POST, "/v1/services", body).await;
    assert_eq!(added["name"], "mail");
    assert_eq!(added["mode"], "nat");
    assert_eq!(added["backends"][0]["port"], 25, "the service's port");
    assert_ne!(added["id"], 0);
    assert_eq!(daemon.store.config().services.len(), 3);

    let path = "/v1/services/mail";
    let full_nat = r#"{"mode": "full-nat", "snat_addresses": ["10.0.0.2"], "health": {"interval": "2s"}}"#;
    let changed = daemon.call(Method::PATCH, path, full_nat).await;
    assert_eq!(changed["snat_addresses"], json!(["10.0.0.2"]));
    assert_eq!(changed["health"]["interval"], "2s");
    assert_eq!(changed["health"]["fall"], 3, "the default");
    let changed = daemon.call(Method::PATCH, path, r#"{"health": {"fall": 5}}"#).await;
    assert_eq!((&changed["health"]["interval"], &changed["health"]["fall"]), (&json!("2s"), &json!(5)));
    let changed = daemon.call(Method::PATCH, path, r#"{"mode": "nat", "health": null}"#).await;
    assert_eq!((changed.get("snat_addresses"), changed.get("health")), (None, None));
    assert_eq!(daemon.get(path).await, changed);

    assert_eq!(daemon.call(Method::DELETE, path, "").await, Value::Null);
    assert_eq!(daemon.get("/v1/services").await.as_array().unwrap().len(), 2);
    assert_eq!(daemon.store.config().services.len(), 2);
}

#[tokio::test]
async fn a_backend_is_added_changed_and_removed() {
    let daemon = Daemon::start();
    let list = "/v1/services/web/backends";
    let body = r#"{"name": "b3", "address": "10.0.0.13", "weight": 7}"#;
    let added = daemon.call(Method::POST, list, body).await;
    assert_eq!(
        (&added["port"], &added["weight"], &added["effective"]),
        (&json!(80), &json!(7), &json!("active"))
    );
    let changed = daemon.call(Method::PATCH, &format!("{list}/b3"), r#"{"state": "draining"}"#).await;
    assert_eq!((&changed["state"], &changed["effective"]), (&json!("draining"), &json!("draining")));
    assert_eq!(changed["weight"], 7, "what is left out stays");
    assert_eq!(daemon.get(list).await[2], changed);
    daemon.call(Method::DELETE, &format!("{list}/b3"), "").await;
    assert_eq!(daemon.get(list).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_runtime_change_is_not_written_and_status_says_so() {
    let daemon = Daemon::start();
    daemon.call(Method::PATCH, "/v1/services/web/backends/b1?runtime=true", r#"{"weight": 1}"#).await;
    assert_eq!(daemon.get("/v1/services/web").await["backends"][0]["weight"], 1);
    assert_eq!(daemon.store.config(), crate::control::fixture::example());
    assert_eq!(daemon.get("/v1/status").await["unsaved_changes"], true);

    assert_eq!(
        daemon.call(Method::POST, "/v1/config/reload", "").await,
        json!({"services": 2, "backends": 3})
    );
    assert_eq!(daemon.get("/v1/services/web").await["backends"][0]["weight"], 100);
    assert_eq!(daemon.get("/v1/status").await["unsaved_changes"], false);
}

#[tokio::test]
async fn concurrent_changes_all_happen() {
    let daemon = Daemon::start();
    let add = |number: usize| {
        let body = format!(r#"{{"name": "c{number}", "address": "10.0.1.{number}"}}"#);
        let client = daemon.client.clone();
        tokio::spawn(async move {
            client.call(Method::POST, "/v1/services/web/backends", body.into()).await.map(|_| ())
        })
    };
    let tasks: Vec<_> = (1..=40).map(add).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(daemon.get("/v1/services/web/backends").await.as_array().unwrap().len(), 42);
    assert_eq!(daemon.store.config().services[0].backends.len(), 42);
}

#[tokio::test]
async fn status_sums_up() {
    let daemon = Daemon::start();
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": 61,
        "config_file": "/etc/lb/lb.toml",
        "unsaved_changes": false,
        "drift_repaired": 0,
        "event_subscribers": 0,
        "interfaces": [{"name": "eth0", "ifindex": 2, "mode": "native"}],
        "services": 2,
        "backends": {"active": 3, "draining": 0, "down": 0, "disabled": 0},
        "flows": 8,
    });
    assert_eq!(daemon.get("/v1/status").await, expected);
}
