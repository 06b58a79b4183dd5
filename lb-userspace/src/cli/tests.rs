//! Whole command lines against a served API: what is printed, and how they end.

mod configuration;
mod drains;
mod switchovers;

use std::{fs, os::unix::net::UnixListener, path::Path};

use clap::Parser as _;

use super::{Args, Exit, Failure, run::text};
use crate::{api::tests::fixture::Daemon, control::fixture::example};

async fn run_at(socket: &Path, line: &str) -> Result<String, Failure> {
    let arguments =
        ["lbctl", "--socket", socket.to_str().unwrap()].into_iter().chain(line.split_whitespace());
    text(Args::try_parse_from(arguments).unwrap()).await
}

async fn run(daemon: &Daemon, line: &str) -> String {
    run_at(&daemon.socket, line).await.unwrap_or_else(|failure| panic!("{line}: {failure}"))
}

async fn fail(daemon: &Daemon, line: &str) -> (Exit, String) {
    match run_at(&daemon.socket, line).await {
        Err(Failure { exit, message, .. }) => (exit, message),
        Ok(text) => panic!("{line}: expected a failure, got {text}"),
    }
}

#[tokio::test]
async fn services_and_backends_are_made_changed_and_removed() {
    let daemon = Daemon::start();
    let add = "service add mail --address 203.0.113.10 --port 25 --protocol tcp --mode full-nat --snat-address 10.0.0.2,10.0.0.3 \
               --algorithm source-hash --slots 101 --affinity-prefix 24 --health-interval 2s --health-port 2525";
    assert_eq!(run(&daemon, add).await, "service mail added\n");
    let shown = "\
name            mail
id              3
address         203.0.113.10:25
protocol        tcp
mode            full-nat
algorithm       source-hash
slots           101
affinity        by hash of each /24
SNAT addresses  10.0.0.2, 10.0.0.3
on down         reselect
health          tcp every 2s, timeout 500ms, rise 2, fall 3, port 2525

no backends; add one: `lbctl backend add mail NAME ADDRESS:PORT`
";
    assert_eq!(run(&daemon, "service show mail").await, shown);
    assert_eq!(
        run(&daemon, "service set mail --mode nat --algorithm maglev --no-health").await,
        "service mail changed\n"
    );
    assert_eq!(
        run(&daemon, "backend add mail m1 10.0.0.25:2525 --weight 50").await,
        "backend mail m1 added\n"
    );
    assert_eq!(
        run(&daemon, "backend add mail m2 10.0.0.26 --state disabled").await,
        "backend mail m2 added\n"
    );
    assert_eq!(
        run(&daemon, "backend set mail m1 --weight 10 --state draining").await,
        "backend mail m1 changed\n"
    );
    let list = "\
NAME  ADDRESS         WEIGHT  STATE     HEALTH   DRAIN
m1    10.0.0.25:2525      10  draining  unknown  flows not counted yet
m2    10.0.0.26:25       100  disabled  unknown  -
";
    assert_eq!(run(&daemon, "backend list mail").await, list);
    let services = "\
NAME  ADDRESS          PROTOCOL  MODE  ALGORITHM  HEALTH   ACTIVE  BACKENDS
web   203.0.113.10:80  tcp       nat   maglev     checked       2         2
dns   203.0.113.10:53  udp       nat   maglev     -             1         1
mail  203.0.113.10:25  tcp       nat   maglev     -             0         2
";
    assert_eq!(run(&daemon, "service list").await, services);
    assert_eq!(run(&daemon, "backend rm mail m2").await, "backend mail m2 removed\n");
    assert_eq!(run(&daemon, "service rm mail").await, "service mail removed\n");
    assert_eq!(daemon.store.config(), example());
}

#[tokio::test]
async fn a_runtime_change_says_that_it_is_not_in_the_file() {
    let daemon = Daemon::start();
    let done = run(&daemon, "backend set web b1 --weight 10 --runtime").await;
    assert_eq!(done, "backend web b1 changed (not in the configuration file)\n");
    assert_eq!(daemon.store.config(), example());
    let status = run(&daemon, "status").await;
    assert!(status.contains("\nunsaved changes  yes"), "{status}");
    assert_eq!(run(&daemon, "config reload").await, "configuration loaded; services: 2, backends: 3\n");
    assert!(run(&daemon, "status").await.contains("\nunsaved changes  no\n"));
}

