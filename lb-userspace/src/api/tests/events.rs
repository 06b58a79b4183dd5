//! Events over HTTP: as a list, and as a stream.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::json;

use super::fixture::Daemon;
use crate::{
    api::{Message, Stream},
    events::tests::{TELLERS, Teller, kinds_of},
};

const SOON: Duration = Duration::from_secs(10);

async fn set_weight(daemon: &Daemon, weight: u16) {
    let body = json!({ "weight": weight }).to_string();
    daemon.call(Method::PATCH, "/v1/services/dns/backends/d1", &body).await;
}

async fn next(stream: &mut Stream) -> Message {
    tokio::time::timeout(SOON, stream.next()).await.expect("nothing came").expect("the stream has ended")
}

async fn kinds(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut kinds = Vec::new();
    for _ in 0..count {
        match next(stream).await {
            Message::Event(event) => kinds.push(event.kind),
            Message::Lost(lost) => panic!("{lost:?}"),
        }
    }
    kinds
}

#[tokio::test]
async fn what_happened_is_listed_and_filtered() {
    let daemon = Daemon::start();
    let empty = daemon.get("/v1/events").await;
    assert_eq!(empty["events"], json!([]));
    set_weight(&daemon, 7).await;
    set_weight(&daemon, 8).await;
    let all = daemon.get("/v1/events").await;
    let kinds: Vec<&str> =
        all["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["config-changed", "backend-changed", "config-changed", "backend-changed"]);
    assert_eq!(all["events"][1]["attributes"]["backend"], "d1");
    assert_eq!(all["events"][0]["attributes"]["services"], 2, "a number");
    let some = daemon.get("/v1/events?filter=topic%3Dbackend").await;
    assert_eq!(some["events"].as_array().unwrap().len(), 2);
    assert_eq!(some["last"], all["last"], "what was not wanted is behind us, too");
    let last = daemon.get("/v1/events?limit=1").await;
    assert_eq!(last["events"], json!([all["events"][3]]));
    let rest = daemon.get(&format!("/v1/events?after={}", all["events"][2]["sequence"])).await;
    assert_eq!(rest["events"], json!([all["events"][3]]));
    assert_eq!(rest.get("lost"), None);
    let nothing = daemon.get(&format!("/v1/events?after={}", all["last"])).await;
    assert_eq!(nothing["events"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let daemon = Daemon::start();
    for (path, names, message) in [
        ("/v1/events?filter=servce%3Dweb", "filter", "column 1"),
        ("/v1/events?limit=9000", "limit", "expected at most 8192"),
        ("/v1/events?fliter=x", "query", "fliter"),
    ] {
        let (status, code, at, said) = daemon.refusal(Method::GET, path, "").await;
        assert_eq!(
            (status, code.as_str(), at.as_str()),
            (StatusCode::BAD_REQUEST, "invalid", names),
            "{path}"
        );
        assert!(said.contains(message), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_stream_gives_what_happens_and_resumes_where_it_ended() {
    let daemon = Daemon::start();
    let path = "/v1/events?filter=topic%3Dbackend";
    let mut stream = daemon.client.stream(path, None).await.unwrap();
    set_weight(&daemon, 7).await;
    let Message::Event(first) = next(&mut stream).await else { panic!("nothing is lost") };
    assert_eq!((first.kind.as_str(), first.topic.as_str()), ("backend-changed", "backend"));
    drop(stream);
    set_weight(&daemon, 8).await;
    set_weight(&daemon, 9).await;
    let mut stream = daemon.client.stream(path, Some(first.sequence)).await.unwrap();
    assert_eq!(kinds(&mut stream, 2).await, ["backend-changed", "backend-changed"]);
    let mut stream = daemon.client.stream(path, Some(1)).await.unwrap();
    assert!(matches!(next(&mut stream).await, Message::Lost(lost) if lost.at_most.is_none()));
    assert_eq!(kinds(&mut stream, 3).await.len(), 3);
}

#[tokio::test]
async fn flows_that_were_ended_by_request_are_told() {
    let daemon = Daemon::start();
    daemon.call(Method::POST, "/v1/flows/kill", r#"{"backend": "b1", "dry_run": true}"#).await;
    daemon.call(Method::POST, "/v1/flows/kill", r#"{"client": "198.51.100.7", "backend": "b1"}"#).await;
    let told = daemon.get("/v1/events?filter=topic%3Dflow").await;
    let told = told["events"].as_array().unwrap();
    let attributes = json!({"count": 1, "reason": "backend=b1 client=198.51.100.7"});
    assert_eq!((told.len(), &told[0]["attributes"]), (1, &attributes), "{told:?}");
    let kinds: std::collections::BTreeSet<&str> =
        told.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, kinds_of(Teller::Api), "{TELLERS}");
}
