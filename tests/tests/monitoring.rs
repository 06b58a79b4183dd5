//! The alert rules, the dashboard and the metrics, tried with Prometheus' own tools.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use lb_tests::{
    client::{self, Echo, Load},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    http, require_privileged,
    servers::{ECHO_PORT, EchoServer, Prometheus},
    site::target,
    topology::{Family, Plan, Topology, addresses},
};
use serde_json::Value;

/// A file that operators take over.
fn monitoring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-userspace/monitoring").join(name)
}

/// Runs promtool; what it said, if it was not content.
fn promtool(arguments: &[&str], file: Option<&Path>, input: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).args(file);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = promtool.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "promtool {arguments:?}: {}", said.concat());
}

/// The expressions of a dashboard, as Grafana would ask for them.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    let filled = |text: &str| {
        let variables = [("$service", ".*"), ("$instance", ".*"), ("$__rate_interval", "10s")];
        variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    expressions.map(filled).collect()
}

#[test]
fn the_alert_rules_fire_when_they_should_and_not_before() {
    require_privileged!();
    promtool(&["check", "rules"], Some(&monitoring("alerts.yml")), "");
    promtool(&["test", "rules"], Some(&monitoring("alerts_test.yml")), "");
    let (rules, tests) =
        ["alerts.yml", "alerts_test.yml"].map(|name| fs::read_to_string(monitoring(name)).unwrap()).into();
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} has no test");
    }
}

#[test]
fn prometheus_scrapes_lbd_answers_the_dashboard_and_fires_alerts() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 2, ..Plan::default() }).unwrap();
    let mut servers: Vec<EchoServer> =
        topology.servers.iter().map(|host| EchoServer::start(host).unwrap()).collect();
    let at = target(Family::V4, ECHO_PORT);
    let service = Service::new("echo", Protocol::Tcp, at).mode(Mode::FullNat);
    let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
    let interfaces = topology.interfaces();
    let router = format!(
        "[[vrrp]]\nname = \"outside\"\ninterface = \"{}\"\nvirtual_router_id = 51\nadvert_interval = \"100ms\"\n\
         virtual_addresses = [\"192.0.2.200/32\"]\n",
        interfaces[0]
    );
    let config = Config::new(interfaces, [service]).tables(&router);
    let daemon = Daemon::start(&topology.balancer, &config).unwrap();
    for host in &topology.servers {
        daemon.wait_backend("echo", &host.name, "active").unwrap();
    }
    let prometheus = Prometheus::start(&topology.balancer, &monitoring("alerts.yml")).unwrap();
    let load =
        client::start(&topology.client, &Echo { target: at }, &Load::brisk(addresses::clients(Family::V4)));

    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(monitoring("dashboard.json")).unwrap()).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 25, "{queries:?}");
    for query in &queries {
        clock::wait_until(&format!("data for {query}"), Duration::from_secs(20), || {
            prometheus.query(query).is_ok_and(|samples| !samples.is_empty())
        })
        .unwrap();
    }
    let report = load.stop();
    assert_eq!(report.failed(), 0, "{report:?}");

    // What Prometheus has of it at last is what the clients counted.
    let total = report.total().to_string();
    clock::wait_until("every connection to be counted", Duration::from_secs(10), || {
        let samples = prometheus.query("lb_service_flows_total{service=\"echo\"}").unwrap();
        samples.len() == 1 && samples[0]["value"][1].as_str() == Some(&*total)
    })
    .unwrap();

    drop(servers.pop());
    clock::wait_until("the alert about the dead backend", Duration::from_secs(20), || {
        let name = &topology.servers[1].name;
        let alert = format!("ALERTS{{alertname=\"LbBackendDown\", service=\"echo\", backend=\"{name}\"}}");
        prometheus.query(&alert).is_ok_and(|samples| !samples.is_empty())
    })
    .unwrap();

    let (status, page) = http::get(&topology.balancer, ([127, 0, 0, 1], 9464).into(), "/metrics").unwrap();
    assert_eq!(status, 200);
    promtool(&["check", "metrics"], None, &page);
}

/// The metrics that the documentation lists.
fn documented() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
    let text = fs::read_to_string(path).unwrap();
    let table = text.split_once("<!-- metrics -->").unwrap().1.split_once("<!-- end -->").unwrap().0;
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    names.map(|(name, _)| name.to_owned()).filter(|name| !ELSEWHERE.contains(&&**name)).collect()
}

/// What needs a second machine: the test of replication has one.
const ELSEWHERE: [&str; 1] = ["lb_vrrp_takeover_seconds"];

/// A new metric fails here until the daemon below has something to count with it.
#[test]
fn every_metric_of_the_documentation_has_a_sample_in_a_scrape() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let _server = EchoServer::start(&topology.servers[0]).unwrap();
    let at = target(Family::V4, ECHO_PORT);
    let service = Service::new("echo", Protocol::Tcp, at).mode(Mode::FullNat);
    let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
    let directory = lb_tests::temporary::directory("key").unwrap();
    let key = directory.path().join("key");
    fs::write(&key, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (own, peer) = (addresses::BALANCER_SERVER_V4, topology.servers[0].address(Family::V4));
    let tables = format!(
        "[metrics]\nprogram_run_time = true\n\
         [[vrrp]]\nname = \"outside\"\ninterface = \"{}\"\nvirtual_router_id = 51\nadvert_interval = \"100ms\"\n\
         virtual_addresses = [\"192.0.2.200/32\"]\nnotify = [\"/bin/true\"]\n\
         [replication]\nlocal_address = \"{own}\"\npeer_address = \"{peer}\"\nkey_file = \"{}\"\n",
        topology.interfaces()[0],
        key.display()
    );
    let config = Config::new(topology.interfaces(), [service]).tables(&tables);
    let daemon = Daemon::start(&topology.balancer, &config).unwrap();
    let backend = &topology.servers[0].name;
    daemon.wait_backend("echo", backend, "active").unwrap();
    daemon.lbctl("service set echo --max-connections 1000 --affinity-timeout 60s").unwrap();
    daemon.lbctl(&format!("backend set echo {backend} --max-connections 1000")).unwrap();
    let load =
        client::start(&topology.client, &Echo { target: at }, &Load::steady(addresses::clients(Family::V4)));
    // Packets of somebody who does not have the key are rejected.
    let port = lb_userspace::model::Replication::DEFAULT_PORT;
    let garbage = || {
        topology.servers[0].netns.run(|| {
            let socket = std::net::UdpSocket::bind((peer, port))?;
            socket.send_to(b"garbage", (own, port))
        })
    };
    let documented = documented();
    assert!(documented.len() > 60, "{documented:?}");
    let missing = || -> Vec<String> {
        garbage().unwrap();
        let (_, page) = http::get(&topology.balancer, ([127, 0, 0, 1], 9464).into(), "/metrics").unwrap();
        let has = |name: &&String| {
            let sample =
                |line: &str| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "));
            page.lines().any(sample) || page.contains(&format!("\n{name}_count"))
        };
        documented.iter().filter(|name| !has(name)).cloned().collect()
    };
    let found = clock::wait_until("samples of all metrics", Duration::from_secs(20), || missing().is_empty());
    assert!(found.is_ok(), "no sample of {:?}", missing());
    drop(load.stop());
}
