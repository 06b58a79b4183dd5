//! What a file means.

use std::time::Duration;

use super::{EXAMPLE, config};
use crate::model::{
    AdminState, Algorithm, AnswerRates, Draft, Drain, DrainEnd, FlowRates, HealthCheck, Keyword as _, Mode,
    OnFull, PROBE_KEYS, ProbeType, Protocol, SnatPorts, SourceList, SynCookies, TableFull, XdpMode,
};

#[test]
fn the_example_of_the_documentation_is_valid_and_in_it() {
    let documentation = include_str!("../../../../docs/configuration.md");
    assert!(documentation.contains(EXAMPLE), "docs/configuration.md has another example");
    let config = config(EXAMPLE);
    assert_eq!(config.interfaces.len(), 2);
    let web = &config.services[0];
    assert_eq!((web.at().to_string(), web.slots), ("tcp 203.0.113.10:80".to_owned(), None));
    assert_eq!(web.health, Some(HealthCheck::default()));
    assert_eq!((web.backends[0].port, web.backends[0].weight), (8080, 100));
}

#[test]
fn everything_but_the_interfaces_has_a_default() {
    let found = config("interfaces = ['eth0']").draft();
    assert_eq!(found, Draft { interfaces: found.interfaces.clone(), ..Draft::default() });
}

/// Every key outside the health checks.
const EVERY_KEY: &str = r#"
        interfaces = ["eth0"]
        xdp_mode = "generic"
        pin_directory = "/sys/fs/bpf/other"
        seed = -1
        api.socket = "/tmp/lbd.sock"
        metrics = { listen = "" }
        dashboard = { listen = "[::1]:9466" }
        limits = { connections_v4 = 1, connections_v6 = 2, embryonic = 3, services = 4, backends = 5, port_pools = 8, affinity = 9, prefixes = 10, sources = 11, table_full = "reject" }
        snat.ports = "2000-3000"
        acl = { deny = ["203.0.113.0/24", "2001:db8::1"], deny_file = "/etc/lb/deny.txt" }
        answers = { icmp_errors = 0, echo_replies = 5, resets = 10000000 }
        [timeouts]
        tcp_handshake = "1s"
        tcp_established = "2m"
        tcp_half_closed = "3h"
        tcp_closing = "4000ms"
        tcp_closed = "5s"
        udp_new = "6s"
        udp_established = "7s"
        [[services]]
        name = "dns"
        address = "2001:db8::53"
        protocol = "udp"
        port = 0
        mode = "full-nat"
        algorithm = "source-hash"
        slots = 100
        affinity_prefix = 64
        affinity_timeout = "10m"
        max_connections = 4294967295
        on_full = "reset"
        syn_cookies = "off"
        allow = ["2001:db8::/32"]
        allow_file = "/a"
        deny = ["2001:db8:1::/48"]
        deny_file = "/b"
        flow_rate = 1
        flow_burst = 2
        source_flow_rate = 3
        source_flow_burst = 4
        packet_rate = 20
        packet_burst = 21
        source_packet_rate = 22
        source_packet_burst = 23
        source_max_connections = 24
        source_max_embryonic = 25
        source_prefix = 56
        snat_addresses = ["2001:db8::1", "2001:db8::2"]
        health = { interval = "2s", timeout = "1s", rise = 4, fall = 5, port = 53 }
        backends = [
            { name = "a", address = "fd00::1", max_connections = 12 },
            { name = "b", address = "fd00::2", port = 5353, weight = 0, state = "draining" },
            { name = "c", address = "fd00::3", state = "draining", drain_until = 2026-11-22T23:10:00Z },
            { name = "d", address = "fd00::4", state = "draining", drain_until = "2026-11-22T23:10:00.5Z", drain_then = "rst" },
        ]
        "#;

