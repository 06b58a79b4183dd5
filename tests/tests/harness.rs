//! The harness tested on its own, with the kernel forwarding in the balancer's place.

use std::{net::SocketAddr, time::Duration};

use etherparse::PacketBuilder;
use lb_tests::{
    capture::Capture,
    client::{self, Http, Load, Long, LongConnections, Udp},
    clock,
    inject::{self, Injector},
    pattern::Pattern,
    require_privileged,
    servers::{ECHO_PORT, HTTP_PORT, Nginx, Servers},
    topology::{Arms, Family, Plan, Topology, addresses},
};

fn routed(arms: Arms) -> Plan {
    Plan { arms, servers: 1, narrow: true, kernel_forwarding: true, ..Plan::default() }
}

#[test]
fn every_part_of_the_network_reaches_every_other() {
    require_privileged!();
    for arms in [Arms::One, Arms::Two] {
        let topology = Topology::build(routed(arms)).unwrap();
        for host in topology.servers.iter().chain(&topology.far) {
            topology.client.wait_reachable(host.v4.into()).unwrap();
            topology.client.wait_reachable(host.v6.into()).unwrap();
        }
    }
}

#[test]
fn clients_are_served_and_no_frame_has_a_bad_checksum() {
    require_privileged!();
    let topology = Topology::build(routed(Arms::Two)).unwrap();
    let _servers = Servers::start(&topology.servers[0]).unwrap();
    let capture = Capture::start(&topology.links()).unwrap();
    for family in Family::ALL {
        let load = Load::full(addresses::clients(family));
        let target = |port| SocketAddr::new(topology.servers[0].address(family), port);
        let http = client::run(&topology.client, &Http { target: target(HTTP_PORT) }, &load, 1000);
        assert_eq!((http.succeeded, http.failed(), http.share("server-1")), (1000, 0, 1.0), "{http:?}");
        let udp = Udp { target: target(ECHO_PORT), size: 4096 };
        let udp = client::run(&topology.client, &udp, &load, 500);
        assert_eq!((udp.succeeded, udp.failed()), (500, 0), "{udp:?}");
    }
    let recording = capture.stop().unwrap();
    let frames = recording.frames().unwrap();
    assert!(frames.iter().filter(|(_, count)| *count > 2 * 1000 * 8).count() == 3, "{frames:?}");
    assert_eq!(recording.bad_checksums().unwrap(), Vec::<String>::new());
}

#[test]
fn a_bad_checksum_is_found() {
    require_privileged!();
    let topology = Topology::build(routed(Arms::Two)).unwrap();
    let injector = Injector::open(&topology.client, "eth0").unwrap();
    let router = inject::mac(&topology.balancer, "eth0").unwrap();
    let builder = PacketBuilder::ethernet2(injector.mac(), router)
        .ipv4(addresses::CLIENT_V4.octets(), topology.servers[0].v4.octets(), 64)
        .udp(40000, ECHO_PORT);
    let mut frame = Vec::new();
    builder.write(&mut frame, b"payload").unwrap();
    *frame.last_mut().unwrap() ^= 1;
    let capture = Capture::start(&topology.links()).unwrap();
    injector.send(&frame).unwrap();
    clock::wait_until("the frame at the server", Duration::from_secs(5), || {
        capture.count("server-1", "udp.dstport == 9000").unwrap() == 1
    })
    .unwrap();
    let bad = capture.stop().unwrap().bad_checksums().unwrap();
    assert_eq!(bad.len(), 3, "{bad:?}");
}

#[test]
fn failures_are_counted_with_their_reason() {
    require_privileged!();
    let topology = Topology::build(routed(Arms::One)).unwrap();
    let target = SocketAddr::new(topology.servers[0].address(Family::V4), HTTP_PORT);
    let load = Load::full(addresses::clients(Family::V4));
    let report = client::run(&topology.client, &Http { target }, &load, 10);
    assert_eq!((report.succeeded, report.failed()), (0, 10));
    assert!(report.failures.keys().all(|reason| reason.contains("refused")), "{report:?}");
}

#[test]
fn a_broken_long_connection_is_noticed() {
    require_privileged!();
    let topology = Topology::build(routed(Arms::Two)).unwrap();
    let host = &topology.servers[0];
    let servers = Servers::start(host).unwrap();
    let long = Long {
        target: SocketAddr::new(host.address(Family::V6), ECHO_PORT),
        sources: addresses::clients(Family::V6),
        count: 5,
        pause: Duration::from_millis(1),
    };
    let connections = LongConnections::open(&topology.client, &long).unwrap();
    connections.wait_more(100).unwrap();
    assert!(connections.report().broken.is_empty());
    drop(servers);
    clock::wait_until("the connections to break", Duration::from_secs(5), || {
        connections.report().broken.len() == 5
    })
    .unwrap();
}

#[test]
fn files_cross_a_narrow_path_unharmed() {
    require_privileged!();
    const SIZE: u64 = 3_000_001;
    let topology = Topology::build(routed(Arms::One)).unwrap();
    let far = topology.far.as_ref().unwrap();
    let nginx = Nginx::start(far).unwrap();
    let (down, up) = (Pattern::new(1), Pattern::new(2));
    nginx.provide("down", down, SIZE).unwrap();
    for family in Family::ALL {
        let target = SocketAddr::new(far.address(family), HTTP_PORT);
        let name = family.name();
        client::download(&topology.client, target, "down", down, SIZE).unwrap();
        client::upload(&topology.client, target, &[&nginx], name, up, SIZE).unwrap();
    }
    let target = SocketAddr::new(far.address(Family::V4), HTTP_PORT);
    client::download(&topology.client, target, "down", up, SIZE).unwrap_err();
}
