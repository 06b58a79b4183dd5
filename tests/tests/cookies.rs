//! Real connections that begin with a SYN cookie.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use lb_common::{host::FrameSpec, wire::SYN};
use lb_tests::{
    client, clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    inject::{self, Injector},
    pattern::Pattern,
    require_privileged,
    servers::{ECHO_PORT, Nginx},
    site::{Site, WEB_PORT, target},
    topology::{Family, Plan, Topology, addresses},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);
/// A backend repeats its SYN-ACK after a second: what takes less did not need that.
const AT_ONCE: Duration = Duration::from_millis(700);
/// Port of the service and of the server where a test has its own.
const PORT: u16 = 7000;
const SERVER_PORT: u16 = 7100;

/// What a client's TCP can do.
const STACKS: [(&str, &[(&str, &str)]); 3] = [
    ("everything", &[]),
    ("no timestamps", &[("tcp_timestamps", "0")]),
    ("timestamps only", &[("tcp_timestamps", "1"), ("tcp_sack", "0"), ("tcp_window_scaling", "0")]),
];

fn tcp_services(daemon: &Daemon) -> Vec<String> {
    let services = daemon.lbctl("service list").unwrap();
    let services = services.as_array().unwrap().iter().filter(|service| service["protocol"] == "tcp");
    services.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
}

fn always(daemon: &Daemon) {
    for service in tcp_services(daemon) {
        daemon.lbctl(&format!("service set {service} --syn-cookies always")).unwrap();
    }
}

fn cookies(daemon: &Daemon, service: &str) -> Value {
    daemon.lbctl(&format!("service show {service}")).unwrap()["cookies"].clone()
}

#[test]
fn files_arrive_intact_whatever_the_client_can_do() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = Site::standard(Plan::default(), mode).unwrap();
        always(&site.daemon);
        let servers: Vec<&Nginx> = site.servers.iter().map(|servers| &servers.nginx).collect();
        let (down, up, size) = (Pattern::new(1), Pattern::new(2), 3_000_000);
        servers.iter().for_each(|server| server.provide("down", down, size).unwrap());
        for (number, (what, settings)) in STACKS.into_iter().enumerate() {
            for (key, value) in settings {
                site.topology.client.sysctl(&format!("net/ipv4/{key}"), value).unwrap();
            }
            for family in Family::ALL {
                let (client, web) = (&site.topology.client, target(family, WEB_PORT));
                client::download(client, web, "down", down, size)
                    .unwrap_or_else(|error| panic!("{} {what} {}: {error:#}", mode.name(), family.name()));
                let name = format!("{}-{number}", family.name());
                client::upload(client, web, &servers, &name, up, size)
                    .unwrap_or_else(|error| panic!("{} {what} {}: {error:#}", mode.name(), family.name()));
            }
        }
        for service in tcp_services(&site.daemon).iter().filter(|name| name.starts_with("web")) {
            let accepted = || cookies(&site.daemon, service)["accepted"].as_u64() >= Some(6);
            clock::wait_until("cookies to be counted", LIMIT, accepted).unwrap();
        }
    }
}

/// A balancer with one server, and a service for each family and mode.
struct Bed {
    topology: Topology,
    daemon: Daemon,
    listener: TcpListener,
}

impl Bed {
    fn start() -> Self {
        let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
        let services = kinds().map(|(family, mode)| {
            let name = format!("{}-{}", family.name(), mode.name());
            let service = Service::new(&name, Protocol::Tcp, vip(family, mode));
            service.mode(mode).backends(&topology.servers, SERVER_PORT)
        });
        let daemon =
            Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), services)).unwrap();
        always(&daemon);
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, SERVER_PORT));
        let listener = topology.servers[0].netns.run(|| TcpListener::bind(any)).unwrap();
        Self { topology, daemon, listener }
    }

    fn connect(&self, (family, mode): (Family, Mode)) -> TcpStream {
        let client = self.topology.client.run(|| TcpStream::connect(vip(family, mode))).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client
    }
}

fn kinds() -> impl Iterator<Item = (Family, Mode)> {
    Family::ALL.into_iter().flat_map(|family| Mode::ALL.map(|mode| (family, mode)))
}

