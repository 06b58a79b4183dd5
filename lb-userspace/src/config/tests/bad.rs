//! Files that are refused, each with the words that tell why.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{EXAMPLE, error};
use crate::config::{ConfigError, Document};

/// The example with one line replaced, and the message it must lead to.
const CASES: &[(&str, &str, &str)] = &[
    // The top of the file.
    ("interfaces = [\"eth0\", \"eth1\"]", "", "lb.toml: interfaces: missing: traffic arrives there"),
    ("interfaces = [\"eth0\", \"eth1\"]", "interfaces = []", "1: interfaces: missing: traffic arrives there"),
    ("interfaces = [\"eth0\", \"eth1\"]", "interfaces = \"eth0\"", "1: interfaces: \"eth0\" is not a list"),
    (
        "\"eth1\"]",
        "\"eth0\"]",
        "1: interfaces[1]: eth0 is used by interfaces[0] already; expected each interface once",
    ),
    ("\"eth1\"]", "\"a b\"]", "1: interfaces[1]: \"a b\" is not an interface name; expected 1 to 15"),
    ("\"eth1\"]", "7]", "1: interfaces[1]: 7 is not an interface name"),
    (
        "[api]",
        "xdp_mode = \"fast\"\n[api]",
        "3: xdp_mode: \"fast\" is not an XDP mode; expected one of auto, native, generic",
    ),
    ("[api]", "seed = \"x\"\n[api]", "3: seed: \"x\" is not a seed; expected a 64-bit integer"),
    ("[api]", "pin_directory = \"bpf\"\n[api]", "3: pin_directory: \"bpf\" is not an absolute path"),
    ("[api]", "interface = []\n[api]", "3: interface: unknown key; expected one of interfaces,"),
    ("[api]", "interface = []\n[api]", "perhaps `interfaces`"),
    (
        "[api]",
        "[snat]\nports = \"9-8\"\n[api]",
        "4: snat.ports: \"9-8\" is not a port range; expected lowest-highest",
    ),
    (
        "[api]",
        "[acl]\ndeny = [\"203.0.113.7/24\"]\n[api]",
        "4: acl.deny[0]: 203.0.113.7/24 is not the first address of its network; expected 203.0.113.0/24, or a longer prefix",
    ),
    (
        "[api]",
        "[acl]\ndeny = [\"web\"]\n[api]",
        "4: acl.deny[0]: \"web\" is not a prefix; expected one such as",
    ),
    ("[api]", "[acl]\nallow = []\n[api]", "4: acl.allow: unknown key; expected one of"),
    (
        "[api]",
        "[answers]\nresets = 10000001\n[api]",
        "4: answers.resets: 10000001 is not a number of packets in a second; expected 0 to 10000000",
    ),
    ("[api]", "[snat]\nports = \"0-8\"\n[api]", "4: snat.ports: \"0-8\" is not a port range"),
    (
        "[api]",
        "[limits]\nservices = 0\n[api]",
        "4: limits.services: 0 is not a number of services; expected 1 to 65535",
    ),
    (
        "[api]",
        "[limits]\nbackends = -1\n[api]",
        "4: limits.backends: -1 is not a number; expected a whole number",
    ),
    (
        "[api]",
        "[limits]\nport_pool = 1\n[api]",
        "4: limits.port_pool: unknown key; expected one of connections_v4,",
    ),
    (
        "[api]",
        "[limits]\nconnections_v4 = 99999999\n[api]",
        "limits.connections_v4: 99999999 is not a number of connections; expected 1 to 67108864",
    ),
    (
        "[api]",
        "[limits]\ntable_full = \"drop\"\n[api]",
        "4: limits.table_full: \"drop\" is not a policy; expected one of evict-idle, evict-embryonic, reject",
    ),
    (
        "[api]",
        "[timeouts]\nudp_new = 30\n[api]",
        "4: timeouts.udp_new: 30 is not a duration; expected a whole number and a unit",
    ),
    (
        "[api]",
        "[timeouts]\nudp_new = \"0s\"\n[api]",
        "4: timeouts.udp_new: 0ns is not a usable duration here; expected \"1s\" to \"168h\"",
    ),
    ("[api]", "api = 1\n[apo]", "3: api: 1 is not a table; expected [api]"),
    ("socket = \"/run/lb/lbd.sock\"", "group = \"\"", "4: api.group: \"\" is not the name of a group"),
    (
        "socket = \"/run/lb/lbd.sock\"",
        "listen = \"9465\"",
        "4: api.listen: \"9465\" is not an address and port",
    ),
    (
        "socket = \"/run/lb/lbd.sock\"",
        "listen = \"192.0.2.1:9465\"",
        "4: api.listen: 192.0.2.1:9465 is not served without TLS; expected `tls_certificate`, `tls_key` and",
    ),
    (
        "socket = \"/run/lb/lbd.sock\"",
        "listen = \"0.0.0.0:9465\"\nplain_http = true",
        "4: api.listen: 0.0.0.0:9465 is not served without TLS; expected `tls_certificate`",
    ),
    (
        "socket = \"/run/lb/lbd.sock\"",
        "listen = \"[::1]:9465\"",
        "4: api.listen: [::1]:9465 is not served without TLS unless you say so; expected `tls_certificate`, `tls_key` and \
         `tls_client_ca`, or `plain_http = true`, which lets every local user",
    ),
    (
        "socket = \"/run/lb/lbd.sock\"",
        "listen = \"192.0.2.1:9465\"\ntls_certificate = \"/c\"\ntls_key = \"/k\"",
        "api.tls_client_ca: missing: TLS needs a certificate, its key and the authority of the clients",
    ),
    (
        "socket = \"/run/lb/lbd.sock\"",
        "tls_key = \"/k\"",
        "4: api.tls_key: \"/k\" has no meaning without `api.listen`",
    ),
    ("socket = \"/run/lb/lbd.sock\"", "plain_http = 1", "4: api.plain_http: 1 is not true or false"),
    ("socket = \"/run/lb/lbd.sock\"", "tls_key = \"k\"", "4: api.tls_key: \"k\" is not an absolute path"),
    ("socket = \"/run/lb/lbd.sock\"", "socket = \"\"", "4: api.socket: \"\" is not a path"),
    (
        "/run/lb/lbd.sock",
        "/a-very-long-directory-name/a-very-long-directory-name/a-very-long-directory-name/a-very-long-directory-name",
        "is not short enough for a Unix socket; expected at most 107 bytes",
    ),
    ("127.0.0.1:9464", "localhost:9464", "7: metrics.listen: \"localhost:9464\" is not an address and port"),
    // A service.
    (
        "name = \"web\"",
        "name = \"web site\"",
        "10: services[0].name: \"web site\" is not a name; expected 1 to 63 of",
    ),
    ("name = \"web\"\n", "", "9: services[0].name: missing; expected a name, 1 to 63 of"),
    ("address = \"203.0.113.10\"\n", "", "9: services[0].address: missing; expected an address, one such as"),
    (
        "203.0.113.10",
        "203.0.113.10/32",
        "11: services[0].address: \"203.0.113.10/32\" is not an address; expected one such as",
    ),
    (
        "203.0.113.10",
        "224.0.0.1",
        "11: services[0].address: 224.0.0.1 is multicast; expected a unicast address",
    ),
    (
        "203.0.113.10",
        "0.0.0.0",
        "11: services[0].address: 0.0.0.0 is unspecified; expected a unicast address",
    ),
    (
        "protocol = \"tcp\"",
        "protocol = \"sctp\"",
        "12: services[0].protocol: \"sctp\" is not a protocol; expected one of tcp, udp",
    ),
    ("protocol = \"tcp\"\n", "", "9: services[0].protocol: missing; expected a protocol, one of tcp, udp"),
    ("port = 80\n", "port = 65536\n", "13: services[0].port: 65536 is not a port; expected 0 to 65535"),
    ("port = 80\n", "port = \"80\"\n", "13: services[0].port: \"80\" is not a port; expected 0 to 65535"),
    ("port = 80\n", "", "9: services[0].port: missing; expected a port, 0 to 65535"),
    (
        "mode = \"nat\"",
        "mode = \"dsr\"",
        "14: services[0].mode: \"dsr\" is not a mode; expected one of nat, full-nat",
    ),
    (
        "mode = \"nat\"",
        "mode = \"full-nat\"",
        "9: services[0].snat_addresses: missing: mode full-nat sends from it",
    ),
    (
        "mode = \"nat\"",
        "snat_addresses = [\"192.0.2.1\"]",
        "14: services[0].snat_addresses: [192.0.2.1] has no meaning with mode nat",
    ),
    (
        "mode = \"nat\"",
        "mode = \"full-nat\"\nsnat_addresses = [\"fd00::1\"]",
        "15: services[0].snat_addresses[0]: fd00::1 is not of the VIP's family; expected an IPv4 address",
    ),
    (
        "mode = \"nat\"",
        "mode = \"full-nat\"\nsnat_addresses = [\"10.0.0.11\"]",
        "services[0].snat_addresses[0]: 10.0.0.11 is the address of backend web-1",
    ),
    (
        "mode = \"nat\"",
        "mode = \"full-nat\"\nsnat_addresses = [\"192.0.2.1\", \"192.0.2.1\"]",
        "services[0].snat_addresses[1]: 192.0.2.1 is used by services[0].snat_addresses[0] already",
    ),
    ("mode = \"nat\"", "mod = \"nat\"", "14: services[0].mod: unknown key; expected one of name,"),
    (
        "\"maglev\"",
        "\"wrr\"",
        "15: services[0].algorithm: \"wrr\" is not an algorithm; expected one of maglev, round-robin,",
    ),
    (
        "\"maglev\"",
        "\"maglev\"\nslots = 65536",
        "16: services[0].slots: 65536 is not a prime, which maglev needs; expected one such as 65521",
    ),
    (
        "\"maglev\"",
        "\"maglev\"\nslots = 0",
        "16: services[0].slots: 0 is not a number of slots; expected 1 to 1048573",
    ),
    ("\"maglev\"", "\"maglev\"\nslots = 2000003", "16: services[0].slots: 2000003 is not a number of slots"),
    (
        "\"maglev\"",
        "\"maglev\"\naffinity_prefix = 24",
        "16: services[0].affinity_prefix: 24 has no meaning with algorithm maglev and without affinity_timeout",
    ),
    (
        "\"maglev\"",
        "\"source-hash\"\naffinity_prefix = 33",
        "16: services[0].affinity_prefix: 33 is not a prefix length; expected 1 to 32",
    ),
    // Health.
    (
        "interval = \"1s\"",
        "interval = \"50ms\"",
        "18: services[0].health.interval: 50ms is not a usable duration here; expected \"100ms\" to \"1h\"",
    ),
    (
        "interval = \"1s\"",
        "timeout = \"2s\"",
        "18: services[0].health.timeout: 2s is longer than the interval (1s)",
    ),
    (
        "interval = \"1s\"",
        "type = \"htp\"",
        "18: services[0].health.type: \"htp\" is not a type of check; expected one of tcp, http, https, grpc, dns, udp, icmp, script",
    ),
    (
        "interval = \"1s\"",
        "type = \"tcp\"\npath = \"/\"",
        "19: services[0].health.path: \"/\" belongs to a check of type http and https, and this one is of type tcp; expected another type",
    ),
    (
        "interval = \"1s\"",
        "type = \"http\"\nexpect_status = 700",
        "19: services[0].health.expect_status: \"700\" is not a set of status codes",
    ),
    (
        "interval = \"1s\"",
        "type = \"https\"\ntls_verify = \"no\"",
        "19: services[0].health.tls_verify: \"no\" is not true or false; expected one of them, without quotes",
    ),
    (
        "interval = \"1s\"",
        "type = \"script\"",
        "17: services[0].health.script: missing: a check of type script runs it; expected the absolute path",
    ),
    (
        "interval = \"1s\"",
        "type = \"script\"\nscript = \"/x\"\nargs = [1]",
        "20: services[0].health.args[0]: 1 is not a text; expected a text in quotes",
    ),
    (
        "interval = \"1s\"",
        "type = \"icmp\"\nport = 7",
        "19: services[0].health.port: 7 has no meaning with type icmp",
    ),
    (
        "interval = \"1s\"",
        "type = \"udp\"\nsend = \"x\"",
        "services[0].health.port: missing: a TCP service is checked over UDP; expected the port to send to",
    ),
    (
        "interval = \"1s\"",
        "source = \"fd00::1\"",
        "18: services[0].health.source: fd00::1 is not of the VIP's family; expected an IPv4 address",
    ),
    ("interval = \"1s\"", "rise = 0", "18: services[0].health.rise: 0 is not a number of probes"),
    ("interval = \"1s\"", "port = 0", "18: services[0].health.port: 0 is not a port; expected 1 to 65535"),
    (
        "interval = \"1s\"",
        "intervall = \"1s\"",
        "18: services[0].health.intervall: unknown key; expected one of interval, timeout, rise, fall, port, fast_interval, jitter, max_flaps, flap_window, hold_down, max_hold_down, max_ejected, panic_threshold, passive, passive_window, passive_count, passive_percent, type, source, perhaps `interval`",
    ),
    (
        "\"tcp\"",
        "\"udp\"",
        "17: services[0].health.port: missing: a UDP service is checked over TCP; expected the port to connect to",
    ),
    (
        "interval = \"1s\"",
        "fast_interval = \"2s\"",
        "18: services[0].health.fast_interval: 2s is longer than the interval (1s); expected at most that",
    ),
    (
        "interval = \"1s\"",
        "fast_interval = \"0s\"",
        "18: services[0].health.fast_interval: 0ns is not a usable duration here; expected \"10ms\" up to the interval",
    ),
    (
        "interval = \"1s\"",
        "jitter = \"501ms\"",
        "18: services[0].health.jitter: 501ms is longer than half of the interval (500ms)",
    ),
    (
        "interval = \"1s\"",
        "hold_down = \"10m\"",
        "18: services[0].health.hold_down: 600s is longer than max_hold_down (300s)",
    ),
    (
        "interval = \"1s\"",
        "max_flaps = 101",
        "18: services[0].health.max_flaps: 101 is not a number of times; expected 0 to 100",
    ),
    (
        "interval = \"1s\"",
        "max_ejected = 101",
        "18: services[0].health.max_ejected: 101 is not a percentage; expected 0 to 100",
    ),
    (
        "interval = \"1s\"",
        "passive = \"no\"",
        "18: services[0].health.passive: \"no\" is not true or false; expected one of them, without quotes",
    ),
    (
        "interval = \"1s\"",
        "passive_window = \"100ms\"",
        "18: services[0].health.passive_window: 100ms is not a usable duration here; expected \"500ms\" to \"1m\"",
    ),
    (
        "interval = \"1s\"",
        "passive_count = 0",
        "18: services[0].health.passive_count: 0 is not a number of signals; expected 1 to 1000000",
    ),
    (
        "interval = \"1s\"",
        "passive_percent = 0",
        "18: services[0].health.passive_percent: 0 is not a percentage here; expected 1 to 100",
    ),
    (
        "interval = \"1s\"",
        "panic_threshold = \"50%\"",
        "18: services[0].health.panic_threshold: \"50%\" is not a percentage; expected 0 to 100",
    ),
    (
        "port = 80\n",
        "port = 80\nslow_start = \"100ms\"\n",
        "14: services[0].slow_start: 100ms is not a usable duration here; expected \"0s\" (none), or \"1s\" to \"1h\"",
    ),
    (
        "port = 80\n",
        "port = 80\nbackup_below = 0\n",
        "14: services[0].backup_below: 0 is not a number of backends; expected 1 to 65535",
    ),
    // Limits and affinity.
    (
        "port = 80\n",
        "port = 80\naffinity_timeout = \"200h\"\n",
        "14: services[0].affinity_timeout: 720000s is not a usable duration here; expected \"0s\" (none), or \"1s\" to \"168h\"",
    ),
    (
        "port = 80\n",
        "port = 80\nmax_connections = -1\n",
        "14: services[0].max_connections: -1 is not a number",
    ),
    (
        "port = 80\n",
        "port = 80\nsyn_cookies = \"sometimes\"\n",
        "14: services[0].syn_cookies: \"sometimes\" is not a policy; expected one of off, auto, always",
    ),
    (
        "port = 80\n",
        "port = 80\non_full = \"queue\"\n",
        "14: services[0].on_full: \"queue\" is not a policy; expected one of drop, reset",
    ),
    (
        "weight = 100",
        "max_connections = \"10\"",
        "24: services[0].backends[0].max_connections: \"10\" is not a number",
    ),
    // A backend.
    (
        "weight = 100",
        "backup = 1",
        "24: services[0].backends[0].backup: 1 is not true or false; expected one of them, without quotes",
    ),
    (
        "port = 8080",
        "port = 70000",
        "23: services[0].backends[0].port: 70000 is not a port; expected 1 to 65535",
    ),
    ("port = 8080", "port = 0", "23: services[0].backends[0].port: 0 is not a port; expected 1 to 65535"),
    (
        "port = 8080",
        "prot = 8080",
        "23: services[0].backends[0].prot: unknown key; expected one of name, address, port, weight, state, drain_then, drain_until, backup, max_connections, perhaps `port`",
    ),
    (
        "weight = 100",
        "weight = 65536",
        "24: services[0].backends[0].weight: 65536 is not a weight; expected 0 to 65535",
    ),
    ("weight = 100", "weight = 1.5", "24: services[0].backends[0].weight: 1.5 is not a weight"),
    (
        "weight = 100",
        "state = \"up\"",
        "24: services[0].backends[0].state: \"up\" is not a state; expected one of enabled, draining, disabled",
    ),
    (
        "10.0.0.11",
        "127.0.0.1",
        "22: services[0].backends[0].address: 127.0.0.1 is loopback; expected a unicast address",
    ),
    ("10.0.0.11", "169.254.0.1", "22: services[0].backends[0].address: 169.254.0.1 is link-local"),
    (
        "10.0.0.11",
        "203.0.113.10",
        "22: services[0].backends[0].address: 203.0.113.10 is a VIP (address of services[0])",
    ),
    (
        "10.0.0.11",
        "fd00::1",
        "22: services[0].backends[0].address: fd00::1 is not of the VIP's family; expected an IPv4 address",
    ),
    (
        "weight = 100\n",
        "[[services.backends]]\nname = \"web-1\"\naddress = \"10.0.0.12\"\n",
        "services[0].backends[1].name: web-1 is used by services[0].backends[0].name already",
    ),
    (
        "weight = 100\n",
        "[[services.backends]]\nname = \"b\"\naddress = \"10.0.0.11\"\nport = 8080\n",
        "services[0].backends[1].address: 10.0.0.11:8080 is used by services[0].backends[0] already",
    ),
    (
        "weight = 100\n",
        "[[services]]\nname = \"web\"\naddress = \"203.0.113.11\"\nprotocol = \"tcp\"\nport = 80\n",
        "25: services[1].name: web is used by services[0].name already",
    ),
    (
        "weight = 100\n",
        "[[services]]\nname = \"b\"\naddress = \"203.0.113.10\"\nprotocol = \"tcp\"\nport = 80\n",
        "services[1].port: tcp 203.0.113.10:80 is used by services[0] already",
    ),
    (
        "[[services.backends]]",
        "[services.backends]",
        "20: services[0].backends: a table is not a list of tables; expected [[services.backends]]",
    ),
    // TOML itself.
    ("port = 8080", "port = ", "lb.toml:23:8: "),
    ("port = 8080", "port = 1\nport = 2", "lb.toml:24:1: duplicate key"),
    (
        "listen = \"127.0.0.1:9464\"",
        "[dashboard]\nlisten = \"192.0.2.1:9466\"",
        "8: dashboard.listen: 192.0.2.1:9466 is not served to other machines; expected a loopback address",
    ),
    ("[metrics]", "[api]", "lb.toml:6:2: duplicate key"),
];

