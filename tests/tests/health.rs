//! Health checks of a running `lbd` against real servers.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_tests::{
    clock,
    config::{Config, Protocol, Service},
    daemon::Daemon,
    require_privileged,
    servers::{Authority, DNS_PORT, ECHO_PORT, EchoServer, HTTP_PORT, HTTPS_PORT, Nginx, Unbound},
    site::target,
    temporary,
    topology::{Family, Plan, Topology},
};
use tempfile::TempDir;

/// Waits until a backend's checks say something.
fn wait_health(daemon: &Daemon, service: &str, health: &str) {
    let what = format!("{service} to be {health}; the log: {}", daemon.log());
    clock::wait_until(&what, Duration::from_secs(10), || {
        let backends = daemon.lbctl(&format!("backend list {service}")).expect("lbd answers");
        backends[0]["health"] == health
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", daemon.log()));
}

fn topology() -> Topology {
    Topology::build(Plan { servers: 1, ..Plan::default() }).expect("a network")
}

fn service(topology: &Topology, name: &str, protocol: Protocol, port: u16, health: &str) -> Service {
    let backend_port = port;
    Service::new(name, protocol, target(Family::V4, port))
        .backends(&topology.servers, backend_port)
        .health(health)
}

/// An HTTPS server that asks for a client certificate.
fn https(authority: &Authority, certificate: &str) -> String {
    let root = authority.directory().display();
    format!(
        "server {{
        listen {HTTPS_PORT} ssl; listen [::]:{HTTPS_PORT} ssl ipv6only=on;
        server_name shop.test;
        ssl_certificate {root}/{certificate}.pem; ssl_certificate_key {root}/{certificate}.key;
        ssl_client_certificate {root}/ca.pem; ssl_verify_client on;
        location / {{ return 200 \"$ssl_server_name $host $ssl_client_verify\\n\"; }}
        location /moved {{ return 302 /; }}
        location /busy {{ return 503; }}
    }}"
    )
}

/// A program that fails without a file of the backend's name beside it, in a directory that everybody may enter.
fn program() -> (TempDir, PathBuf) {
    let directory = temporary::directory("script").expect("a directory");
    let program = directory.path().join("check");
    let text = "#!/bin/sh\n[ -e \"$(dirname \"$0\")/$LB_BACKEND\" ] || { echo \"no file $LB_BACKEND for $1\"; exit 2; }\n";
    fs::write(&program, text).expect("a program");
    for path in [directory.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    (directory, program)
}

/// A service with each type of check.
fn cases(topology: &Topology, authority: &Authority, program: &Path) -> [Service; 8] {
    let host = &topology.servers[0];
    let root = authority.directory().display();
    let tls = format!(
        "type = \"https\"\nhost = \"shop.test:8443\"\ntls_ca_file = \"{root}/ca.pem\"\ntls_cert_file = \"{root}/probe.pem\"\n\
         tls_key_file = \"{root}/probe.key\"\npath = \"/moved\"\nfollow_redirects = true\n\
         expect_body = \"shop.test shop.test SUCCESS\""
    );
    let http = format!("type = \"http\"\nexpect_status = 200\nexpect_body_regex = \"^{}\\\\s*$\"", host.name);
    let dns = "type = \"dns\"\nquery_name = \"health.test\"\nexpect_answer = \"192.0.2.1\"";
    let dns_tcp = "type = \"dns\"\nquery_name = \"health.test.\"\nquery_type = \"AAAA\"\nexpect_answer = \"2001:db8::1\"\ntransport = \"tcp\"";
    let script = format!("type = \"script\"\nscript = \"{}\"\nargs = [\"the test\"]", program.display());
    let other = 9999;
    [
        service(topology, "http", Protocol::Tcp, HTTP_PORT, &http),
        service(topology, "https", Protocol::Tcp, HTTPS_PORT, &tls),
        service(topology, "dns", Protocol::Udp, DNS_PORT, dns),
        service(topology, "dns-tcp", Protocol::Tcp, DNS_PORT, dns_tcp),
        service(
            topology,
            "udp",
            Protocol::Udp,
            ECHO_PORT,
            "type = \"udp\"\nsend = \"hello\"\nexpect_regex = \"hello$\"",
        ),
        service(
            topology,
            "silent",
            Protocol::Udp,
            ECHO_PORT + 1,
            &format!("type = \"udp\"\nport = {ECHO_PORT}\nsend = \"hello\""),
        ),
        service(topology, "icmp", Protocol::Tcp, other, "type = \"icmp\""),
        service(topology, "script", Protocol::Tcp, other + 1, &script),
    ]
}

#[test]
fn each_type_of_check_sees_a_backend_work_and_fail() {
    require_privileged!();
    let topology = topology();
    let host = &topology.servers[0];
    let authority = Authority::new("backends").unwrap();
    authority.server("shop", "shop.test", false).unwrap();
    authority.client("probe").unwrap();
    let mut nginx = Nginx::start_with(host, &https(&authority, "shop")).unwrap();
    let mut unbound = Unbound::start(host).unwrap();
    let echo = EchoServer::start(host).unwrap();
    let (programs, program) = program();
    let marker = programs.path().join(&host.name);
    fs::write(&marker, "").unwrap();
    let cases = cases(&topology, &authority, &program);
    let names = cases.clone().map(|service| service.name);
    let daemon = Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), cases)).unwrap();
    for name in &names {
        wait_health(&daemon, name, "up");
    }

    nginx.kill();
    unbound.kill();
    drop(echo);
    fs::remove_file(&marker).unwrap();
    host.netns.sysctl("net/ipv4/icmp_echo_ignore_all", "1").unwrap();
    for name in &names {
        wait_health(&daemon, name, "down");
    }
    let log = daemon.log();
    let reason = |name: &str| {
        let line = log
            .lines()
            .find(|line| line.contains(&format!("{name}/{}", host.name)) && line.contains("is down"));
        line.unwrap_or_else(|| panic!("{name} in {log}")).to_owned()
    };
    for (name, expected) in [
        ("http", "connection refused"),
        ("https", "connection refused"),
        ("dns", "connection refused"),
        ("dns-tcp", "connection refused"),
        ("udp", "connection refused"),
        ("silent", "connection refused"),
        ("icmp", "timed out after 200ms: waiting for the echo reply"),
        ("script", "exit status 2: no file server-1 for the test"),
    ] {
        assert!(reason(name).contains(expected), "{}", reason(name));
    }

    host.netns.sysctl("net/ipv4/icmp_echo_ignore_all", "0").unwrap();
    fs::write(&marker, "").unwrap();
    for name in ["icmp", "script"] {
        wait_health(&daemon, name, "up");
    }
}