fn vip(family: Family, mode: Mode) -> SocketAddr {
    SocketAddr::new(addresses::vip(family, u8::from(mode == Mode::FullNat)), PORT)
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once() {
    require_privileged!();
    let bed = Bed::start();
    for kind in kinds() {
        // The first one resolves neighbours.
        for attempt in 0..3 {
            let begun = clock::now();
            let mut client = bed.connect(kind);
            let (mut server, _) = bed.listener.accept().unwrap();
            server.write_all(b"220 ready\r\n").unwrap();
            let mut banner = [0; 11];
            client.read_exact(&mut banner).unwrap();
            let took = begun.elapsed();
            assert_eq!(&banner, b"220 ready\r\n");
            assert!(attempt == 0 || took < AT_ONCE, "{kind:?}: {took:?}");
            client.write_all(b"QUIT").unwrap();
            drop(client);
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"QUIT", "{kind:?}");
        }
    }
}

#[test]
fn both_ends_get_a_rst_when_their_connection_is_ended() {
    require_privileged!();
    let bed = Bed::start();
    let connections: Vec<_> = kinds()
        .map(|kind| {
            let mut client = bed.connect(kind);
            let (mut server, _) = bed.listener.accept().unwrap();
            server.set_read_timeout(Some(LIMIT)).unwrap();
            let mut byte = [0];
            client.write_all(&[7]).unwrap();
            server.read_exact(&mut byte).unwrap();
            server.write_all(&[8]).unwrap();
            client.read_exact(&mut byte).unwrap();
            (client, server)
        })
        .collect();
    bed.daemon.lbctl("flow kill --all").unwrap();
    for (client, server) in connections {
        for (what, mut end) in [("client", client), ("server", server)] {
            let found = end.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(found, Err(ErrorKind::ConnectionReset), "{what} {:?}", end.local_addr());
        }
    }
}

/// Sends SYNs from forged sources.
fn flood(site: &Site, injector: &Injector, family: Family, numbers: std::ops::Range<u32>) {
    let dmac = inject::mac(&site.topology.balancer, "eth0").unwrap();
    for number in numbers {
        let [_, a, b, c] = number.to_be_bytes();
        let source: IpAddr = match family {
            Family::V4 => Ipv4Addr::new(198, 18 + (a & 1), b, c).into(),
            Family::V6 => Ipv6Addr::new(0x3fff, 0, 0, 0, 0, a.into(), b.into(), c.into()).into(),
        };
        let mut frame = FrameSpec::tcp(SocketAddr::new(source, 1024), target(family, ECHO_PORT), SYN);
        (frame.dmac, frame.smac) = (dmac, injector.mac());
        injector.send(&frame.build()).unwrap();
    }
}

/// SYNs that backends got, all together.
fn syns(site: &Site) -> u64 {
    let stats = site.daemon.lbctl("stats").unwrap();
    let backends = stats["backends"].as_array().unwrap();
    backends.iter().filter_map(|backend| backend["syns"].as_u64()).sum()
}

#[test]
fn a_flood_turns_cookies_on_and_no_backend_sees_the_rest_of_it() {
    require_privileged!();
    for (family, mode) in kinds() {
        let site = Site::standard(Plan::default(), mode).unwrap();
        let service = if family == Family::V4 { "echo-v4" } else { "echo-v6" };
        for route in ["-4 route add 198.18.0.0/15 via", "-6 route add 3fff::/32 via"] {
            let via = if route.starts_with("-4") {
                addresses::CLIENT_V4.to_string()
            } else {
                addresses::CLIENT_V6.to_string()
            };
            site.topology.balancer.ip(&format!("{route} {via}")).unwrap();
        }
        let injector = Injector::open(&site.topology.client, "eth0").unwrap();
        assert_eq!(site.requests(family, Protocol::Tcp, 50).failed(), 0);
        // Frames of which some may be lost, where the processor is busy.
        flood(&site, &injector, family, 0..12_000);
        let on = || cookies(&site.daemon, service)["active"] == true;
        clock::wait_until("cookies to begin", LIMIT, on).unwrap();
        let before = syns(&site);
        flood(&site, &injector, family, 12_000..15_000);
        let report = site.requests(family, Protocol::Tcp, 200);
        assert_eq!((report.succeeded, report.failed()), (200, 0), "{family:?} {}: {report:?}", mode.name());
        let seen = syns(&site) - before;
        assert!(seen <= 300, "{family:?} {}: {seen} SYNs", mode.name());
        let known = cookies(&site.daemon, service);
        assert!(known["sent"].as_u64() > Some(3000), "{known}");
    }
}
