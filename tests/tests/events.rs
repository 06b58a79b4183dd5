//! What a running `lbd` tells of what happens to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{thread, time::Duration};

use lb_tests::{
    client::{self, Echo, Load},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    require_privileged,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    topology::{Family, Plan, Topology, addresses},
};
use serde_json::Value;

/// What `lbctl events` prints, a value for each line.
fn events(daemon: &Daemon, options: &str) -> Vec<Value> {
    let text = daemon.lbctl_text(&format!("-o json events {options}")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_death_of_a_server_is_told_and_a_subscriber_goes_on_after_a_restart() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 2, ..Plan::default() }).unwrap();
    let mut servers: Vec<EchoServer> =
        topology.servers.iter().map(|host| EchoServer::start(host).unwrap()).collect();
    let service = Service::new("echo", Protocol::Tcp, target(Family::V4, ECHO_PORT))
        .mode(Mode::Nat)
        .backends(&topology.servers, ECHO_PORT)
        .checked(ECHO_PORT);
    let config = Config::new(topology.interfaces(), [service]);
    let mut daemon = Daemon::start(&topology.balancer, &config).unwrap();
    let (alive, dead) = (&topology.servers[0].name, &topology.servers[1].name);
    for name in [alive, dead] {
        daemon.wait_backend("echo", name, "active").unwrap();
    }

    let told = thread::scope(|scope| {
        let subscriber = scope.spawn(|| events(&daemon, "--match to=down --count 2"));
        clock::wait_until("the subscriber to be there", Duration::from_secs(10), || {
            // It is told of what begins after it came: so it must be there before the server dies.
            daemon.lbctl("status").is_ok_and(|status| status["event_subscribers"] == 1)
        })
        .unwrap();
        drop(servers.pop());
        subscriber.join().unwrap()
    });
    let kinds: Vec<&str> = told.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["health-down", "backend-state"]);
    for event in &told {
        assert_eq!(event["attributes"]["backend"], dead.as_str(), "{event}");
        assert!(event["attributes"]["reason"].as_str().unwrap().contains("refused"), "{event}");
    }

    let last = told[1]["sequence"].as_u64().unwrap();
    let past = daemon.lbctl("events --past").unwrap();
    assert_eq!(past["last"].as_u64(), Some(last), "nothing else happened");
    daemon.terminate().unwrap();
    daemon.start_again().unwrap();
    servers.push(EchoServer::start(&topology.servers[1]).unwrap());
    let told = events(&daemon, &format!("--after {last} --match kind=health-up(backend={dead}) --count 1"));
    assert!(told[0]["sequence"].as_u64().unwrap() > last, "{told:?}");
}

#[test]
fn flows_are_told_to_who_asks_for_them() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let _server = EchoServer::start(&topology.servers[0]).unwrap();
    let at = target(Family::V4, ECHO_PORT);
    let service = Service::new("echo", Protocol::Tcp, at).mode(Mode::Nat);
    let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
    let daemon = Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), [service])).unwrap();
    let backend = topology.servers[0].name.clone();
    daemon.wait_backend("echo", &backend, "active").unwrap();
    let load = Load::steady(addresses::clients(Family::V4));
    let load = client::start(&topology.client, &Echo { target: at }, &load);
    // The words of a filter stand without spaces here: the helper splits by them.
    let told = events(&daemon, &format!("--topic flow --count 20 --match (backend={backend})(protocol=tcp)"));
    drop(load.stop());
    assert_eq!(told.len(), 20);
    for event in &told {
        assert_eq!(event["topic"], "flow", "{event}");
        assert!(
            event["attributes"]["backend"] == backend.as_str() || event["kind"] == "flow-untold",
            "{event}"
        );
    }
    let has = |kind: &str| told.iter().any(|event| event["kind"] == kind);
    assert!(has("flow-began"), "{told:?}");
    let past = daemon.lbctl("events --past --topic flow").unwrap();
    assert_eq!(past["events"].as_array().unwrap().len(), 0, "they are not kept");
}
