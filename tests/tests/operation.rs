//! Life with `lbd`: failing servers, kills, restarts, changes, removal.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lb_tests::{
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    require_privileged,
    servers::{HTTP_PORT, Nginx},
    site::{Site, WEB_PORT, target},
    topology::{Arms, Family, Host, Plan, Topology, addresses},
};

/// A web service over IPv4 whose backends are checked.
fn checked_web(topology: &Topology) -> Config {
    let web = Service::new("web", Protocol::Tcp, target(Family::V4, WEB_PORT));
    Config::new(topology.interfaces(), [web.backends(&topology.servers, HTTP_PORT).checked(HTTP_PORT)])
}

#[test]
fn a_dead_backend_is_taken_out_and_comes_back() {
    require_privileged!();
    let mut site = Site::start(Plan::default(), checked_web).unwrap();
    site.servers[1].nginx.kill();
    site.daemon.wait_backend("web", "server-2", "down").unwrap();
    let report = site.requests(Family::V4, Protocol::Tcp, 300);
    assert_eq!((report.failed(), report.share("server-2")), (0, 0.0), "{report:?}");
    assert_eq!(report.servers.len(), 2, "{report:?}");
    site.servers[1].nginx = Nginx::start(&site.topology.servers[1]).unwrap();
    site.daemon.wait_backend("web", "server-2", "active").unwrap();
    let report = site.requests(Family::V4, Protocol::Tcp, 300);
    assert_eq!((report.failed(), report.servers.len()), (0, 3), "{report:?}");
}

#[test]
fn kill_9_and_restart_under_load_harm_no_request_and_no_connection() {
    require_privileged!();
    for mode in Mode::ALL {
        let mut site = Site::standard(Plan::default(), mode).unwrap();
        let loads = Family::ALL.map(|family| site.http_load(family));
        let connections = Family::ALL.map(|family| site.long_connections(family, 20).unwrap());
        for _ in 0..3 {
            loads.iter().for_each(|load| load.wait_more(100).unwrap());
            site.daemon.kill().unwrap();
            loads.iter().for_each(|load| load.wait_more(200).unwrap());
            site.daemon.start_again().unwrap();
            connections.iter().for_each(|connections| connections.wait_more(100).unwrap());
        }
        for report in loads.map(lb_tests::client::Running::stop) {
            assert!(report.failed() == 0 && report.succeeded >= 900, "{}: {report:?}", mode.name());
        }
        for report in connections.map(lb_tests::client::LongConnections::close) {
            assert!(report.broken.is_empty() && report.connected == 20, "{}: {report:?}", mode.name());
        }
    }
}

#[test]
fn stopping_leaves_forwarding_in_place_and_detach_removes_everything() {
    require_privileged!();
    let mut site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    site.daemon.terminate().unwrap();
    let report = site.requests(Family::V4, Protocol::Tcp, 200);
    assert_eq!((report.succeeded, report.failed()), (200, 0), "{report:?}");
    site.daemon.detach().unwrap();
    for interface in site.topology.interfaces() {
        let shown = site.topology.balancer.ip(&format!("-d link show {interface}")).unwrap();
        assert!(!shown.contains("xdp"), "{shown}");
    }
    let left = fs::read_dir(site.daemon.pin_directory()).map_or(0, Iterator::count);
    assert_eq!(left, 0, "pins are left");
    // A second time there is nothing to do, which is no error.
    site.daemon.detach().unwrap();
}

#[test]
fn a_bad_configuration_is_refused_with_file_path_value_and_expectation() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let mut daemon = Daemon::prepare(&topology.balancer, &checked_web(&topology)).unwrap();
    let file = daemon.config_file();
    let good = fs::read_to_string(&file).unwrap();
    let bad = good.replace("weight = 100", "weight = 70000");
    fs::write(&file, &bad).unwrap();
    let said = daemon.refusal().unwrap();
    for part in [&*file.to_string_lossy(), "services[0].backends[0].weight", "70000", "65535"] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    let shown = topology.balancer.ip("-d link show eth0").unwrap();
    assert!(!shown.contains("xdp"), "something was applied: {shown}");
}