#[tokio::test]
async fn json_is_what_the_api_says() {
    let daemon = Daemon::start();
    for (line, path) in [
        ("status", "/v1/status"),
        ("service list", "/v1/services"),
        ("service show web", "/v1/services/web"),
        ("backend list web", "/v1/services/web/backends"),
        ("flow list --backend b1", "/v1/flows?backend=b1"),
        (
            "flow list --protocol tcp --client 198.51.100.0/28",
            "/v1/flows?protocol=tcp&client=198.51.100.0/28",
        ),
        ("flow count", "/v1/flows/count"),
        ("flow top --by backend --limit 5", "/v1/flows/top?by=backend&limit=5"),
        ("stats", "/v1/stats"),
        ("drops", "/v1/drops"),
        ("vrrp status", "/v1/vrrp"),
        ("replication status", "/v1/replication"),
    ] {
        let printed = run(&daemon, &format!("{line} -o json")).await;
        let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(printed, daemon.get(path).await, "{line}");
    }
}

#[tokio::test]
async fn json_keeps_the_order_of_the_keys() {
    let daemon = Daemon::start();
    let text = r#"[
  {
    "name": "d1",
    "id": 3,
    "address": "10.0.0.53",
    "port": 53,
    "weight": 100,
    "state": "enabled",
    "effective": "active",
    "health": "unknown",
    "standing": "serving",
    "effective_weight": 100,
    "transitions": 0,
    "suspect": "3 of 3 SYNs refused within 0.25 s",
    "suspects": 1,
    "latency": {
      "handshake": {
        "count": 100,
        "mean_microseconds": 10341,
        "p50_microseconds": 98,
        "p90_microseconds": 125,
        "p99_microseconds": 131
      }
    }
  }
]
"#;
    assert_eq!(run(&daemon, "-o json backend list dns").await, text);
    assert_eq!(run(&daemon, "-o json backend rm dns d1").await, "");
    let all: serde_json::Value = serde_json::from_str(&run(&daemon, "-o json backend list").await).unwrap();
    assert_eq!((&all[0]["service"], &all[0]["name"]), (&"web".into(), &"b1".into()));
}

#[tokio::test]
async fn figures_are_tables() {
    let daemon = Daemon::start();
    let flows = run(&daemon, "flow list --service web --client 198.51.100.7 --limit 1").await;
    assert!(flows.starts_with("SERVICE  BACKEND  PROTOCOL  CLIENT"), "{flows}");
    assert!(flows.ends_with("\n... the first 1 only; --limit shows more\n"), "{flows}");
    assert!(run(&daemon, "flow count").await.ends_with("\n8 flows, 1 of them embryonic\n"));
    assert!(
        run(&daemon, "stats")
            .await
            .contains("\nweb              10      1000            9        900      2\n")
    );
    let drops = run(&daemon, "drops").await;
    assert!(drops.contains("\nno-route"), "{drops}");
}

#[tokio::test(start_paused = true)]
async fn rates_take_two_samples() {
    let daemon = Daemon::start();
    let rates = run(&daemon, "stats --rate 2").await;
    assert!(rates.starts_with("SERVICE  PACKETS-IN/S"), "{rates}");
    assert!(
        rates.contains("\nweb                 0           0              0            0        0\n"),
        "{rates}"
    );
}