#[test]
fn every_key_is_read() {
    let config = config(EVERY_KEY);
    assert_eq!((config.xdp_mode, config.seed), (XdpMode::Generic, Some(u64::MAX)));
    assert_eq!(config.metrics_listen, None);
    assert_eq!(config.dashboard_listen, Some("[::1]:9466".parse().unwrap()));
    assert_eq!((config.limits.port_pools, config.limits.affinity), (8, 9));
    assert_eq!(config.limits.table_full, Some(TableFull::Reject));
    assert_eq!((config.limits.prefixes, config.limits.sources), (10, 11));
    let denied: Vec<String> = config.acl.deny.iter().map(ToString::to_string).collect();
    assert_eq!(denied, ["203.0.113.0/24", "2001:db8::1/128"]);
    assert_eq!(config.acl.deny_file, Some("/etc/lb/deny.txt".into()));
    assert_eq!(config.snat_ports, SnatPorts { min: 2000, max: 3000 });
    assert_eq!(config.answers, AnswerRates { icmp_errors: 0, echo_replies: 5, resets: 10_000_000 });
    assert_eq!(config.timeouts.tcp_half_closed, Duration::from_secs(3 * 3600));
    let dns = &config.services[0];
    assert_eq!(
        (dns.protocol, dns.mode, dns.algorithm),
        (Protocol::Udp, Mode::FullNat, Algorithm::SourceHash)
    );
    assert_eq!((dns.slots, dns.affinity_prefix, dns.snat_addresses.len()), (Some(100), Some(64), 2));
    assert_eq!((dns.affinity_timeout, dns.max_connections), (Duration::from_secs(600), u32::MAX));
    assert_eq!((dns.on_full, dns.backends[0].max_connections), (OnFull::Reset, 12));
    assert_eq!(dns.syn_cookies, SynCookies::Off);
    let rates = FlowRates {
        flow_rate: 1,
        flow_burst: 2,
        source_flow_rate: 3,
        source_flow_burst: 4,
        packet_rate: 20,
        packet_burst: 21,
        source_packet_rate: 22,
        source_packet_burst: 23,
        source_max_connections: 24,
        source_max_embryonic: 25,
        source_prefix: Some(56),
    };
    assert_eq!(dns.rates, rates);
    let sources = SourceList {
        allow: vec!["2001:db8::/32".parse().unwrap()],
        allow_file: Some("/a".into()),
        deny: vec!["2001:db8:1::/48".parse().unwrap()],
        deny_file: Some("/b".into()),
    };
    assert_eq!(dns.sources, sources);
    assert_eq!(dns.health.as_ref().and_then(|check| check.port), Some(53));
    assert_eq!((dns.backends[0].port, dns.backends[0].state), (0, AdminState::Enabled));
    assert_eq!((dns.backends[1].weight, dns.backends[1].state), (0, AdminState::Draining));
    let drains: Vec<_> = dns.backends.iter().filter_map(|backend| backend.drain).collect();
    let until = |text: &str| text.parse().unwrap();
    assert_eq!(
        drains,
        [
            Drain { until: until("2026-11-22T23:10:00Z"), then: DrainEnd::Keep },
            Drain { until: until("2026-11-22T23:10:00.500Z"), then: DrainEnd::Rst }
        ]
    );
}

#[test]
fn a_backends_port_is_the_services_unless_given() {
    let text = EXAMPLE.replace("port = 8080\n", "");
    assert_eq!(config(&text).services[0].backends[0].port, 80);
}

#[test]
fn the_health_checks_of_the_documentation_are_valid_and_of_every_type() {
    let documentation = include_str!("../../../../docs/configuration.md");
    let (before, backends) = EXAMPLE.split_once("[services.health]\ninterval = \"1s\"\n").unwrap();
    let blocks = documentation.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let types: std::collections::BTreeSet<ProbeType> = blocks
        .filter(|block| block.starts_with("[services.health]"))
        .map(|block| {
            config(&format!("{before}{block}{backends}")).services[0]
                .health
                .as_ref()
                .unwrap()
                .probe
                .probe_type()
        })
        .collect();
    assert_eq!(types.iter().copied().collect::<Vec<_>>(), ProbeType::ALL);
}

#[test]
fn the_keys_of_a_check_are_in_the_documentation() {
    let documentation = include_str!("../../../../docs/configuration.md");
    for key in &PROBE_KEYS {
        assert!(documentation.contains(&format!("`{}`", key.name)), "{}", key.name);
    }
}