#[test]
fn changes_by_lbctl_act_at_once_and_survive_a_restart() {
    require_privileged!();
    let mut site = Site::start(Plan { servers: 4, ..Plan::default() }, |topology| {
        let web = Service::new("web", Protocol::Tcp, target(Family::V4, WEB_PORT));
        Config::new(topology.interfaces(), [web.backends(&topology.servers[..3], HTTP_PORT)])
            .tables("# kept by every change")
    })
    .unwrap();
    let fourth = SocketAddr::new(site.topology.servers[3].v4.into(), HTTP_PORT);
    site.daemon.lbctl(&format!("backend add web server-4 {fourth} --weight 200")).unwrap();
    site.daemon.lbctl("backend rm web server-1").unwrap();
    site.daemon.lbctl("backend set web server-2 --state disabled").unwrap();
    let check = |site: &Site| {
        let report = site.requests(Family::V4, Protocol::Tcp, 1000);
        assert_eq!((report.failed(), report.servers.len()), (0, 2), "{report:?}");
        // Weights 200 and 100.
        assert!((0.58..0.75).contains(&report.share("server-4")), "{report:?}");
    };
    check(&site);
    site.daemon.terminate().unwrap();
    site.daemon.start_again().unwrap();
    check(&site);
    let file = fs::read_to_string(site.daemon.config_file()).unwrap();
    assert!(file.contains("# kept by every change") && !file.contains("server-1"), "{file}");
    let error = site.daemon.lbctl("backend rm web server-9").unwrap_err().to_string();
    assert!(error.contains("server-9"), "{error}");
}

#[test]
fn the_program_runs_in_native_mode() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    for interface in site.topology.interfaces() {
        let shown = site.topology.balancer.ip(&format!("-d link show {interface}")).unwrap();
        // "xdp": native; "xdpgeneric" and "xdpoffload" are the others.
        assert!(shown.contains(" xdp ") && shown.contains("prog/xdp"), "{shown}");
    }
    let net = site.topology.balancer.sh("bpftool net show").unwrap();
    assert_eq!(net.matches("driver").count(), 2, "{net}");
    let status = site.daemon.lbctl("status").unwrap();
    let modes: Vec<_> = status["interfaces"].as_array().unwrap().iter().map(|entry| &entry["mode"]).collect();
    assert_eq!(modes, ["native", "native"], "{status}");
}

#[test]
fn traffic_of_the_host_itself_passes_untouched() {
    require_privileged!();
    let site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    // A web server on the balancer itself, on the very port the service's backends have.
    let host = Host {
        name: "balancer".to_owned(),
        netns: site.topology.balancer.clone(),
        v4: addresses::BALANCER_CLIENT_V4,
        v6: addresses::BALANCER_CLIENT_V6,
    };
    let _own = Nginx::start(&host).unwrap();
    let load = lb_tests::client::Load::full(addresses::clients(Family::V4));
    let target = SocketAddr::new(host.v4.into(), HTTP_PORT);
    let report = lb_tests::client::run(&site.topology.client, &lb_tests::client::Http { target }, &load, 200);
    assert_eq!((report.failed(), report.share("balancer")), (0, 1.0), "{report:?}");
    // And connections of the host to the servers.
    for server in &site.topology.servers {
        for family in Family::ALL {
            let address = SocketAddr::new(server.address(family), HTTP_PORT);
            site.topology.balancer.run(|| {
                TcpStream::connect_timeout(&address, Duration::from_secs(2)).unwrap();
            });
        }
    }
}

#[test]
fn one_interface_and_every_algorithm() {
    require_privileged!();
    let algorithms = ["maglev", "round-robin", "source-hash", "random", "least-connections"];
    let plan = Plan { arms: Arms::One, ..Plan::default() };
    let site = Site::start(plan, |topology| {
        let services = algorithms.into_iter().zip(0..).map(|(algorithm, number)| {
            let address = SocketAddr::new(addresses::vip(Family::V4, number), WEB_PORT);
            let service = Service::new(algorithm, Protocol::Tcp, address).algorithm(algorithm);
            service.backends(&topology.servers, HTTP_PORT).weights(&[100, 100, 200])
        });
        Config::new(topology.interfaces(), services)
    })
    .unwrap();
    for (algorithm, number) in algorithms.into_iter().zip(0..) {
        let target = SocketAddr::new(addresses::vip(Family::V4, number), WEB_PORT);
        let load = lb_tests::client::Load::full(addresses::clients(Family::V4));
        let http = lb_tests::client::Http { target };
        let report = lb_tests::client::run(&site.topology.client, &http, &load, 1000);
        assert_eq!(report.failed(), 0, "{algorithm}: {report:?}");
        if algorithm == "source-hash" {
            // Four clients.
            assert!(report.servers.len() <= 4, "{report:?}");
        } else {
            assert!((0.4..0.6).contains(&report.share("server-3")), "{algorithm}: {report:?}");
        }
    }
}
