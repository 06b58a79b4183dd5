//! What clients' connections show of a backend: it is checked at once, long before its turn, and only the check takes it out.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lb_common::{host::FrameSpec, wire::SYN};
use lb_tests::{
    clock,
    config::{Config, Mode, Protocol, Service},
    inject::{self, Injector},
    require_privileged,
    servers::HTTP_PORT,
    site::{Site, WEB_PORT, target},
    topology::{Family, Host, Plan},
};

/// How long a backend may serve nobody before it is out; by its turns alone it would take 20 seconds and more.
const OUT: Duration = Duration::from_secs(3);

/// A site whose only service is checked every 10 seconds, once its backends are up.
fn site(servers: u16) -> Site {
    let site = Site::start(Plan { servers, ..Plan::default() }, |topology| {
        let web = Service::new("web", Protocol::Tcp, target(Family::V4, WEB_PORT));
        Config::new(topology.interfaces(), [web.backends(&topology.servers, HTTP_PORT).checked(HTTP_PORT)])
    })
    .unwrap();
    clock::wait_until("all backends to be up", Duration::from_secs(10), || {
        let backends = site.daemon.lbctl("backend list web").unwrap();
        backends.as_array().unwrap().iter().all(|backend| backend["health"] == "up")
    })
    .unwrap();
    let slow = "service set web --health-interval 10s --health-timeout 300ms --health-fall 3";
    site.daemon.lbctl_text(slow).unwrap();
    site
}

/// From now on a host does this with some packets to it, instead of taking them.
fn refuse(host: &Host, rule: &str) {
    for change in ["rule add pref 100 lookup local", "rule del pref 0", &format!("rule add pref 50 {rule}")] {
        host.netns.ip(change).unwrap();
    }
    host.netns.sysctl("net/ipv4/ip_forward", "1").unwrap();
    host.netns.sysctl("net/ipv4/icmp_ratelimit", "0").unwrap();
}

fn wait_out(site: &Site, backend: &str, reason: &str) {
    let begin = clock::now();
    site.daemon.wait_backend("web", backend, "down").unwrap();
    let took = begin.elapsed();
    let log = site.daemon.log();
    let mut lines = log.lines().filter(|line| line.contains(&format!("web/{backend}")));
    assert!(lines.any(|line| line.contains("is suspect") && line.contains(reason)), "{log}");
    println!("{backend} was out after {took:?}: {reason}");
    assert!(took < OUT, "{backend} was out after {took:?}");
    let suspects = site.daemon.lbctl("backend list web").unwrap();
    let shown = suspects.as_array().unwrap().iter().find(|shown| shown["name"] == backend).unwrap().clone();
    assert!(shown["suspects"].as_u64() >= Some(1) && shown["suspect"].is_null(), "{shown}");
    assert!(told(site, &format!("kind=health-suspect(backend={backend})")) >= 1);
}

/// How many events there were that a filter wants.
fn told(site: &Site, filter: &str) -> usize {
    let past = site.daemon.lbctl(&format!("events --past --match {filter}")).unwrap();
    past["events"].as_array().unwrap().len()
}

#[test]
fn a_backend_that_serves_clients_no_more_is_out_long_before_its_turn() {
    require_privileged!();
    let mut site = site(4);
    let load = site.http_load(Family::V4);
    load.wait_more(100).unwrap();

    site.servers[0].nginx.kill();
    wait_out(&site, "server-1", "SYNs refused");
    refuse(&site.topology.servers[1], &format!("to {} blackhole", site.topology.servers[1].v4));
    wait_out(&site, "server-2", "SYNs unanswered");
    refuse(&site.topology.servers[2], &format!("to {} unreachable", site.topology.servers[2].v4));
    wait_out(&site, "server-3", "ICMP unreachable errors of its own");

    drop(load);
    let report = site.requests(Family::V4, Protocol::Tcp, 200);
    assert_eq!((report.failed(), report.servers.len()), (0, 1), "{report:?}");
}

#[test]
fn spoofed_syns_cost_some_checks_and_take_no_backend_out() {
    require_privileged!();
    let site = site(1);
    // The host answers real clients and its checks, and nobody else.
    refuse(&site.topology.servers[0], "from 192.0.2.0/24 blackhole");
    let load = site.http_load(Family::V4);
    let injector = Injector::open(&site.topology.client, "eth0").unwrap();
    let to = inject::mac(&site.topology.balancer, "eth0").unwrap();
    let mut number = 0_u16;
    let suspects = || site.daemon.lbctl("backend list web").unwrap()[0]["suspects"].as_u64().unwrap();
    clock::wait_until("two suspicions", Duration::from_secs(10), || {
        for _ in 0..400 {
            number = number.wrapping_add(1);
            let [high, low] = number.to_be_bytes();
            let source = SocketAddr::from(([192, 0, 2, low], 1024 + u16::from(high)));
            let mut syn = FrameSpec::tcp(source, target(Family::V4, WEB_PORT), SYN);
            (syn.smac, syn.dmac) = (injector.mac(), to);
            injector.send(&syn.build()).unwrap();
        }
        suspects() >= 2
    })
    .unwrap();
    let report = load.stop();
    assert_eq!(report.failed(), 0, "{report:?}");
    let backend = site.daemon.lbctl("backend list web").unwrap()[0].clone();
    assert_eq!((&backend["effective"], &backend["transitions"]), (&"active".into(), &1.into()), "{backend}");
    let (suspected, cleared) = (told(&site, "kind=health-suspect"), told(&site, "kind=health-cleared"));
    assert!(suspected >= 2 && (suspected - 1..=suspected).contains(&cleared), "{suspected}, {cleared}");
    let log = site.daemon.log();
    assert!(log.contains("SYNs unanswered") && !log.contains("is down"), "{log}");
    let stats = site.daemon.lbctl("stats").unwrap()["backends"][0].clone();
    assert!(stats["syns"].as_u64() > stats["syn_acks"].as_u64(), "{stats}");
}

#[test]
fn a_client_is_told_at_once_that_a_backend_is_unreachable() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    let host = &site.topology.servers[0];
    refuse(host, &format!("to {} unreachable", host.v4));
    let connect = || -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&target(Family::V4, WEB_PORT), Duration::from_secs(5))
    };
    let begin = clock::now();
    let error = site.topology.client.run(connect).unwrap_err();
    let took = begin.elapsed();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{error}");
    assert!(took < Duration::from_millis(900), "before the SYN is repeated: {took:?}");
    assert_eq!(site.daemon.lbctl("flow count").unwrap()["total"], 0, "the SYN took no entry");
}
