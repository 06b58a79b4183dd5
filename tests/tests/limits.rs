//! Limits of connections, and affinity, with real connections.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_common::{
    abi::{ABI_VERSION, Affinity, AffinityKey},
    host::FrameSpec,
    maps,
    wire::SYN,
};
use lb_tests::{
    client::Connection,
    clock,
    config::Mode,
    former::{Form, Former},
    inject::{self, Injector},
    require_privileged,
    servers::ECHO_PORT,
    site::{Site, target},
    topology::{Family, addresses},
};
use lb_userspace::sys::bpf::Map;
use serde_json::Value;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a connection is tried that nobody answers.
const PATIENCE: Duration = Duration::from_millis(300);
const LIMIT_OF_BACKEND: usize = 10;
const CLIENTS: usize = 30;

/// A site with so many servers, and a service whose backends are the first ones.
fn site(servers: u16, backends: usize, mode: Mode) -> Site {
    Site::echo(servers, |mut config| {
        let echo = &mut config.services[0];
        echo.algorithm = "round-robin";
        echo.backends.truncate(backends);
        config.mode(mode)
    })
    .unwrap()
}

fn connect(site: &Site, client: IpAddr) -> io::Result<Connection> {
    site.connect(client, LIMIT)
}

/// The name of a client's server; the connection ends.
fn server_of(site: &Site, client: IpAddr) -> String {
    connect(site, client).unwrap().server
}

fn clients() -> Vec<IpAddr> {
    addresses::clients(Family::V4)
}

/// What the API shows of the service.
fn shown(site: &Site) -> Value {
    site.daemon.lbctl("service show echo").unwrap()
}

fn wait_shown(site: &Site, key: &str, number: usize) {
    clock::wait_until(&format!("{key} to be {number}"), LIMIT, || shown(site)[key] == number)
        .unwrap_or_else(|error| panic!("{error}; it is {}", shown(site)[key]));
}

fn set_limits(site: &Site, servers: usize) {
    for server in 1..=servers {
        let line = format!("backend set echo server-{server} --max-connections {LIMIT_OF_BACKEND}");
        site.daemon.lbctl(&line).unwrap();
    }
}

