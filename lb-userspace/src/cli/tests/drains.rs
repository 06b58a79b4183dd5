//! Drains by command.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use super::*;
use crate::control::{Event, fixture::moment};

/// A scan finds so many flows of backend `b1`, after all that was done.
async fn count(daemon: &Daemon, flows: u64) {
    let began = moment() + Duration::from_secs(10);
    // A scan counts from the moment on when the drain was seen to be in the maps.
    while daemon.control.snapshot().drains.get(&1).and_then(|view| view.flows) != Some(flows) {
        daemon.control.report(Event::Tick).await.unwrap();
        daemon.control.report(Event::Census { began, flows: BTreeMap::from([(1, flows)]) }).await.unwrap();
        daemon.control.repair().await.unwrap();
    }
}

#[tokio::test]
async fn a_drain_is_begun_shown_and_ended() {
    let daemon = Daemon::start();
    assert_eq!(run(&daemon, "backend drain web b1").await, "backend web b1 draining\n");
    count(&daemon, 2).await;
    assert!(run(&daemon, "backend list web").await.contains("draining  unknown  2 flows left\n"));
    count(&daemon, 0).await;
    let list = "\
NAME  ADDRESS         WEIGHT  STATE     HEALTH   DRAIN
b1    10.0.0.11:8080     100  draining  unknown  drained
b2    10.0.0.12:8080     100  active    unknown  -
";
    assert_eq!(run(&daemon, "backend list web").await, list);
    let backend = daemon.get("/v1/services/web/backends/b1").await;
    assert_eq!(backend["drain"], serde_json::json!({"flows": 0, "drained": true, "expired": false}));

    assert_eq!(run(&daemon, "backend undrain web b1").await, "backend web b1 enabled\n");
    assert_eq!(run(&daemon, "backend disable web b1").await, "backend web b1 disabled\n");
    assert_eq!(run(&daemon, "backend enable web b1").await, "backend web b1 enabled\n");
    assert_eq!(daemon.store.config(), example());
}

#[tokio::test]
async fn a_deadline_is_told_and_written() {
    let daemon = Daemon::start();
    let text = run(&daemon, "backend drain web b1 --deadline 1h --then rst --runtime").await;
    assert_eq!(
        text,
        "backend web b1 draining (not in the configuration file)\n\
         until 1970-01-01T01:00:00Z; then flows that are left are reset\n"
    );
    assert_eq!(daemon.store.config(), example());
    run(&daemon, "backend drain web b1 --deadline 1h").await;
    let drain = daemon.store.config().services[0].backends[0].drain.unwrap();
    assert_eq!(
        (drain.until.to_string(), drain.then.to_string()),
        ("1970-01-01T01:00:00Z".to_owned(), "keep".to_owned())
    );
    for (line, message) in [
        (
            "backend drain web b1 --deadline 1",
            r#"deadline: "1" is not a duration; expected one such as "500ms", "30s", "5m" or "2h""#,
        ),
        (
            "backend drain web b1 --deadline 200h",
            "services[web].backends[b1].deadline: 720000 s is not a deadline; expected 100ms to 168h",
        ),
    ] {
        assert_eq!(fail(&daemon, line).await, (Exit::Invalid, message.to_owned()), "{line}");
    }
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_last_flow_ends_or_somebody_ends_the_drain() {
    let daemon = Daemon::start();
    let socket = daemon.socket.clone();
    let waiting = tokio::spawn(async move { run_at(&socket, "backend drain web b1 --wait").await });
    while daemon.control.snapshot().drains.is_empty() {
        tokio::task::yield_now().await;
    }
    count(&daemon, 3).await;
    count(&daemon, 0).await;
    assert_eq!(waiting.await.unwrap().unwrap(), "backend web b1 drained\n");

    let socket = daemon.socket.clone();
    let waiting = tokio::spawn(async move { run_at(&socket, "backend drain web b2 --wait").await });
    while daemon.control.snapshot().drains.len() < 2 {
        tokio::task::yield_now().await;
    }
    run(&daemon, "backend undrain web b2").await;
    let failure = waiting.await.unwrap().unwrap_err();
    assert_eq!(failure.exit, Exit::Conflict);
    assert!(failure.message.contains("somebody changed it"), "{failure}");
}

#[tokio::test]
async fn flows_that_are_left_at_the_deadline_have_an_exit_code_of_their_own() {
    let daemon = Daemon::start();
    let socket = daemon.socket.clone();
    let line = "backend drain web b1 --deadline 60s --wait";
    let waiting = tokio::spawn(async move { run_at(&socket, line).await });
    while daemon.control.snapshot().drains.is_empty() {
        tokio::task::yield_now().await;
    }
    count(&daemon, 3).await;
    daemon.clock.store(60_000, Ordering::Relaxed);
    daemon.control.report(Event::Tick).await.unwrap();
    let failure = waiting.await.unwrap().unwrap_err();
    assert_eq!(failure.exit, Exit::Negative);
    assert_eq!(failure.message, "backend web b1 is not drained at the deadline: 3 flows are left");
}
