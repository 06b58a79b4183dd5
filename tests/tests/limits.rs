//! Limits of connections, and affinity, with real connections.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, ErrorKind},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use lb_common::{
    abi::{ABI_VERSION, Affinity, AffinityKey},
    maps,
};
use lb_tests::{
    clock,
    config::{Config, Mode, Protocol, Service},
    require_privileged,
    servers::ECHO_PORT,
    site::{Site, target},
    topology::{Family, Plan, addresses},
};
use lb_userspace::sys::bpf::Map;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(5);
const LIMIT_OF_BACKEND: usize = 10;
const CLIENTS: usize = 30;

/// A site with so many servers, and a service whose backends are the first ones.
fn site(servers: u16, backends: usize, mode: Mode) -> Site {
    let plan = Plan { servers, ..Plan::default() };
    Site::start(plan, |topology| {
        let echo = Service::new("echo", Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(mode);
        let echo = echo.algorithm("round-robin").backends(&topology.servers[..backends], ECHO_PORT);
        Config::new(topology.interfaces(), [echo])
    })
    .unwrap()
}

/// A connection of a client, and the name of its server.
fn connect(site: &Site, client: IpAddr) -> io::Result<(TcpStream, String)> {
    site.topology.client.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(client, 0).into())?;
        socket.connect_timeout(&target(Family::V4, ECHO_PORT).into(), LIMIT)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LIMIT))?;
        let mut name = String::new();
        BufReader::new(&stream).read_line(&mut name)?;
        Ok((stream, name.trim().to_owned()))
    })
}

/// The name of a client's server; the connection ends.
fn server_of(site: &Site, client: IpAddr) -> String {
    connect(site, client).unwrap().1
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
        let mut open: BTreeMap<String, Vec<TcpStream>> = BTreeMap::new();
        let mut refused = 0;
        for number in 0..CLIENTS {
            match connect(&site, clients()[number % clients().len()]) {
                Ok((stream, name)) => open.entry(name).or_default().push(stream),
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
            let (stream, name) = connect(&site, clients()[0]).unwrap();
            assert_eq!(name, "server-1", "the other one is full");
            open.get_mut("server-1").unwrap().push(stream);
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
