//! What a virtual router tracks: its priority and state follow.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_tests::{
    clock,
    config::{Backend, Config, Protocol, Service},
    daemon::Daemon,
    netns::Netns,
    require_privileged, temporary,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

fn router(daemon: &Daemon) -> Value {
    daemon.lbctl("vrrp status").unwrap()[0].clone()
}

fn wait_for(daemon: &Daemon, state: &str, priority: u64, reason: &str) {
    let is_so = || {
        let router = router(daemon);
        let says = router["tracked"]
            .as_array()
            .unwrap()
            .iter()
            .any(|tracked| tracked["reason"].as_str().is_some_and(|said| said.contains(reason)));
        router["state"] == state && router["priority"] == priority && (says || reason.is_empty())
    };
    clock::wait_until(&format!("state {state}, priority {priority}, {reason:?}"), PATIENCE, is_so)
        .unwrap_or_else(|error| panic!("{error:#}: {}\n{}", router(daemon), daemon.log()));
}

/// A shell script that everybody may run.
fn program(path: &Path, text: &str) -> PathBuf {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

/// A program that succeeds while `path` exists.
fn script(path: &Path) -> PathBuf {
    fs::write(path, "").unwrap();
    let text = format!("test -e {} || {{ echo no uplink; exit 1; }}", path.display());
    program(&path.with_extension("sh"), &text)
}

/// A machine with two interfaces, and nobody beside it.
fn machine() -> Netns {
    let netns = Netns::create("tracking").unwrap();
    netns.ip("link add eth0 type veth peer name peer0").unwrap();
    netns.ip("link add eth1 type veth peer name peer1").unwrap();
    netns.ip("link set eth0 up").unwrap();
    netns.ip("link set peer0 up").unwrap();
    netns.ip("addr add 10.77.1.1/24 dev eth0").unwrap();
    netns
}

/// A service with two backends that are not checked.
fn service() -> Service {
    let vip: IpAddr = "10.77.1.100".parse().unwrap();
    let mut service = Service::new("web", Protocol::Tcp, (vip, 80).into());
    let backend = |last: u8| Backend {
        name: format!("b{last}"),
        address: (IpAddr::from([10, 77, 1, last]), 80).into(),
        weight: 100,
    };
    service.backends = vec![backend(11), backend(12)];
    service
}

#[test]
fn priority_state_and_hooks_follow_what_is_tracked() {
    require_privileged!();
    let netns = machine();
    let directory = temporary::directory("tracking").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let told = directory.path().join("told");
    let hook = program(
        &directory.path().join("hook"),
        &format!("echo $1 $LB_ROUTER $LB_PREVIOUS_STATE $LB_STATE $LB_PRIORITY >> {}", told.display()),
    );
    let (weight, uplink) = (directory.path().join("weight"), directory.path().join("uplink"));
    let tables = format!(
        "[[vrrp]]\nname = \"outside\"\ninterface = \"eth0\"\nvirtual_router_id = 51\nadvert_interval = \"100ms\"\n\
         virtual_addresses = [\"10.77.1.100/24\"]\ntrack_files = [{{ path = {weight:?} }}]\n\
         track_services = [{{ service = \"web\", min_healthy = 2, weight = -50 }}]\n\
         track_scripts = [{{ name = \"uplink\", script = {:?}, interval = \"100ms\" }}]\n\
         notify = [{hook:?}, \"--hook\"]\n",
        script(&uplink)
    );
    let mut daemon =
        Daemon::start(&netns, &Config::new(&["eth0", "eth1"], [service()]).tables(&tables)).unwrap();
    wait_for(&daemon, "active", 100, "");

    fs::write(&weight, "-30\n").unwrap();
    wait_for(&daemon, "active", 70, "");
    daemon.lbctl("backend set web b12 --state disabled").unwrap();
    wait_for(&daemon, "active", 20, "1 of 1 backends are healthy");
    fs::write(&weight, "down").unwrap();
    wait_for(&daemon, "fault", 50, "it says down");
    fs::remove_file(&weight).unwrap();
    wait_for(&daemon, "active", 50, "");

    fs::remove_file(&uplink).unwrap();
    wait_for(&daemon, "fault", 50, "exit status 1: no uplink");
    fs::write(&uplink, "").unwrap();
    wait_for(&daemon, "active", 50, "");

    netns.ip("link del eth1").unwrap();
    wait_for(&daemon, "fault", 50, "the program is not on eth1");
    netns.ip("link add eth1 type veth peer name peer1").unwrap();
    wait_for(&daemon, "active", 50, "");

    daemon.terminate().unwrap();
    let told = fs::read_to_string(&told).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "--hook outside initialize backup 100",
            "--hook outside backup active 100",
            "--hook outside active fault 50"
        ]
    );
    assert!(lines.last().unwrap().ends_with(" initialize 50"), "{told}");
}