#[test]
fn over_ipv6_an_echo_goes_by_icmpv6() {
    require_privileged!();
    let topology = topology();
    let icmp = Service::new("icmp", Protocol::Tcp, target(Family::V6, 80));
    let icmp = icmp.backends(&topology.servers, 80).health("type = \"icmp\"");
    let daemon = Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), [icmp])).unwrap();
    wait_health(&daemon, "icmp", "up");
    topology.servers[0].netns.sysctl("net/ipv6/icmp/echo_ignore_all", "1").unwrap();
    wait_health(&daemon, "icmp", "down");
}

#[test]
fn certificates_are_read_again_at_a_reload_and_refused_with_file_and_line_if_they_are_gone() {
    require_privileged!();
    let topology = topology();
    let (authority, other) = (Authority::new("backends").unwrap(), Authority::new("others").unwrap());
    authority.server("shop", "shop.test", false).unwrap();
    authority.client("probe").unwrap();
    let _nginx = Nginx::start_with(&topology.servers[0], &https(&authority, "shop")).unwrap();
    let root = authority.directory().display();
    let tls = format!(
        "type = \"https\"\nhost = \"shop.test\"\ntls_ca_file = \"{root}/ca.pem\"\ntls_cert_file = \"{root}/probe.pem\"\n\
         tls_key_file = \"{root}/probe.key\""
    );
    let web = service(&topology, "web", Protocol::Tcp, HTTPS_PORT, &tls);
    let daemon = Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), [web])).unwrap();
    wait_health(&daemon, "web", "up");

    let good = fs::read(authority.path("ca.pem")).unwrap();
    fs::copy(other.path("ca.pem"), authority.path("ca.pem")).unwrap();
    daemon.lbctl_text("config reload").unwrap();
    wait_health(&daemon, "web", "down");
    assert!(daemon.log().contains("certificate of an unknown authority"), "{}", daemon.log());

    fs::remove_file(authority.path("ca.pem")).unwrap();
    let refused = format!("{:#}", daemon.lbctl_text("config reload").unwrap_err());
    let file = daemon.config_file();
    for part in [
        &format!("{}:", file.display()),
        "services[0].health.tls_ca_file: ",
        "ca.pem cannot be read: No such file",
    ] {
        assert!(refused.contains(part), "{part:?} is missing in {refused}");
    }
    fs::write(authority.path("ca.pem"), good).unwrap();
    daemon.lbctl_text("config reload").unwrap();
    wait_health(&daemon, "web", "up");

    daemon.lbctl_text("service set web --health-path /busy").unwrap();
    wait_health(&daemon, "web", "down");
    assert!(daemon.log().contains("status 503, expected 200-299"), "{}", daemon.log());
    let shown = daemon.lbctl_text("service show web").unwrap();
    assert!(shown.contains("https every 200ms") && shown.contains("path = \"/busy\""), "{shown}");
    daemon.lbctl_text("service set web --health-type icmp").unwrap();
    wait_health(&daemon, "web", "up");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("type = \"icmp\"") && !text.contains("tls_ca_file"), "{text}");
}
