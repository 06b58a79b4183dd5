//! Target `api`: requests to the API, over maps and a file in memory. Each is answered with a status that the API has, never with an internal error, and
//! whatever was accepted is a configuration that can be written and read.
//!
//! Input: requests, each with a route (1 byte), length of the body (2, little-endian) and body.

mod fixture;

use axum::{
    body::Body,
    http::{Method, Request},
};
use http_body_util::BodyExt as _;
use lb_userspace::config::Document;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::{Target, input::Input};
use fixture::Daemon;

/// See above.
pub const TARGET: Target = Target {
    name: "api",
    run,
    seeds,
    longest: 2048,
    words: &[
        "\"name\":",
        "\"address\":",
        "\"protocol\":",
        "\"port\":",
        "\"weight\":",
        "\"state\":",
        "\"draining\"",
        "\"algorithm\":",
        "\"maglev\"",
        "\"mode\":",
        "\"full-nat\"",
        "\"health\":",
        "\"type\":",
        "\"backends\":",
        "\"max_connections\":",
        "\"deadline\":",
        "null",
        "true",
        "\"config\":",
        "\"client\":",
        "\"service\":",
        "\"dry_run\":",
        "\"packet\":",
    ],
};

/// What is asked: method, and path or whole query.
const ROUTES: [(Method, &str); 24] = [
    (Method::POST, "/v1/services"),
    (Method::PATCH, "/v1/services/web"),
    (Method::DELETE, "/v1/services/web"),
    (Method::POST, "/v1/services/web/backends"),
    (Method::PATCH, "/v1/services/web/backends/b1"),
    (Method::DELETE, "/v1/services/web/backends/b1"),
    (Method::POST, "/v1/services/web/backends/b1/drain"),
    (Method::POST, "/v1/services/dns/backends"),
    (Method::PATCH, "/v1/services/dns/backends/d1"),
    (Method::GET, "/v1/services"),
    (Method::GET, "/v1/status"),
    (Method::GET, "/v1/overview"),
    (Method::POST, "/v1/flows/kill"),
    (Method::POST, "/v1/explain"),
    (Method::POST, "/v1/vrrp/failover"),
    (Method::POST, "/v1/config/reload"),
    (Method::GET, "/v1/config"),
    (Method::POST, "/v1/config/check"),
    (Method::POST, "/v1/config/diff"),
    (Method::POST, "/v1/config/apply"),
    (Method::POST, "/v1/config/confirm"),
    (Method::POST, "/v1/config/rollback"),
    (Method::POST, "/v1/captures"),
    (Method::GET, ""),
];

thread_local! {
    static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
}

fn run(bytes: &[u8]) {
    RUNTIME.with(|runtime| runtime.block_on(requests(Input::new(bytes))));
}

async fn requests(mut input: Input<'_>) {
    let daemon = Daemon::start();
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        let (method, path) = &ROUTES[usize::from(input.byte()) % ROUTES.len()];
        let length = usize::from(input.half()) % 2048;
        let body = input.bytes(length);
        // The last route has its path in the body.
        let (uri, body) = if path.is_empty() {
            (String::from_utf8_lossy(body).into_owned(), &[][..])
        } else {
            ((*path).to_owned(), body)
        };
        let request = Request::builder().method(method).uri(&uri).header("content-type", "application/json");
        let Ok(request) = request.body(Body::from(body.to_vec())) else { continue };
        let answer = daemon.router().oneshot(request).await.expect("a router does not fail");
        let status = answer.status();
        let collected = answer.into_body();
        if uri.starts_with("/v1/events") || uri.starts_with("/v1/captures") || uri.contains("watch") {
            continue;
        }
        let text = collected.collect().await.expect("it is all there").to_bytes();
        assert!(
            status.as_u16() != 500,
            "{method} {uri} {body:?}: {status} {}",
            String::from_utf8_lossy(&text)
        );
        if status.is_client_error() {
            let error: serde_json::Value = serde_json::from_slice(&text).expect("an error is JSON");
            assert!(error.is_object(), "{error}");
        }
    }
    let config = daemon.store.config();
    let written = Document::of("lb.toml", &config.draft());
    let again = written
        .config()
        .unwrap_or_else(|error| panic!("what was accepted is invalid: {error}\n{}", written.text()));
    assert!(
        again == config,
        "what was accepted means something else once it is written:\n{}",
        written.text()
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let requests: [(u8, &str); 20] = [
        (
            0,
            r#"{"name":"tls","address":"203.0.113.11","protocol":"tcp","port":443,"algorithm":"maglev","backends":[{"name":"a","address":"10.0.0.1","port":8443,"weight":5}]}"#,
        ),
        (
            0,
            r#"{"name":"v6","address":"2001:db8::1","protocol":"udp","port":53,"mode":"full-nat","snat_addresses":["2001:db8::2"],"health":{"type":"dns","name":"a.example"}}"#,
        ),
        (1, r#"{"algorithm":"source-hash","max_connections":10,"on_full":"reset","affinity_timeout":"5m"}"#),
        (1, r#"{"health":{"type":"http","path":"/x","expect_status":"200-299","interval":"2s"}}"#),
        (2, ""),
        (3, r#"{"name":"b3","address":"10.0.0.13","port":8080,"weight":50,"state":"disabled"}"#),
        (4, r#"{"weight":0,"state":"draining"}"#),
        (5, ""),
        (6, r#"{"deadline":"30s"}"#),
        (8, r#"{"address":"10.0.0.54","port":5353,"backup":true}"#),
        (10, ""),
        (12, r#"{"service":"web","client":"198.51.100.0/24","dry_run":true}"#),
        (
            13,
            r#"{"interface":"eth0","source":"198.51.100.7:40000","destination":"203.0.113.10:80","protocol":"tcp"}"#,
        ),
        (14, r#"{"router":"outside"}"#),
        (17, "interfaces = [\"eth0\"]\n"),
        (18, "interfaces = [\"eth0\"]\n"),
        (
            19,
            "interfaces = [\"eth0\"]\n[[services]]\nname = \"x\"\naddress = \"203.0.113.9\"\nprotocol = \"tcp\"\nport = 1\n",
        ),
        (21, ""),
        (23, "/v1/flows?service=web&client=198.51.100.0/24&limit=5"),
        (23, "/v1/flows/top?by=client/24&limit=3"),
    ];
    let seed = |requests: &[(u8, &str)]| -> Vec<u8> {
        let one = |(route, body): &(u8, &str)| {
            [&[*route][..], &(body.len() as u16).to_le_bytes(), body.as_bytes()].concat()
        };
        requests.iter().flat_map(one).collect()
    };
    requests.chunks(1).chain(requests.chunks(4)).map(seed).collect()
}