#[tokio::test]
async fn every_class_of_failure_has_its_exit_code_and_a_hint() {
    let daemon = Daemon::start();
    for (line, exit, message) in [
        ("service show wbe", Exit::NotFound, "services[wbe]: there is no service `wbe`; did you mean `web`?"),
        (
            "backend rm web b9",
            Exit::NotFound,
            "services[web].backends[b9]: there is no backend `b9`; did you mean `b1`?",
        ),
        (
            "flow list --service wbe",
            Exit::NotFound,
            "services[wbe]: there is no service `wbe`; did you mean `web`?",
        ),
        (
            "service set web",
            Exit::Invalid,
            "nothing to change; give an option such as --algorithm (see `lbctl service set --help`)",
        ),
        (
            "backend set web b1",
            Exit::Invalid,
            "nothing to change; give --weight, --state, --backup or --max-connections",
        ),
        ("flow list --limit 0", Exit::Invalid, "limit: 0 is not a limit; expected 1 to 100000"),
        (
            "service set web --health-interval 1",
            Exit::Invalid,
            r#"health.interval: "1" is not a duration; expected one such as "500ms", "30s", "5m" or "2h""#,
        ),
        (
            "backend add web b1 10.0.0.13",
            Exit::Conflict,
            "services[web].backends[b1]: service `web` has a backend `b1` already; change it with `lbctl backend set web b1`, or \
             take another name",
        ),
    ] {
        assert_eq!(fail(&daemon, line).await, (exit, message.to_owned()), "{line}");
    }
    daemon.store.set_read_only(true);
    let (exit, message) = fail(&daemon, "service rm web").await;
    assert_eq!((exit, message.as_str()), (Exit::General, "read-only file system"));
}

#[tokio::test]
async fn a_daemon_that_cannot_be_reached_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("lbd.sock");
    let failure = run_at(&socket, "status").await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(
        failure.message.contains("no such socket; `lbd` is not running (start it: `lbd --config"),
        "{failure}"
    );
    assert!(failure.message.contains("LB_SOCKET"), "{failure}");

    drop(UnixListener::bind(&socket).unwrap());
    let failure = run_at(&socket, "status").await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(failure.message.contains("nobody listens"), "{failure}");

    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    for wrong in [socket.as_path(), directory.path()] {
        let failure = run_at(wrong, "status").await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.message.contains("is no socket; expected that of `lbd`"), "{failure}");
    }
}

#[tokio::test]
async fn a_file_is_checked_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let (nowhere, file) = (directory.path().join("lbd.sock"), directory.path().join("lb.toml"));
    let line = format!("config check {}", file.display());
    assert_eq!(run_at(&nowhere, &line).await.unwrap_err().exit, Exit::NotFound);
    fs::write(&file, "interfaces = [\"eth0\"]\n").unwrap();
    let text = run_at(&nowhere, &line).await.unwrap();
    assert_eq!(text, format!("{}: valid; services: 0, backends: 0\n", file.display()));
    fs::write(&file, "interfaces = []\n").unwrap();
    let failure = run_at(&nowhere, &line).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Invalid);
    assert!(failure.message.contains("interfaces"), "{failure}");
}

#[tokio::test]
async fn another_balancers_configuration_is_imported_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let (nowhere, rules) = (directory.path().join("lbd.sock"), directory.path().join("rules"));
    fs::write(&rules, "-A -t 203.0.113.10:80 -s rr\n-a -t 203.0.113.10:80 -r 10.0.0.11:80 -m -w 1\n-x\n")
        .unwrap();
    let line = format!("config import {} --interface eth0,eth1", rules.display());
    let printed = run_at(&nowhere, &line).await.unwrap();
    assert!(printed.contains("interfaces = [\"eth0\", \"eth1\"]\n"), "{printed}");
    assert!(printed.contains("\naddress = \"10.0.0.11\"\n"), "{printed}");

    let json: serde_json::Value =
        serde_json::from_str(&run_at(&nowhere, &format!("{line} -o json")).await.unwrap()).unwrap();
    assert_eq!((&json["format"], &json["config"]), (&"ipvsadm".into(), &printed.as_str().into()));
    assert_eq!((&json["notes"][0]["line"], &json["notes"][0]["effect"]), (&3.into(), &"dropped".into()));
    assert_eq!(json["notes"][0]["text"], "-x");

    let target = directory.path().join("lb.toml");
    let line = format!("{line} --write {}", target.display());
    assert_eq!(run_at(&nowhere, &line).await.unwrap(), "");
    assert_eq!(fs::read_to_string(&target).unwrap(), printed);
    assert_eq!(run_at(&nowhere, &line).await.unwrap_err().exit, Exit::Conflict);
    run_at(&nowhere, &format!("config check {}", target.display())).await.unwrap();

    fs::write(&rules, "server { listen 80; }").unwrap();
    let failure = run_at(&nowhere, &format!("config import {}", rules.display())).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Invalid);
    assert!(failure.message.contains("--from ipvsadm|keepalived|haproxy"), "{failure}");
    assert_eq!(run_at(&nowhere, "config import /nonexistent").await.unwrap_err().exit, Exit::NotFound);
}

