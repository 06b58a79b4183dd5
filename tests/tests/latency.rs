//! How long handshakes take, as the data path measures it of real connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lb_tests::{
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    http, require_privileged,
    site::target,
    topology::{Family, Plan, Topology},
};
use socket2::{Domain, Socket, Type};

const PORT: u16 = 7000;
/// Longer than a SYN takes that is repeated once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server's accept queue has one place. A SYN that finds it taken is dropped, and the client repeats it after a second: by then there is
/// room.
fn a_full_queue_shows(mode: Mode) {
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let server = &topology.servers[0];
    let at = target(Family::V4, PORT);
    let service = Service::new("web", Protocol::Tcp, at).mode(mode).backends(&topology.servers, PORT);
    let config = Config::new(topology.interfaces(), [service]).tables("[metrics]\nprogram_run_time = true\n");
    let daemon = Daemon::start(&topology.balancer, &config).unwrap();
    let address = SocketAddr::new(server.address(Family::V4), PORT);
    let listener = server.netns.run(|| {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        listener
    });
    let syns = || daemon.lbctl("stats").unwrap()["backends"][0]["syns"].as_u64().unwrap();

    let first = topology.client.run(|| TcpStream::connect_timeout(&at, PATIENCE)).unwrap();
    let second = topology.client.spawn_thread(move || TcpStream::connect_timeout(&at, PATIENCE));
    clock::wait_until("the second SYN to be sent", PATIENCE, || syns() == 2).unwrap();
    drop(listener.accept().unwrap());
    drop((first, second.join().unwrap().unwrap()));

    let backend = format!("backend=\"{}\",service=\"web\"", server.name);
    let (_, page) = http::get(&topology.balancer, ([127, 0, 0, 1], 9464).into(), "/metrics").unwrap();
    let value = |name: &str, bound: &str| {
        let start = format!("{name}{{{backend}{bound}}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&*start));
        line.unwrap_or_else(|| panic!("no {start} in\n{page}")).parse::<f64>().unwrap()
    };
    // The second waited for a second, and neither waited for the client.
    let quick = value("lb_backend_handshake_seconds_bucket", ",le=\"0.536870912\"");
    let all = value("lb_backend_handshake_seconds_bucket", ",le=\"4.294967296\"");
    let sum = value("lb_backend_handshake_seconds_sum", "");
    assert_eq!((quick, all), (1.0, 2.0), "{page}");
    assert!((0.9..4.0).contains(&sum), "{sum}");
    let rtts = value("lb_backend_rtt_seconds_bucket", ",le=\"0.536870912\"");
    assert_eq!((rtts, value("lb_backend_rtt_seconds_count", "")), (2.0, 2.0), "{page}");

    let line =
        |name: &str| page.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse::<f64>().unwrap();
    let (runs, seconds) = (line("lb_program_runs_total "), line("lb_program_run_seconds_total "));
    assert!(runs >= 8.0 && seconds > 0.0, "{runs} runs took {seconds} s");

    let shown = daemon.lbctl(&format!("backend show web {}", server.name)).unwrap();
    let handshake = &shown["latency"]["handshake"];
    assert_eq!((&handshake["count"], &shown["latency"]["rtt"]["count"]), (&2.into(), &2.into()), "{shown}");
    assert!(handshake["p50_microseconds"].as_u64().unwrap() < 500_000, "{shown}");
    assert!(handshake["p99_microseconds"].as_u64().unwrap() > 500_000, "{shown}");
}

#[test]
fn a_syn_that_a_full_accept_queue_drops_is_a_handshake_of_a_second_in_nat() {
    require_privileged!();
    a_full_queue_shows(Mode::Nat);
}

#[test]
fn a_syn_that_a_full_accept_queue_drops_is_a_handshake_of_a_second_in_full_nat() {
    require_privileged!();
    a_full_queue_shows(Mode::FullNat);
}
