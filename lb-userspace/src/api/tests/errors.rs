//! Every mistake gets its status, its code, its path and a sentence.

use hyper::Method;

use super::fixture::Daemon;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Method, path, body, status, code, path in the error, part of the message.
type Case<'a> = (Method, &'a str, &'a str, u16, &'a str, &'a str, &'a str);

async fn check(daemon: &Daemon, cases: &[Case<'_>]) {
    for (method, path, body, status, code, error_path, message) in cases {
        let refusal = daemon.refusal(method.clone(), path, body).await;
        let context = format!("{method} {path} {body}: {refusal:?}");
        assert_eq!(refusal.0.as_u16(), *status, "{context}");
        assert_eq!(refusal.1, *code, "{context}");
        assert_eq!(refusal.2, *error_path, "{context}");
        assert!(refusal.3.contains(message), "{context}");
    }
    assert_eq!(daemon.store.config(), crate::control::fixture::example(), "nothing was written");
    assert_eq!(daemon.get("/v1/status").await["unsaved_changes"], false, "nothing was changed");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_names_what_is() {
    let daemon = Daemon::start();
    let unknown_service = "there is no service `wbe`; did you mean `web`?";
    let unknown_backend = "there is no backend `b9`; did you mean `b1`?";
    check(
        &daemon,
        &[
            (GET, "/v1/nothing", "", 404, "not-found", "/v1/nothing", "there is no /v1/nothing"),
            (GET, "/v1/services/wbe", "", 404, "not-found", "services[wbe]", unknown_service),
            (GET, "/v1/services/a%20b", "", 404, "not-found", "services[a b]", "there is no service `a b`"),
            (PATCH, "/v1/services/wbe", "{}", 404, "not-found", "services[wbe]", unknown_service),
            (DELETE, "/v1/services/wbe", "", 404, "not-found", "services[wbe]", unknown_service),
            (GET, "/v1/services/wbe/backends", "", 404, "not-found", "services[wbe]", unknown_service),
            (
                POST,
                "/v1/services/wbe/backends",
                r#"{"name": "b", "address": "10.0.0.1"}"#,
                404,
                "not-found",
                "services[wbe]",
                unknown_service,
            ),
            (
                PATCH,
                "/v1/services/web/backends/b9",
                "{}",
                404,
                "not-found",
                "services[web].backends[b9]",
                unknown_backend,
            ),
            (
                DELETE,
                "/v1/services/web/backends/b9",
                "",
                404,
                "not-found",
                "services[web].backends[b9]",
                unknown_backend,
            ),
            (DELETE, "/v1/services/wbe/backends/b1", "", 404, "not-found", "services[wbe]", unknown_service),
            (GET, "/v1/flows?service=wbe", "", 404, "not-found", "services[wbe]", unknown_service),
            (GET, "/v1/flows?backend=b9", "", 404, "not-found", "backend", unknown_backend),
        ],
    )
    .await;
}

#[tokio::test]
async fn wrong_input_is_400_and_says_what_was_expected() {
    let daemon = Daemon::start();
    let service = |rest: &str| {
        format!(
            r#"{{"name": "x", "address": "203.0.113.11", "protocol": "tcp", "port": 80, "slots": 101{rest}}}"#
        )
    };
    let (mode, twice) = (service(r#", "mode": "dsr""#), service("") + "{}");
    let (snat, health) = (service(r#", "mode": "full-nat""#), service(r#", "health": {"interval": "1 s"}"#));
    let nested = service(r#", "backends": [{"name": "b", "address": "10.0.0"}]"#);
    let listed = service(r#", "backends": [["b", "10.0.0.1"]]"#);
    check(
        &daemon,
        &[
            (POST, "/v1/services", "", 400, "invalid", "", "EOF while parsing"),
            (POST, "/v1/services", "{}", 400, "invalid", "", "missing field `name`"),
            (
                POST,
                "/v1/services",
                r#"{"nam": "x"}"#,
                400,
                "invalid",
                "nam",
                "unknown field `nam`, expected one of `name`",
            ),
            (PATCH, "/v1/services/web", "[null]", 400, "invalid", "", "expected an object"),
            (
                PATCH,
                "/v1/services/web",
                r#"{"health": ["1s"]}"#,
                400,
                "invalid",
                "health",
                "expected an object",
            ),
            (POST, "/v1/services", &listed, 400, "invalid", "backends[0]", "expected an object"),
            (POST, "/v1/services", &twice, 400, "invalid", "", "trailing characters"),
            (POST, "/v1/services", &mode, 400, "invalid", "mode", "expected one of nat, full-nat"),
            (
                POST,
                "/v1/services",
                &nested,
                400,
                "invalid",
                "backends[0].address",
                "\"10.0.0\" is not an address",
            ),
            (POST, "/v1/services", &health, 400, "invalid", "health.interval", "1 s"),
            (POST, "/v1/services", &snat, 400, "invalid", "services[x].snat_addresses", "expected"),
        ],
    )
    .await;
}

#[tokio::test]
async fn wrong_changes_are_400_and_say_what_was_expected() {
    let daemon = Daemon::start();
    check(
        &daemon,
        &[
            (
                PATCH,
                "/v1/services/web",
                r#"{"slots": 100}"#,
                400,
                "invalid",
                "services[web].slots",
                "100 is not a prime",
            ),
            (PATCH, "/v1/services/web", r#"{"port": 81}"#, 400, "invalid", "port", "unknown field `port`"),
            (
                PATCH,
                "/v1/services/web/backends/b1",
                r#"{"weight": 70000}"#,
                400,
                "invalid",
                "weight",
                "invalid value: integer `70000`, expected 0 to 65535",
            ),
            (
                PATCH,
                "/v1/services/web/backends/b1",
                r#"{"state": "down"}"#,
                400,
                "invalid",
                "state",
                "expected one of enabled, draining, disabled",
            ),
            (
                POST,
                "/v1/services/web/backends",
                r#"{"name": "b3", "address": "127.0.0.1"}"#,
                400,
                "invalid",
                "services[web].backends[b3].address",
                "127.0.0.1 is loopback",
            ),
            (
                POST,
                "/v1/services/web/backends",
                r#"{"name": "a b", "address": "10.0.0.1"}"#,
                400,
                "invalid",
                "name",
                "\"a b\" is not a name",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn wrong_parameters_are_400_and_say_what_was_expected() {
    let daemon = Daemon::start();
    check(
        &daemon,
        &[
            (GET, "/v1/flows?limit=0", "", 400, "invalid", "limit", "0 is not a limit; expected 1 to 100000"),
            (GET, "/v1/flows?limit=x", "", 400, "invalid", "query", "limit"),
            (
                GET,
                "/v1/flows?client=web",
                "",
                400,
                "invalid",
                "client",
                "\"web\" is not an address or a network",
            ),
            (
                GET,
                "/v1/flows?state=open",
                "",
                400,
                "invalid",
                "state",
                "expected some of syn-sent, syn-received",
            ),
            (GET, "/v1/flows?protocol=sctp", "", 400, "invalid", "protocol", "expected one of tcp, udp"),
            (GET, "/v1/flows?idle_min=5", "", 400, "invalid", "idle_min", "\"5\" is not a duration"),
            (
                GET,
                "/v1/flows/top?by=country",
                "",
                400,
                "invalid",
                "by",
                "expected one of client, client-prefix",
            ),
            (GET, "/v1/flows/top?limit=10001", "", 400, "invalid", "limit", "expected 1 to 10000"),
            (
                GET,
                "/v1/flows/top?by=client-prefix&prefix_v4=33",
                "",
                400,
                "invalid",
                "prefix_v4",
                "33 bits are too many; expected 0 to 32",
            ),
            (POST, "/v1/flows/kill", "{}", 400, "invalid", "all", "nothing says which flows are to end"),
            (
                POST,
                "/v1/flows/kill",
                r#"{"clients": 1}"#,
                400,
                "invalid",
                "clients",
                "unknown field `clients`",
            ),
            (GET, "/v1/flows?vip=1", "", 400, "invalid", "query", "unknown field `vip`"),
            (DELETE, "/v1/services/web?runtime=maybe", "", 400, "invalid", "query", "runtime"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_there_already_is_409() {
    let daemon = Daemon::start();
    let name = r#"{"name": "web", "address": "203.0.113.11", "protocol": "tcp", "port": 80}"#;
    let address = r#"{"name": "web2", "address": "203.0.113.10", "protocol": "tcp", "port": 80}"#;
    let backend = r#"{"name": "b1", "address": "10.0.0.13"}"#;
    check(
        &daemon,
        &[
            (
                POST,
                "/v1/services",
                name,
                409,
                "conflict",
                "services[web]",
                "there is a service `web` already",
            ),
            (
                POST,
                "/v1/services",
                address,
                409,
                "conflict",
                "services[web2].address",
                "service `web` has tcp 203.0.113.10:80",
            ),
            (
                POST,
                "/v1/services/web/backends",
                backend,
                409,
                "conflict",
                "services[web].backends[b1]",
                "change it with `lbctl backend set web b1`",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_503() {
    let daemon = Daemon::start();
    daemon.store.set_read_only(true);
    check(&daemon, &[(DELETE, "/v1/services/web", "", 503, "config-file", "", "read-only")]).await;
    daemon.store.set_read_only(false);
    daemon.call(DELETE, "/v1/services/web", "").await;
}

#[tokio::test]
async fn other_methods_and_too_much_are_refused() {
    let daemon = Daemon::start();
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(1 << 20));
    check(
        &daemon,
        &[
            (DELETE, "/v1/services", "", 405, "method-not-allowed", "/v1/services", "does not take DELETE"),
            (POST, "/v1/services", &large, 413, "too-large", "", "1 MiB"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_file_is_checked_without_being_used() {
    let daemon = Daemon::start();
    let checked = daemon.call(POST, "/v1/config/check", "interfaces = [\"eth0\"]\n").await;
    assert_eq!(checked, serde_json::json!({"services": 0, "backends": 0}));
    check(
        &daemon,
        &[(POST, "/v1/config/check", "interfaces = []", 400, "invalid", "interfaces", "interfaces")],
    )
    .await;
    assert_eq!(daemon.get("/v1/services").await.as_array().unwrap().len(), 2);
}