#[tokio::test]
async fn completions_ask_lbctl_itself() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run_at(Path::new("/nowhere"), &format!("completions {shell}")).await.unwrap();
        assert!(script.contains("lbctl") && script.contains("COMPLETE"), "{script}");
    }
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let page = run_at(Path::new("/nowhere"), "man").await.unwrap();
    for part in [".TH lbctl 1", "watch", "Exit codes", "lbctl\\-service(1)"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    assert_eq!(run_at(Path::new("/nowhere"), &format!("man {}", pages.display())).await.unwrap(), "");
    for page in
        ["lbctl.1", "lbctl-service.1", "lbctl-service-list.1", "lbctl-backend-add.1", "lbctl-config-check.1"]
    {
        let text = fs::read_to_string(pages.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
}

#[tokio::test]
async fn wide_lists_have_more_columns() {
    let daemon = Daemon::start();
    let services = "\
NAME  ADDRESS          PROTOCOL  MODE  ALGORITHM  HEALTH   ACTIVE  BACKENDS  ID  SLOTS  ON-DOWN   SNAT-ADDRESSES
web   203.0.113.10:80  tcp       nat   maglev     checked       2         2   1    101  reselect  -
dns   203.0.113.10:53  udp       nat   maglev     -             1         1   2    101  reselect  -
";
    assert_eq!(run(&daemon, "service list -o wide").await, services);
    let backends = "\
SERVICE  NAME  ADDRESS         WEIGHT  STATE   HEALTH   NOTE                                        ID  CONFIGURED
web      b1    10.0.0.11:8080     100  active  unknown  -                                            1  enabled
web      b2    10.0.0.12:8080     100  active  unknown  -                                            2  enabled
dns      d1    10.0.0.53:53       100  active  unknown  suspect: 3 of 3 SYNs refused within 0.25 s   3  enabled
";
    assert_eq!(run(&daemon, "-o wide backend list").await, backends);
    for line in
        ["status", "flow list", "flow count", "stats", "drops", "service show web", "backend list dns"]
    {
        assert!(!run(&daemon, &format!("{line} -o wide")).await.is_empty(), "{line}");
    }
}

#[tokio::test]
async fn services_and_backends_are_found_by_their_addresses() {
    let daemon = Daemon::start();
    for service in ["web", "203.0.113.10:80/tcp", "203.0.113.10:80", "203.0.113.10/tcp"] {
        let shown = run(&daemon, &format!("service show {service}")).await;
        assert!(shown.starts_with("name       web\n"), "{service}: {shown}");
    }
    for (number, backend) in (1..).zip(["b1", "10.0.0.11:8080", "10.0.0.11"]) {
        let line = format!("backend set 203.0.113.10:80/tcp {backend} --weight {number}");
        assert!(run(&daemon, &line).await.ends_with(" changed\n"));
        assert_eq!(daemon.get("/v1/services/web/backends").await[0]["weight"], number);
    }
    for (line, flows) in [
        ("flow list --backend 10.0.0.11:8080", 1),
        ("flow list --service 203.0.113.10:80 --backend 10.0.0.12", 1),
        ("flow list --service 203.0.113.10:53/udp", 0),
    ] {
        let listed: serde_json::Value =
            serde_json::from_str(&run(&daemon, &format!("-o json {line}")).await).unwrap();
        assert_eq!(listed["flows"].as_array().unwrap().len(), flows, "{line}");
    }
    assert_eq!(
        fail(&daemon, "service show 203.0.113.10").await,
        (
            Exit::Invalid,
            "services[203.0.113.10]: 203.0.113.10 is the address of several services; expected one of them by its name, or \
             with what else it has: web (203.0.113.10:80/tcp), dns (203.0.113.10:53/udp)"
                .to_owned()
        )
    );
    for line in
        ["service show 203.0.113.11", "service show 203.0.113.10:80/udp", "backend rm web 10.0.0.11:80"]
    {
        assert_eq!(fail(&daemon, line).await.0, Exit::NotFound, "{line}");
    }
    run(&daemon, "backend rm 203.0.113.10:80 10.0.0.12").await;
    run(&daemon, "service rm 203.0.113.10:53").await;
    assert_eq!(run(&daemon, "backend list").await.lines().count(), 2);
}

#[tokio::test]
async fn the_options_of_another_server_belong_together() {
    let nowhere = Path::new("/nowhere");
    for (line, message) in [
        ("status --server https://192.0.2.1:9465", "needs --ca FILE"),
        ("status --server https://192.0.2.1:9465 --ca /ca --cert /c", "--cert and --key belong together"),
        ("status --ca /ca", "no meaning without --server"),
        ("status --server https://192.0.2.1:9465 --ca /nowhere/ca.pem", "/nowhere/ca.pem: "),
    ] {
        let failure = run_at(nowhere, line).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Invalid, "{line}");
        assert!(failure.message.contains(message), "{line}: {failure}");
    }
    let failure = run_at(nowhere, "status --server http://127.0.0.1:1").await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(failure.message.contains("http://127.0.0.1:1: nobody listens"), "{failure}");
}

#[test]
fn wrong_usage_is_refused_by_the_parser() {
    for line in [
        "service add web --address 203.0.113 --port 80 --protocol tcp",
        "service add web --address 203.0.113.10 --port 70000 --protocol tcp",
        "service add web --address 203.0.113.10 --port 80 --protocol icmp",
        "service add web",
        "backend add web b1 10.0.0.1:x",
        "backend set web b1 --state down",
        "backend set web b1 --weight -1",
        "stats --rate 0",
        "status --watch 0",
        "status --server 192.0.2.1",
        "-o yaml status",
        "statsu",
    ] {
        let arguments = std::iter::once("lbctl").chain(line.split_whitespace());
        let error = Args::try_parse_from(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[tokio::test]
async fn flows_are_picked_by_all_that_is_given() {
    let daemon = Daemon::start();
    let list = |options: &str| format!("flow list -o json {options}");
    for (options, flows) in [
        ("", 3),
        ("--service web --backend b1", 1),
        ("--client 198.51.100.7", 2),
        ("--client 198.51.100.0/24", 3),
        ("--client 2001:db8::/32", 0),
        ("--protocol udp", 0),
        ("--state established,closed --idle-min 3s --idle-max 3s", 3),
        ("--state syn-sent", 0),
        ("--idle-min 4s", 0),
        ("--idle-max 2s", 0),
    ] {
        let shown: serde_json::Value = serde_json::from_str(&run(&daemon, &list(options)).await).unwrap();
        assert_eq!(shown["flows"].as_array().unwrap().len(), flows, "{options}");
    }
}

#[tokio::test]
async fn top_shows_counts_shares_and_how_full_the_tables_are() {
    let daemon = Daemon::start();
    let text = "\
CLIENT           FLOWS   SHARE  ESTABLISHED   SHARE  EMBRYONIC   SHARE
198.51.100.0/20      3  25.0 %            2  22.2 %          1  33.3 %

12 flows, 3 of them embryonic, in 6 groups

TABLE     ENTRIES  CAPACITY    FULL
FLOWS_V4       30       120  25.0 %
";
    assert_eq!(run(&daemon, "flow top --by client-prefix --prefix-v4 20").await, text);
    for (line, header, row) in [
        ("flow top", "CLIENT ", "198.51.100.7 "),
        ("flow top --by service --client 198.51.100.0/24", "SERVICE ", "web "),
        ("flow top --by backend", "SERVICE  BACKEND ", "web      #99 "),
    ] {
        let shown = run(&daemon, line).await;
        assert!(
            shown.starts_with(header) && shown.lines().nth(1).unwrap().starts_with(row),
            "{line}: {shown}"
        );
    }
}

#[tokio::test]
async fn flows_are_ended_only_where_something_says_which() {
    let daemon = Daemon::start();
    let (exit, message) = fail(&daemon, "flow kill").await;
    assert_eq!(exit, Exit::Invalid);
    assert!(message.contains("or --all"), "{message}");
    for (line, said) in [
        ("flow kill --client 198.51.100.8", "1 TCP connections are reset, 0 other flows are forgotten\n"),
        ("flow kill --all", "3 TCP connections are reset, 0 other flows are forgotten\n"),
        ("flow kill --dry-run", "3 TCP connections would be reset, 0 other flows would be forgotten\n"),
        (
            "flow kill --service web --dry-run -o json",
            "{\n  \"dry_run\": true,\n  \"reset\": 3,\n  \"forgotten\": 0\n}\n",
        ),
    ] {
        assert_eq!(run(&daemon, line).await, said, "{line}");
    }
    assert_eq!(fail(&daemon, "flow kill --service wbe").await.0, Exit::NotFound);
}

#[tokio::test]
async fn a_packet_is_explained_from_a_description_or_a_frame() {
    let daemon = Daemon::start();
    let shown = run(&daemon, "explain 198.51.100.7:40000 203.0.113.10:80 --flags syn --ttl 9 --vlan 7").await;
    let text = "\
verdict    sent out of eth0
service    web
backend    b1
direction  to-backend
flow       none
arrives    02:00:00:00:00:01 -> 00:00:00:00:00:00 vlan 7, 198.51.100.7:40000 -> 203.0.113.10:80, tcp, syn, ttl 9, 60 bytes
leaves     02:00:00:00:00:01 -> 00:00:00:00:00:00 vlan 7, 198.51.100.7:40000 -> 203.0.113.10:80, tcp, syn, ttl 9, 60 bytes

note: the backends take turns: a connection that begins before this one takes this turn

note: it takes no entry: the flow begins with the backend's SYN-ACK
";
    assert_eq!(shown, text);
    let udp = run(&daemon, "explain [2001:db8::7]:5 [2001:db8::1]:53/udp --length 100 -o json").await;
    let udp: serde_json::Value = serde_json::from_str(&udp).unwrap();
    assert_eq!((&udp["arrives"]["protocol"], &udp["arrives"]["length"]), (&"udp".into(), &100.into()));
    let frame = udp["frame"].as_str().unwrap();
    let again = run(&daemon, &format!("explain --hex {frame} -o json")).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), udp);
    for (line, said) in [
        ("explain 198.51.100.7:1 203.0.113.10:80/udp --flags syn", "UDP has none"),
        ("explain 198.51.100.7:1 203.0.113.10:80 --ingress eth1", "expected one of eth0"),
        ("explain --hex zz00", "expected 14 to 3000 bytes"),
        ("explain --pcap /dev/null", "too short for a file of frames"),
    ] {
        let (exit, message) = fail(&daemon, line).await;
        assert!(exit == Exit::Invalid && message.contains(said), "{line}: {message}");
    }
}

#[tokio::test]
async fn drops_are_explained_where_there_were_some_or_where_they_are_named() {
    let daemon = Daemon::start();
    let counted = run(&daemon, "drops --explain").await;
    assert!(
        counted.starts_with("no-route: 7 packets\n  No route to the destination.\n  likely causes:\n"),
        "{counted}"
    );
    assert!(counted.contains("    ip route get <backend>\n") && !counted.contains("truncated"), "{counted}");
    let named = run(&daemon, "drops --explain truncated").await;
    assert!(named.contains("truncated: 0 packets"), "{named}");
}

/// Lines of `lbctl` in the fenced blocks of a page, with names in place of what stands for them.
fn commands_of(page: &str) -> Vec<String> {
    let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap();
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).filter(|line| line.starts_with("lbctl "));
    let names = [
        ("<service>", "web"),
        ("<backend>", "b1"),
        ("<client>", "198.51.100.7"),
        ("<VIP>", "203.0.113.10"),
        ("<port>", "80"),
        ("<address>", "10.0.0.2"),
        ("<another>", "10.0.0.3"),
    ];
    let named = |line: &str| names.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
    lines.map(|line| named(line.split(" #").next().unwrap().split(" |").next().unwrap().trim())).collect()
}

#[test]
fn every_command_of_the_runbook_and_of_the_drop_reasons_exists() {
    for (page, least) in [("operations.md", 20), ("drops.md", 25), ("cli.md", 5)] {
        let commands = commands_of(page);
        assert!(commands.len() >= least, "{page}: {commands:?}");
        for command in commands {
            let parsed = Args::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{page}: {command}: {}", parsed.unwrap_err());
        }
    }
}