#[test]
fn a_backend_has_no_more_connections_than_it_may_and_takes_more_as_soon_as_some_end() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = site(2, 2, mode);
        site.daemon.lbctl("service set echo --on-full reset").unwrap();
        set_limits(&site, 2);
        let mut open: BTreeMap<String, Vec<Connection>> = BTreeMap::new();
        let mut refused = 0;
        for number in 0..CLIENTS {
            match connect(&site, clients()[number % clients().len()]) {
                Ok(connection) => open.entry(connection.server.clone()).or_default().push(connection),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => refused += 1,
                Err(error) => panic!("{}: {error}", mode.name()),
            }
        }
        let counts: Vec<usize> = open.values().map(Vec::len).collect();
        assert_eq!(
            (counts, refused),
            (vec![LIMIT_OF_BACKEND; 2], CLIENTS - 2 * LIMIT_OF_BACKEND),
            "{open:?}"
        );
        assert_eq!(shown(&site)["connections"], 2 * LIMIT_OF_BACKEND);

        // Places are free as soon as the servers have sent their FINs; nothing waits for a scan.
        let first = open.get_mut("server-1").unwrap();
        first.truncate(4);
        wait_shown(&site, "connections", 14);
        for _ in 0..6 {
            let connection = connect(&site, clients()[0]).unwrap();
            assert_eq!(connection.server, "server-1", "the other one is full");
            open.get_mut("server-1").unwrap().push(connection);
        }
        assert_eq!(connect(&site, clients()[0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);

        // The service's own limit comes before those of its backends.
        site.daemon.lbctl("service set echo --max-connections 15").unwrap();
        open.clear();
        wait_shown(&site, "connections", 0);
        let some: Vec<_> = (0..15).map(|_| connect(&site, clients()[0]).unwrap()).collect();
        assert_eq!(connect(&site, clients()[0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        drop(some);
        let drops = site.daemon.lbctl("drops").unwrap();
        let drops = drops.as_array().unwrap();
        let count =
            |reason: &str| drops.iter().find(|drop| drop["reason"] == reason).unwrap()["packets"].clone();
        assert_eq!((count("backend-full").as_u64(), count("service-full").as_u64()), (Some(11), Some(1)));
    }
}

#[test]
fn connections_from_before_the_limit_count_and_so_they_do_after_a_restart() {
    require_privileged!();
    let mut site = site(1, 1, Mode::Nat);
    let open: Vec<_> = (0..12).map(|_| connect(&site, clients()[0]).unwrap()).collect();
    site.daemon.lbctl("service set echo --on-full reset").unwrap();
    set_limits(&site, 1);
    wait_shown(&site, "connections", 12);
    let refused =
        |site: &Site| connect(site, clients()[0]).unwrap_err().kind() == ErrorKind::ConnectionRefused;
    assert!(refused(&site));
    site.daemon.kill().unwrap();
    assert!(refused(&site), "without lbd");
    // An lbd from before there were limits leaves no such maps.
    let pins = site.daemon.pin_directory().join(format!("v{ABI_VERSION}"));
    for map in [maps::BACKEND_LIMITS, maps::BACKEND_PLACES, maps::SERVICE_PLACES, maps::AFFINITY] {
        std::fs::remove_file(pins.join(map)).unwrap();
    }
    site.daemon.start_again().unwrap();
    wait_shown(&site, "connections", 12);
    assert!(refused(&site));
    drop(open);
    wait_shown(&site, "connections", 0);
    let open: Vec<_> = (0..LIMIT_OF_BACKEND).map(|_| connect(&site, clients()[0]).unwrap()).collect();
    assert!(refused(&site));
    drop(open);
}

#[test]
fn a_client_keeps_its_backend_when_backends_come_and_lbd_is_restarted() {
    require_privileged!();
    let mut site = site(4, 2, Mode::Nat);
    site.daemon.lbctl("service set echo --affinity-timeout 10m").unwrap();
    let known: BTreeMap<IpAddr, String> =
        clients().into_iter().map(|client| (client, server_of(&site, client))).collect();
    let check = |site: &Site, when: &str| {
        for (client, server) in known.iter().flat_map(|pair| [pair; 4]) {
            assert_eq!(server_of(site, *client), *server, "{client} {when}");
        }
    };
    check(&site, "at once");
    for number in [2, 3] {
        let at = SocketAddr::new(site.topology.servers[number].v4.into(), ECHO_PORT);
        site.daemon.lbctl(&format!("backend add echo server-{} {at} --weight 1000", number + 1)).unwrap();
    }
    check(&site, "with more backends");
    site.daemon.kill().unwrap();
    check(&site, "without lbd");
    site.daemon.start_again().unwrap();
    check(&site, "after a restart");
    wait_shown(&site, "affinity_clients", known.len());
    let text = site.daemon.lbctl_text("service show echo").unwrap();
    let expected = format!("10m for each client, {} known", known.len());
    assert!(text.contains(&expected), "{expected}: {text}");

    // A client of a backend that is drained stays; one of a backend that is disabled goes, and does not come back.
    let (client, server) = known.iter().next().unwrap();
    site.daemon.lbctl(&format!("backend drain echo {server}")).unwrap();
    check(&site, "while one is draining");
    site.daemon.lbctl(&format!("backend disable echo {server}")).unwrap();
    let other = server_of(&site, *client);
    assert_ne!(other, *server);
    site.daemon.lbctl(&format!("backend enable echo {server}")).unwrap();
    assert_eq!(server_of(&site, *client), other);

    let pins = site.daemon.pin_directory().join(format!("v{ABI_VERSION}"));
    let kept = Map::open(&pins.join(maps::AFFINITY)).unwrap().entries::<AffinityKey, Affinity>().unwrap();
    assert_eq!(kept.len(), known.len(), "{kept:?}");
    site.daemon.lbctl("service set echo --affinity-timeout 0s").unwrap();
    clock::wait_until("affinities to go", LIMIT, || {
        let map = Map::open(&pins.join(maps::AFFINITY)).unwrap();
        map.entries::<AffinityKey, Affinity>().unwrap().is_empty()
    })
    .unwrap();
}

/// Connections that a source may have.
const LIMIT_OF_SOURCE: usize = 3;

fn limit_sources(site: &Site) {
    site.daemon.lbctl(&format!("limit set echo --source-max-connections {LIMIT_OF_SOURCE}")).unwrap();
}

fn open(site: &Site, client: IpAddr, count: usize) -> Vec<Connection> {
    (0..count).map(|_| connect(site, client).unwrap()).collect()
}

fn assert_silent(site: &Site, client: IpAddr, when: &str) {
    let error = site.connect(client, PATIENCE).expect_err(when);
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{when}: {error}");
}

/// Why a SYN of a client would be dropped; none: it would not.
fn reason(site: &Site, client: IpAddr) -> Option<String> {
    let explained = site.daemon.lbctl(&format!("explain {client}:7 {}", target(Family::V4, ECHO_PORT)));
    explained.unwrap()["drop"]["reason"].as_str().map(ToOwned::to_owned)
}

fn wait_reason(site: &Site, client: IpAddr, expected: Option<&str>) {
    clock::wait_until(&format!("{expected:?}"), LIMIT, || reason(site, client).as_deref() == expected)
        .unwrap_or_else(|error| panic!("{error}; it is {:?}", reason(site, client)));
}

#[test]
fn a_source_has_no_more_connections_than_it_may_while_others_get_through() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = site(2, 2, mode);
        limit_sources(&site);
        let [one, other, ..] = clients()[..] else { panic!("two clients") };
        let mut of_one = open(&site, one, LIMIT_OF_SOURCE);
        assert_silent(&site, one, mode.name());
        assert_eq!(reason(&site, one).as_deref(), Some("source-full"), "{}", mode.name());
        assert_eq!(reason(&site, other), None);
        let of_other = open(&site, other, LIMIT_OF_SOURCE);
        assert!(of_one.iter().chain(&of_other).all(|connection| connection.echo().is_ok()));

        // A place is free as soon as both ends have sent their FINs; nothing waits for a scan.
        of_one.pop();
        wait_reason(&site, one, None);
        of_one.extend(open(&site, one, 1));
        assert_silent(&site, one, "again");

        let limits = site.daemon.lbctl("limit list").unwrap();
        assert_eq!(limits[0]["source_max_connections"], LIMIT_OF_SOURCE, "{limits}");
        assert!(limits[0]["refused"]["source_full"].as_u64() >= Some(2), "{limits}");
        clock::wait_until("the event", LIMIT, || {
            site.daemon.lbctl_text("events --past --topic admission").unwrap().contains("source-full")
        })
        .unwrap();
        // All of a prefix are one source.
        site.daemon.lbctl("limit set echo --source-prefix 24").unwrap();
        wait_reason(&site, clients()[2], Some("source-full"));
        site.daemon.lbctl("limit set echo --source-max-connections 0").unwrap();
        assert_eq!(reason(&site, one), None);
        assert!(of_one.iter().chain(&of_other).all(|connection| connection.echo().is_ok()));
    }
}

#[test]
fn half_open_connections_of_a_source_are_bounded_and_make_room_when_they_expire() {
    require_privileged!();
    for mode in Mode::ALL {
        let site =
            Site::echo(1, |config| config.mode(mode).tables("[timeouts]\ntcp_handshake = \"2s\"")).unwrap();
        site.daemon.lbctl("limit set echo --source-max-embryonic 4").unwrap();
        // What is sent to it gets lost, and is sent once.
        let forged = IpAddr::from([192, 0, 2, 7]);
        let topology = &site.topology;
        topology.balancer.ip(&format!("route add 192.0.2.0/24 via {}", clients()[0])).unwrap();
        topology.servers[0].netns.sysctl("net/ipv4/tcp_synack_retries", "0").unwrap();
        drop(connect(&site, clients()[0]).unwrap());
        wait_reason(&site, forged, None);
        let injector = Injector::open(&topology.client, "eth0").unwrap();
        let to = inject::mac(&topology.balancer, "eth0").unwrap();
        for port in 1024..1034 {
            let mut syn = FrameSpec::tcp(SocketAddr::new(forged, port), target(Family::V4, ECHO_PORT), SYN);
            (syn.smac, syn.dmac) = (injector.mac(), to);
            injector.send(&syn.build()).unwrap();
        }
        wait_reason(&site, forged, Some("source-embryonic"));
        // Others are not concerned, and connections that are answered do not count.
        let others = open(&site, clients()[1], 6);
        assert!(others.iter().all(|connection| connection.echo().is_ok()));
        let refused = || site.daemon.lbctl("limit list").unwrap()[0]["refused"]["source_embryonic"].as_u64();
        assert!((1..=6).contains(&refused().unwrap()), "{:?}", refused());
        let embryonic = site.daemon.lbctl("flow top --by service").unwrap()["embryonic"].as_u64().unwrap();
        assert!(embryonic <= 4, "{embryonic}");
        wait_reason(&site, forged, None);
    }
}

#[test]
fn connections_of_a_source_count_without_lbd_after_a_restart_and_after_an_upgrade() {
    require_privileged!();
    let mut site = site(1, 1, Mode::Nat);
    let [one, other, ..] = clients()[..] else { panic!("two clients") };
    // From before there was a limit: the scan sees them.
    let mut of_one = open(&site, one, LIMIT_OF_SOURCE);
    limit_sources(&site);
    wait_reason(&site, one, Some("source-full"));
    of_one.remove(0);
    wait_reason(&site, one, None);
    of_one.extend(open(&site, one, 1));
    site.daemon.kill().unwrap();
    assert_silent(&site, one, "without lbd");
    // From after it: its end gives its place back by itself.
    of_one.pop();
    of_one.extend(open(&site, one, 1));
    site.daemon.start_again().unwrap();
    assert_silent(&site, one, "after a restart");

    // An lbd from before there were limits of sources leaves no such map.
    site.daemon.kill().unwrap();
    let pins = site.daemon.pin_directory().join(format!("v{ABI_VERSION}"));
    std::fs::remove_file(pins.join(maps::SOURCES)).unwrap();
    site.daemon.start_again().unwrap();
    wait_reason(&site, one, Some("source-full"));

    site.daemon.terminate().unwrap();
    Former::of(&site.daemon, Form::Last).unwrap().put_in_place().unwrap();
    of_one.extend(open(&site, one, 1));
    site.daemon.start_again().unwrap();
    wait_reason(&site, one, Some("source-full"));
    assert!(of_one.iter().all(|connection| connection.echo().is_ok()));
    open(&site, other, LIMIT_OF_SOURCE);
    of_one.truncate(1);
    wait_reason(&site, one, None);
    of_one.extend(open(&site, one, LIMIT_OF_SOURCE - 1));
    assert_silent(&site, one, "after an upgrade");
}
