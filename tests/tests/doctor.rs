//! `lbctl doctor` in namespaces: something is broken, the finding is there; its command is run, the finding is gone.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{path::Path, process::Command, time::Duration};

use lb_tests::{
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::{Daemon, binary},
    netns::Netns,
    require_privileged,
    servers::HTTP_PORT,
    site::{Site, WEB_PORT, target},
    topology::{Family, Plan, Topology},
    xdp,
};
use serde_json::Value;

/// Shell words that run doctor on the configuration of a daemon.
fn doctor_line(daemon: &Daemon) -> String {
    let lbctl = binary("lbctl").unwrap();
    let (socket, config) = (daemon.socket(), daemon.config_file());
    format!("{} -o json --socket {} doctor --config {}", lbctl.display(), socket.display(), config.display())
}

/// Runs a script in a namespace; its exit code and what it prints.
fn sh(netns: &Netns, script: &str) -> (Option<i32>, String) {
    let output = netns.run(|| Command::new("sh").args(["-c", script]).output()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.is_empty() {
        eprintln!("{script}: {said}");
    }
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The findings of a check that are not as they should be; what is printed and the exit code must fit each other.
fn findings(netns: &Netns, script: &str, id: &str) -> Vec<Value> {
    let (code, text) = sh(netns, script);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let all = report["findings"].as_array().unwrap();
    let errors = all.iter().any(|finding| finding["severity"] == "error");
    assert_eq!(code, Some(i32::from(errors)), "{text}");
    all.iter().filter(|finding| finding["id"] == id && finding["severity"] != "ok").cloned().collect()
}

/// Breaks something, and expects the finding with this severity; runs the commands it gives, and expects it to be gone.
fn check(netns: &Netns, daemon: &Daemon, id: &str, severity: &str, break_it: impl FnOnce()) {
    let line = doctor_line(daemon);
    assert_eq!(findings(netns, &line, id), [Value::Null; 0], "before anything is broken");
    break_it();
    let found = findings(netns, &line, id);
    assert!(!found.is_empty(), "{id} is not found");
    for finding in &found {
        assert_eq!(finding["severity"], severity, "{finding}");
        let fix = finding["fix"].as_str().unwrap();
        assert_eq!(sh(netns, fix).0, Some(0), "{finding}");
    }
    clock::wait_until(&format!("{id} to be gone"), Duration::from_secs(5), || {
        findings(netns, &line, id).is_empty()
    })
    .unwrap();
}

fn web(topology: &Topology) -> Config {
    let web = Service::new("web", Protocol::Tcp, target(Family::V4, WEB_PORT));
    Config::new(topology.interfaces(), [web.backends(&topology.servers, HTTP_PORT)])
}

#[test]
fn what_is_broken_beside_a_running_daemon_is_found_and_put_right() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 2, ..Plan::default() }, Mode::FullNat).unwrap();
    let (balancer, client, daemon) = (&site.topology.balancer, &site.topology.client, &site.daemon);
    // The namespace is sound: no error, and so it ends with 0.
    let (code, text) = sh(balancer, &doctor_line(daemon));
    assert_eq!(code, Some(0), "{text}");

    check(balancer, daemon, "rp-filter", "warning", || {
        balancer.sysctl("net/ipv4/conf/eth0/rp_filter", "1").unwrap();
    });
    check(balancer, daemon, "veth-checksum", "error", || {
        client.sh("ethtool -K eth0 tx on").unwrap();
    });
    check(balancer, daemon, "mtu", "warning", || {
        balancer.ip("link set dev eth0 mtu 3000").unwrap();
    });
    check(balancer, daemon, "port-range", "warning", || {
        balancer.sysctl("net/ipv4/ip_local_port_range", "10000 60999").unwrap();
    });
    check(balancer, daemon, "loopback-forwarding", "error", || {
        balancer.sysctl("net/ipv4/conf/lo/forwarding", "0").unwrap();
    });
}

#[test]
fn what_is_broken_without_a_daemon_is_found_and_put_right() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 2, ..Plan::default() }).unwrap();
    let balancer = &topology.balancer;
    let daemon = Daemon::prepare(balancer, &web(&topology)).unwrap();

    let mut foreign = None;
    check(balancer, &daemon, "xdp-program", "error", || {
        foreign = Some(xdp::Program::pass().attach(balancer, "eth0").unwrap());
    });
    drop(foreign);
    check(balancer, &daemon, "interface", "error", || {
        balancer.ip("link set dev eth0 down").unwrap();
    });
    let server = topology.servers[0].v4;
    check(balancer, &daemon, "backend-neighbour", "error", || {
        balancer.ip(&format!("neigh replace {server} dev eth1 nud failed")).unwrap();
    });
    check(balancer, &daemon, "backend-route", "error", || {
        let routes = balancer.ip("-4 route show dev eth1").unwrap();
        let network = routes.split_whitespace().next().unwrap();
        balancer.ip(&format!("route del {network} dev eth1")).unwrap();
    });
}

#[test]
fn a_missing_bpf_file_system_is_found_and_mounted() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let (balancer, daemon) =
        (&topology.balancer, Daemon::prepare(&topology.balancer, &web(&topology)).unwrap());
    let directory = daemon.pin_directory();
    let mount = directory.parent().map(Path::display).unwrap();
    let line = doctor_line(&daemon);
    assert_eq!(findings(balancer, &line, "bpffs"), [Value::Null; 0]);
    // In a mount namespace of its own, which goes with the shell.
    let without = |script: &str| format!("unshare -m sh -c 'umount -l {mount}; {script}'");
    let found = findings(balancer, &without(&line), "bpffs");
    assert_eq!((found.len(), &found[0]["severity"]), (1, &"error".into()), "{found:?}");
    let fix = found[0]["fix"].as_str().unwrap();
    assert_eq!(findings(balancer, &without(&format!("{fix}; {line}")), "bpffs"), [Value::Null; 0]);
}
