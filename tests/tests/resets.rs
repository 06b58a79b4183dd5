//! Real connections to a backend that is taken out: both ends are told, idle ones too.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use lb_tests::{
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    require_privileged,
    topology::{Family, Plan, Topology, addresses},
};

/// Port of the services, and of the server.
const PORT: u16 = 7000;
const SERVER_PORT: u16 = 7100;
/// Connections to each service.
const COUNT: usize = 8;
/// How long an end may wait for its RST. What is asserted is that it comes; usually it is there within some 20 ms.
const PATIENCE: Duration = Duration::from_secs(5);

/// A balancer with one server, and a service for each family and mode.
struct Bed {
    topology: Topology,
    daemon: Daemon,
    listener: TcpListener,
}

/// The two ends of a connection.
type Ends = (TcpStream, TcpStream);

impl Bed {
    fn start() -> Self {
        let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
        let services = kinds().map(|(family, mode)| {
            let service = Service::new(&name(family, mode), Protocol::Tcp, vip(family, mode));
            service.mode(mode).backends(&topology.servers, SERVER_PORT)
        });
        let daemon =
            Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), services)).unwrap();
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, SERVER_PORT));
        let listener = topology.servers[0].netns.run(|| TcpListener::bind(any)).unwrap();
        Self { topology, daemon, listener }
    }

    fn all(&self, command: impl Fn(&str) -> String) {
        for (family, mode) in kinds() {
            self.daemon.lbctl(&command(&name(family, mode))).unwrap();
        }
    }

    /// Connections that have exchanged something each way.
    fn connect(&self) -> Vec<Ends> {
        kinds().flat_map(|kind| (0..COUNT).map(move |_| kind)).map(|kind| self.connection(kind)).collect()
    }

    fn connection(&self, (family, mode): (Family, Mode)) -> Ends {
        let client = self.topology.client.run(|| TcpStream::connect(vip(family, mode))).unwrap();
        let (server, _) = self.listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let ends = (client, server);
        assert_works(&ends);
        ends
    }
}

fn kinds() -> impl Iterator<Item = (Family, Mode)> {
    Family::ALL.into_iter().flat_map(|family| Mode::ALL.map(|mode| (family, mode)))
}

fn name(family: Family, mode: Mode) -> String {
    format!("{}-{}", family.name(), mode.name())
}

fn vip(family: Family, mode: Mode) -> SocketAddr {
    SocketAddr::new(addresses::vip(family, u8::from(mode == Mode::FullNat)), PORT)
}

fn assert_works((client, server): &Ends) {
    for (mut from, mut to) in [(client, server), (server, client)] {
        let mut byte = [0];
        from.write_all(&[7]).unwrap();
        to.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
    }
}

/// Both ends wait for data and get a RST instead.
fn assert_reset(connections: Vec<Ends>) {
    assert!(!connections.is_empty());
    for (client, server) in connections {
        for (what, mut end) in [("client", client), ("server", server)] {
            let address = end.peer_addr();
            let found = end.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(found, Err(ErrorKind::ConnectionReset), "{what}, connected to {address:?}");
        }
    }
}

#[test]
fn both_ends_of_idle_connections_get_a_rst_when_their_backend_is_disabled_or_removed() {
    require_privileged!();
    let bed = Bed::start();
    bed.all(|service| format!("service set {service} --on-down reset"));

    let connections = bed.connect();
    bed.all(|service| format!("backend set {service} server-1 --state disabled"));
    assert_reset(connections);

    bed.all(|service| format!("backend set {service} server-1 --state enabled"));
    let connections = bed.connect();
    bed.all(|service| format!("backend rm {service} server-1"));
    assert_reset(connections);
}

#[test]
fn both_ends_of_idle_connections_get_a_rst_at_the_deadline_of_a_drain_and_not_before() {
    require_privileged!();
    let bed = Bed::start();
    let connections = bed.connect();
    bed.all(|service| format!("backend drain {service} server-1 --deadline 3s --then rst"));
    connections.iter().for_each(assert_works);
    assert_reset(connections);
}

#[test]
fn a_restart_of_lbd_between_removal_and_reset_loses_no_reset() {
    require_privileged!();
    let mut bed = Bed::start();
    bed.all(|service| format!("service set {service} --on-down reset"));
    let connections = bed.connect();
    bed.all(|service| format!("service rm {service}"));
    bed.daemon.kill().unwrap();
    bed.daemon.start_again().unwrap();
    assert_reset(connections);
}

#[test]
fn without_the_policy_idle_connections_survive_a_backend_that_comes_back() {
    require_privileged!();
    let bed = Bed::start();
    let connections = bed.connect();
    bed.all(|service| format!("backend set {service} server-1 --state disabled"));
    bed.all(|service| format!("backend set {service} server-1 --state enabled"));
    connections.iter().for_each(assert_works);
}

#[test]
fn both_ends_of_idle_connections_get_a_rst_when_they_are_killed_and_no_others() {
    require_privileged!();
    let bed = Bed::start();
    let connections = bed.connect();
    for (family, mode) in kinds() {
        let client = connections
            .iter()
            .map(|(client, _)| client.local_addr().unwrap())
            .find(|client| client.is_ipv4() == (family == Family::V4));
        let pick = format!("--service {} --client {}", name(family, mode), client.unwrap().ip());
        assert_eq!(bed.daemon.lbctl(&format!("flow kill {pick} --dry-run")).unwrap()["reset"], COUNT);
    }
    connections.iter().for_each(assert_works);

    let (killed, others): (Vec<Ends>, Vec<Ends>) = connections.into_iter().partition(|(client, _)| {
        client.peer_addr().unwrap() == vip(Family::V4, Mode::Nat)
            || client.peer_addr().unwrap() == vip(Family::V6, Mode::FullNat)
    });
    for (family, mode) in [(Family::V4, Mode::Nat), (Family::V6, Mode::FullNat)] {
        let said = bed
            .daemon
            .lbctl(&format!("flow kill --service {} --state established", name(family, mode)))
            .unwrap();
        assert_eq!((&said["reset"], &said["forgotten"]), (&COUNT.into(), &0.into()), "{said}");
    }
    assert_reset(killed);
    others.iter().for_each(assert_works);
    // The same client gets through again.
    assert_works(&bed.connection((Family::V4, Mode::Nat)));
    assert_eq!(bed.daemon.lbctl("flow kill --protocol udp").unwrap()["reset"], 0);
}
