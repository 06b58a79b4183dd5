//! Drains, and whole configurations, under connections that live.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{fs, time::Duration};

use lb_tests::{
    client::LongConnections,
    clock,
    config::{Config, Protocol, Service},
    require_privileged,
    servers::{ECHO_PORT, HTTP_PORT},
    site::{Site, WEB_PORT, target},
    topology::{Family, Plan},
};

const LIMIT: Duration = Duration::from_secs(10);

/// An HTTP and an echo service over IPv4 with three backends.
fn site() -> Site {
    Site::start(Plan::default(), |topology| {
        let service = |name, port, backend_port| {
            let service = Service::new(name, Protocol::Tcp, target(Family::V4, port));
            service.backends(&topology.servers, backend_port)
        };
        let services = [service("web", WEB_PORT, HTTP_PORT), service("echo", ECHO_PORT, ECHO_PORT)];
        Config::new(topology.interfaces(), services)
    })
    .unwrap()
}

/// Flows of a backend of `echo`, as `flow count` says.
fn flows(site: &Site, backend: &str) -> usize {
    let counts = site.daemon.lbctl("flow count").unwrap();
    let all = counts["backends"].as_array().unwrap();
    let found = all.iter().find(|entry| entry["service"] == "echo" && entry["backend"] == backend);
    usize::try_from(found.unwrap()["established"].as_u64().unwrap()).unwrap()
}

/// Waits until so many connections are broken; then the others have to go on.
fn wait_broken(connections: &LongConnections, count: usize) {
    clock::wait_until("connections to break", LIMIT, || connections.report().broken.len() >= count).unwrap();
    connections.wait_more(200).unwrap();
    let report = connections.report();
    assert_eq!(report.broken.len(), count, "{report:?}");
}

fn drain(site: &Site) -> serde_json::Value {
    let backends = site.daemon.lbctl("backend list echo").unwrap();
    backends[0]["drain"].clone()
}

#[test]
fn a_drain_breaks_nothing_takes_nothing_new_and_ends_with_the_last_flow() {
    require_privileged!();
    let site = site();
    let connections = site.long_connections(Family::V4, 60).unwrap();
    let before = flows(&site, "server-1");
    assert!(before > 5, "{before}");
    for service in ["web", "echo"] {
        site.daemon.lbctl(&format!("backend drain {service} server-1 --deadline 1h --then rst")).unwrap();
    }
    let report = site.requests(Family::V4, Protocol::Tcp, 300);
    assert_eq!((report.failed(), report.share("server-1")), (0, 0.0), "{report:?}");
    clock::wait_until("flows to be counted", LIMIT, || drain(&site)["flows"] == before as u64).unwrap();
    assert_eq!(drain(&site)["drained"], false);

    // The deadline survives a kill, and so do the flows.
    let mut site = site;
    site.daemon.kill().unwrap();
    site.daemon.start_again().unwrap();
    clock::wait_until("flows to be counted again", LIMIT, || drain(&site)["flows"] == before as u64).unwrap();
    connections.wait_more(200).unwrap();
    let report = connections.close();
    assert!(report.broken.is_empty(), "{report:?}");
    clock::wait_until("the end of the drain", LIMIT, || drain(&site)["drained"] == true).unwrap();
    let text = site.daemon.lbctl_text("backend drain echo server-1 --wait").unwrap();
    assert_eq!(text, "backend echo server-1 drained\n");
}

#[test]
fn at_the_deadline_flows_that_are_left_are_reset_and_no_others() {
    require_privileged!();
    let site = site();
    let connections = site.long_connections(Family::V4, 60).unwrap();
    let of_first = flows(&site, "server-1");
    let line = "backend drain echo server-1 --deadline 1s --then rst --wait";
    assert_eq!(site.daemon.lbctl_text(line).unwrap(), "backend echo server-1 drained\n");
    wait_broken(&connections, of_first);
    let reset = connections.report().broken.iter().filter(|how| how.contains("reset")).count();
    assert_eq!(reset, of_first, "{:?}", connections.report().broken);

    let error =
        site.daemon.lbctl("backend drain echo server-2 --deadline 1s --wait").unwrap_err().to_string();
    assert!(error.contains("exit status: 6") && error.contains("flows are left"), "{error}");
    wait_broken(&connections, of_first);
}

#[test]
fn what_a_dry_run_predicts_is_what_happens_and_a_rollback_by_itself_breaks_nothing() {
    require_privileged!();
    let site = site();
    let connections = site.long_connections(Family::V4, 60).unwrap();
    let (file, of_first) = (site.daemon.config_file(), flows(&site, "server-1"));
    let old = fs::read_to_string(&file).unwrap();
    // The last backend of that name is that of `echo`.
    let begin = old.rfind("[[services.backends]]\nname = \"server-1\"").unwrap();
    let length = old[begin + 2..].find("[[").unwrap() + 2;
    let new = format!("{}{}", &old[..begin], &old[begin + length..]);
    let path = file.with_file_name("new.toml");
    fs::write(&path, &new).unwrap();
    let path = path.display();

    let dry = site.daemon.lbctl(&format!("config apply {path} --dry-run")).unwrap();
    assert_eq!(dry["flows"], serde_json::json!({"total": 60, "moves": of_first, "resets": 0, "ends": 0}));
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    connections.wait_more(200).unwrap();
    assert!(connections.report().broken.is_empty());

    let done = site.daemon.lbctl(&format!("config apply {path} --confirm 2s")).unwrap();
    assert_eq!(done["flows"], dry["flows"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), new);
    wait_broken(&connections, of_first);
    let status = || site.daemon.lbctl("status").unwrap();
    clock::wait_until("the rollback", LIMIT, || status()["confirm_until"].is_null()).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    assert_eq!(fs::read_to_string(file.with_file_name("lb.toml.rejected")).unwrap(), new);
    site.daemon.wait_backend("echo", "server-1", "active").unwrap();
    wait_broken(&connections, of_first);
}

#[test]
fn drift_is_found_counted_and_put_right() {
    require_privileged!();
    let site = site();
    let pins = site.daemon.pin_directory();
    let versioned =
        fs::read_dir(&pins).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let backends = versioned.unwrap().join("BACKENDS");
    let size =
        site.topology.balancer.sh(&format!("bpftool -j map show pinned {}", backends.display())).unwrap();
    let size: serde_json::Value = serde_json::from_str(&size).unwrap();
    let zeros = "0 ".repeat(usize::try_from(size["bytes_value"].as_u64().unwrap()).unwrap());
    let update = format!("bpftool map update pinned {} key 1 0 0 0 value {zeros}", backends.display());
    site.topology.balancer.sh(&update).unwrap();
    let repaired = site.daemon.lbctl("config repair").unwrap();
    let expected = serde_json::json!([{"map": "backends", "kind": "missing", "count": 1}]);
    assert_eq!(repaired["elements"], expected);
    assert_eq!(site.daemon.lbctl("status").unwrap()["drift_repaired"], 1);
    assert_eq!(site.daemon.lbctl("config repair").unwrap()["repaired"], 0);
    assert!(site.daemon.log().contains("somebody else changed the maps"), "{}", site.daemon.log());
    let report = site.requests(Family::V4, Protocol::Tcp, 300);
    assert_eq!((report.failed(), report.servers.len()), (0, 3), "{report:?}");
}