#[test]
fn every_mistake_is_told_with_line_path_value_and_expectation() {
    let mut wrong = Vec::new();
    for (old, new, expected) in CASES {
        assert!(EXAMPLE.contains(old), "{old}");
        let message = error(&EXAMPLE.replacen(old, new, 1)).to_string();
        if !message.contains(expected) {
            wrong.push(format!("{new:?}\n  expected {expected}\n  found    {message}"));
        }
        assert!(message.starts_with("lb.toml:"), "{message}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn several_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = EXAMPLE
        .replace("port = 8080", "port = 70000")
        .replace("\"nat\"", "\"gnat\"")
        .replace("[api]", "seeed = 1\n[api]")
        + "[[services]]\nname = \"b\"\naddress = \"127.0.0.1\"\nprotocol = \"tcp\"\nport = 1\n";
    let message = error(&text).to_string();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 4, "{message}");
    for (line, expected) in
        lines.iter().zip(["seeed", "services[0].mode", "services[0].backends[0].port", "services[1].address"])
    {
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn limits_are_told_with_their_key() {
    let text = EXAMPLE
        .replace("[api]", "[limits]\nport_pools = 1\n[api]")
        .replace("mode = \"nat\"", "mode = \"full-nat\"\nsnat_addresses = [\"192.0.2.1\", \"192.0.2.2\"]");
    let message = error(&text).to_string();
    assert!(
        message.contains("2 pairs of SNAT address and backend are more than limits.port_pools allows (1)"),
        "{message}"
    );
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let read = |path: &std::path::Path| Document::read(path).unwrap_err().to_string();

    let missing = directory.path().join("missing.toml");
    assert!(read(&missing).contains("missing.toml: there is no such file; write one"));
    assert!(read(directory.path()).contains("is a directory; expected a file"));

    let binary = directory.path().join("binary.toml");
    fs::write(&binary, b"interfaces = []\n# \xff\n").unwrap();
    assert!(read(&binary).contains("binary.toml:2: this line is not UTF-8"));

    let secret = directory.path().join("secret.toml");
    fs::write(&secret, EXAMPLE).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything.
    if fs::read(&secret).is_err() {
        assert!(read(&secret).contains("secret.toml: permission denied; run as root"));
    }
}

#[test]
fn the_findings_are_there_for_programs_too() {
    let ConfigError::Invalid { findings, .. } = error(&EXAMPLE.replace("port = 8080", "port = 70000")) else {
        panic!("another error");
    };
    assert_eq!(findings[0].line, Some(23));
    assert_eq!(findings[0].path.to_string(), "services[0].backends[0].port");
    assert_eq!(findings[0].message, "70000 is not a port; expected 1 to 65535");
}
