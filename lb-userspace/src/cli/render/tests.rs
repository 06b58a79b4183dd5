//! What people see, letter by letter.

use std::time::Duration;

use super::*;
use crate::api::{
    Backend, BackendFlows, BackendStats, BackendTotals, Drop, Flow, FlowTotals, Flows, Health, Interface,
    InterfaceTraffic, Latencies, Latency, Service, ServiceStats, Signals, Stats, Status, Tracked, Traffic,
    VirtualRouter,
};

const PLAIN: Style = Style { coloured: false, wide: false };

fn example_backend(name: &str, address: &str, port: u16, effective: &str, health: &str) -> Backend {
    Backend {
        name: name.to_owned(),
        id: 1,
        address: address.parse().unwrap(),
        port,
        weight: 100,
        state: "enabled".to_owned(),
        effective: effective.to_owned(),
        health: health.to_owned(),
        drain: None,
        backup: false,
        max_connections: None,
        connections: None,
        standing: "serving".to_owned(),
        effective_weight: 100,
        since_seconds: None,
        reason: None,
        held_seconds: None,
        transitions: 0,
        suspect: None,
        suspects: 0,
        latency: None,
    }
}

fn example_service() -> Service {
    Service {
        name: "web".to_owned(),
        id: 1,
        address: "203.0.113.10".parse().unwrap(),
        protocol: "tcp".to_owned(),
        port: 80,
        mode: "full-nat".to_owned(),
        algorithm: "source-hash".to_owned(),
        slots: 65_537,
        affinity_prefix: Some(24),
        allow: Vec::new(),
        allow_file: None,
        deny: vec!["198.51.100.0/24".to_owned()],
        deny_file: None,
        flow_rate: Some(1000),
        flow_burst: None,
        source_flow_rate: None,
        source_flow_burst: None,
        packet_rate: None,
        packet_burst: None,
        source_packet_rate: None,
        source_packet_burst: None,
        source_max_connections: None,
        source_max_embryonic: None,
        source_prefix: None,
        snat_addresses: vec!["10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()],
        on_down: "reset".to_owned(),
        affinity_timeout: None,
        affinity_clients: None,
        max_connections: None,
        connections: None,
        on_full: "drop".to_owned(),
        syn_cookies: "auto".to_owned(),
        cookies: None,
        slow_start: None,
        backup_below: 1,
        condition: "normal".to_owned(),
        health: Some(Health {
            interval: Some("1s".to_owned()),
            timeout: Some("500ms".to_owned()),
            rise: Some(2),
            fall: Some(3),
            ..Health::default()
        }),
        backends: vec![
            example_backend("web-1", "10.0.0.11", 8080, "active", "up"),
            example_backend("b2", "10.0.0.112", 80, "down", "down"),
        ],
    }
}

fn second_service() -> Service {
    Service {
        name: "any-v6".to_owned(),
        address: "2001:db8::10".parse().unwrap(),
        port: 0,
        protocol: "udp".to_owned(),
        mode: "nat".to_owned(),
        health: None,
        backends: vec![example_backend("b1", "2001:db8:1::1", 0, "draining", "unknown")],
        ..example_service()
    }
}

#[test]
fn status_is_a_list_of_facts() {
    let mut example = Status {
        panic: Vec::new(),
        version: "0.1.0".to_owned(),
        uptime_seconds: 3_725,
        config_file: "/etc/lb/lb.toml".to_owned(),
        unsaved_changes: false,
        restart_needed: Vec::new(),
        problem: None,
        pins_out_of_reach: false,
        drift_repaired: 0,
        event_subscribers: 0,
        confirm_until: None,
        interfaces: vec![
            Interface { name: "eth0".to_owned(), ifindex: 2, mode: "native".to_owned() },
            Interface { name: "eth1".to_owned(), ifindex: 3, mode: "generic".to_owned() },
        ],
        services: 2,
        backends: BackendTotals { active: 3, draining: 1, down: 1, disabled: 0 },
        flows: 9830,
    };
    let text = "\
version          0.1.0
uptime           1h 2m
config           /etc/lb/lb.toml
unsaved changes  no
interfaces       eth0 (native), eth1 (generic)
services         2
backends         5: 3 active, 1 draining, 1 down, 0 disabled
flows            9830
";
    assert_eq!(status(&example, PLAIN), text);

    example.unsaved_changes = true;
    example.restart_needed = vec!["limits".to_owned(), "api.socket".to_owned()];
    example.drift_repaired = 3;
    example.pins_out_of_reach = true;
    example.problem = Some("SLOTS: no space left on device".to_owned());
    let text = status(&example, PLAIN);
    assert!(
        text.contains("\ndrift            3 elements of maps that somebody else changed were put right\n"),
        "{text}"
    );
    assert!(
        text.contains("\nPINS             their file system was unmounted, and forwarding ends with"),
        "{text}"
    );
    assert!(text.contains("\nrestart needed   for limits, api.socket\n"), "{text}");
    assert!(
        text.contains("\nunsaved changes  yes: made with --runtime; lost when lbd reads its file again\n"),
        "{text}"
    );
    assert!(
        text.ends_with("\nproblem          SLOTS: no space left on device; lbd tries again by itself\n"),
        "{text}"
    );
}

#[test]
fn services_are_aligned_columns() {
    let text = "\
NAME    ADDRESS           PROTOCOL  MODE      ALGORITHM    HEALTH   ACTIVE  BACKENDS
web     203.0.113.10:80   tcp       full-nat  source-hash  checked       1         2
any-v6  [2001:db8::10]:*  udp       nat       source-hash  -             0         1
";
    assert_eq!(services(&[example_service(), second_service()], PLAIN), text);
    assert_eq!(services(&[], PLAIN), "no services; add one: `lbctl service add --help`\n");
}

#[test]
fn a_service_is_shown_with_its_backends() {
    let text = "\
name            web
id              1
address         203.0.113.10:80
protocol        tcp
mode            full-nat
algorithm       source-hash
slots           65537
affinity        by hash of each /24
SNAT addresses  10.0.0.2, 10.0.0.3
on down         reset
health          tcp every 1s, timeout 500ms, rise 2, fall 3, port the backend's

NAME   ADDRESS         WEIGHT  STATE   HEALTH
web-1  10.0.0.11:8080     100  active  up
b2     10.0.0.112:80      100  down    down
";
    assert_eq!(service(&example_service(), PLAIN), text);
}

#[test]
fn limits_and_affinity_are_shown_where_there_are_some() {
    let mut limited = example_service();
    limited.affinity_timeout = Some("10m".to_owned());
    limited.affinity_clients = Some(3);
    (limited.connections, limited.max_connections) = (Some(9), Some(50));
    (limited.backends[0].connections, limited.backends[0].max_connections) = (Some(7), Some(10));
    limited.backends[1].connections = Some(2);
    let shown = service(&limited, PLAIN);
    for line in [
        "affinity        10m for each /24, 3 known\n",
        "connections     9 of 50, others: drop\n",
        "NAME   ADDRESS         WEIGHT  STATE   HEALTH  CONNECTIONS\n",
        "web-1  10.0.0.11:8080     100  active  up      7/10\n",
        "b2     10.0.0.112:80      100  down    down    2\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
}

#[test]
fn the_backends_of_all_services_name_their_service() {
    let text = "\
SERVICE  NAME   ADDRESS            WEIGHT  STATE     HEALTH
web      web-1  10.0.0.11:8080        100  active    up
web      b2     10.0.0.112:80         100  down      down
any-v6   b1     [2001:db8:1::1]:*     100  draining  unknown
";
    assert_eq!(all_backends(&[example_service(), second_service()], PLAIN), text);
    assert_eq!(
        backends("web", &[], PLAIN),
        "no backends; add one: `lbctl backend add web NAME ADDRESS:PORT`\n"
    );
}

#[test]
fn states_are_coloured_on_a_terminal_only() {
    let example = [example_service()];
    assert!(!all_backends(&example, PLAIN).contains('\u{1b}'));
    let coloured = all_backends(&example, Style { coloured: true, wide: false });
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
}

#[test]
fn flows_show_both_sides() {
    let flow = Flow {
        service: "web".to_owned(),
        backend: "web-1".to_owned(),
        protocol: "tcp".to_owned(),
        client: "198.51.100.7:40000".parse().unwrap(),
        vip: "203.0.113.10:80".parse().unwrap(),
        source: "10.0.0.2:1024".parse().unwrap(),
        destination: "10.0.0.11:8080".parse().unwrap(),
        state: "established".to_owned(),
        idle_seconds: 65,
    };
    let text = "\
SERVICE  BACKEND  PROTOCOL  CLIENT              VIP              SOURCE         DESTINATION     STATE        IDLE
web      web-1    tcp       198.51.100.7:40000  203.0.113.10:80  10.0.0.2:1024  10.0.0.11:8080  established  1m 5s
";
    assert_eq!(flows(&Flows { flows: vec![flow.clone()], truncated: false }, PLAIN), text);
    let cut = flows(&Flows { flows: vec![flow], truncated: true }, PLAIN);
    assert!(cut.ends_with("\n... the first 1 only; --limit shows more\n"), "{cut}");
    assert_eq!(flows(&Flows::default(), PLAIN), "no flows\n");
}

#[test]
fn flows_are_counted_by_backend() {
    let row = |backend: &str, established, embryonic| BackendFlows {
        service: "web".to_owned(),
        backend: backend.to_owned(),
        established,
        embryonic,
    };
    let totals =
        FlowTotals { total: 1213, embryonic: 13, backends: vec![row("web-1", 1200, 10), row("#7", 0, 3)] };
    let text = "\
SERVICE  BACKEND  ESTABLISHED  EMBRYONIC
web      web-1           1200         10
web      #7                 0          3

1213 flows, 13 of them embryonic
";
    assert_eq!(flow_totals(&totals, PLAIN), text);
}

fn example_stats(scale: u64) -> Stats {
    let traffic = Traffic {
        packets_in: 10 * scale,
        bytes_in: 1000 * scale,
        packets_out: 9 * scale,
        bytes_out: 90_000 * scale,
        flows: scale,
    };
    Stats {
        services: vec![ServiceStats { service: "web".to_owned(), traffic }],
        backends: vec![BackendStats {
            service: "web".to_owned(),
            backend: "web-1".to_owned(),
            traffic,
            signals: Signals {
                syns: 7 * scale,
                syn_acks: 5 * scale,
                syn_resets: scale,
                unreachable: scale,
                unreachable_by_routers: 2 * scale,
            },
        }],
        interfaces: vec![InterfaceTraffic {
            name: "eth0".to_owned(),
            ifindex: 2,
            rx_packets: 20 * scale,
            rx_bytes: 2000 * scale,
            tx_packets: 19 * scale,
            tx_bytes: 1900 * scale,
            passed: scale,
            dropped: 0,
        }],
    }
}

#[test]
fn counters_come_in_three_tables() {
    let text = "\
SERVICE  PACKETS-IN  BYTES-IN  PACKETS-OUT  BYTES-OUT  FLOWS
web              20      2000           18     180000      2

SERVICE  BACKEND  PACKETS-IN  BYTES-IN  PACKETS-OUT  BYTES-OUT  FLOWS
web      web-1            20      2000           18     180000      2

INTERFACE  RX-PACKETS  RX-BYTES  TX-PACKETS  TX-BYTES  PASSED  DROPPED
eth0               40      4000          38      3800       2        0
";
    assert_eq!(stats(&example_stats(2), Figures::Totals, PLAIN), text);
}

#[test]
fn wide_counters_show_the_signals_of_backends() {
    let text = stats(&example_stats(2), Figures::Totals, Style { wide: true, ..PLAIN });
    let wanted = "\
SERVICE  BACKEND  PACKETS-IN  BYTES-IN  PACKETS-OUT  BYTES-OUT  FLOWS  SYNS  SYN-ACKS  REFUSED  UNREACHABLE
web      web-1            20      2000           18     180000      2    14        10        2            6
";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn rates_are_differences_per_second() {
    let rates = rates(&example_stats(2), &example_stats(12), Duration::from_secs(5));
    assert_eq!(rates, example_stats(2));
    let text = stats(&rates, Figures::Rates, PLAIN);
    assert!(text.starts_with("SERVICE  PACKETS-IN/S  BYTES-IN/S"), "{text}");
}

#[test]
fn a_row_of_one_sample_only_has_no_rate() {
    let mut later = example_stats(2);
    later.services[0].service = "new".to_owned();
    later.backends[0].service = "new".to_owned();
    later.interfaces[0].ifindex = 9;
    assert_eq!(rates(&example_stats(1), &later, Duration::from_secs(1)), Stats::default());
}

#[test]
fn drops_say_what_they_mean() {
    let drop = |reason: &str, packets, description: &str| Drop {
        reason: reason.to_owned(),
        packets,
        description: description.to_owned(),
        causes: vec!["a scanner".to_owned(), "a device".to_owned()],
        look: vec!["lbctl doctor".to_owned()],
        usual: false,
    };
    let text = "\
REASON     PACKETS  MEANING
truncated       12  The frame ends inside a header.
no-route         0  No route to the destination.
";
    let rows = [
        drop("truncated", 12, "The frame ends inside a header."),
        drop("no-route", 0, "No route to the destination."),
    ];
    assert_eq!(drops(&rows, None, PLAIN), text);
    let before = [drop("truncated", 5, "")];
    let rates = drop_rates(&before, &rows, Duration::from_secs(2));
    let text = "\
REASON     PACKETS  PACKETS/S  MEANING
truncated       12        3.5  The frame ends inside a header.
no-route         0        0.0  No route to the destination.
";
    assert_eq!(drops(&rows, Some(&rates), PLAIN), text);
    let wide = drops(&rows, None, Style { wide: true, ..PLAIN });
    assert!(wide.contains("LIKELY CAUSE") && wide.contains("a scanner     lbctl doctor"), "{wide}");
    let text = "\
truncated: 12 packets
  The frame ends inside a header.
  likely causes:
    - a scanner
    - a device
  look further:
    lbctl doctor
";
    assert_eq!(explained_drops(&rows, false), text);
    assert_eq!(explained_drops(&rows[1..], false), "nothing was dropped\n");
    assert!(explained_drops(&rows[1..], true).starts_with("no-route: 0 packets\n"));
}

fn tracked() -> Vec<Tracked> {
    let one = |name: &str, state: &str| Tracked {
        name: name.to_owned(),
        state: state.to_owned(),
        ..Tracked::default()
    };
    let reason = |reason: &str| Some(reason.to_owned());
    vec![
        Tracked {
            reason: reason("1 of 3 backends are healthy"),
            priority: -50,
            ..one("service web (2 healthy)", "down")
        },
        Tracked { value: Some(-1), priority: -1, ..one("file /run/lb/weight", "up") },
        Tracked { reason: reason("it is down"), held: true, fault: true, ..one("interface eth1", "down") },
        Tracked { fault: true, ..one("script uplink", "unknown") },
        one("interface eth0", "up"),
    ]
}

#[test]
fn virtual_routers_say_who_is_active_and_what_counts() {
    let backup = VirtualRouter {
        name: "outside".to_owned(),
        interface: "eth0".to_owned(),
        virtual_router_id: 51,
        state: "backup".to_owned(),
        priority: 100,
        configured_priority: 150,
        tracked: tracked(),
        virtual_addresses: vec!["203.0.113.10/24".to_owned()],
        virtual_mac: Some("00:00:5e:00:01:33".to_owned()),
        virtual_interface: Some("lb4-51-eth0".to_owned()),
        active_router: Some("203.0.113.2".to_owned()),
        active_priority: Some(150),
        taking_over: false,
        switchover: Some("standby".to_owned()),
        transitions: 1,
        notify_failures: 2,
        rejected: [("checksum".to_owned(), 2), ("vrid".to_owned(), 3)].into(),
    };
    let active = VirtualRouter {
        name: "inside".to_owned(),
        state: "active".to_owned(),
        tracked: vec![Tracked {
            name: "interface eth0".to_owned(),
            state: "up".to_owned(),
            ..Tracked::default()
        }],
        notify_failures: 0,
        virtual_mac: None,
        active_router: None,
        active_priority: None,
        switchover: None,
        ..backup.clone()
    };
    let text = "\
NAME     INTERFACE  ID  STATE   PRIORITY  ACTIVE             SWITCHOVER  VIPS             CHANGES  REJECTED
outside  eth0       51  backup       100  203.0.113.2 (150)  standby     203.0.113.10/24        1         5
inside   eth0       51  active       100  this machine       -           203.0.113.10/24        1         5
outside: virtual MAC address 00:00:5e:00:01:33, interface lb4-51-eth0
outside: service web (2 healthy) is down (1 of 3 backends are healthy): priority -50 (of 150)
outside: file /run/lb/weight says -1: priority -1 (of 150)
outside: interface eth1 is down (it is down), and was up too short: fault
outside: script uplink is unknown: fault
outside: notify failed 2 times
";
    assert_eq!(virtual_routers(&[backup, active], PLAIN), text);
    assert_eq!(virtual_routers(&[], PLAIN), "no virtual routers\n");
}

#[test]
fn a_backend_is_shown_with_its_latencies() {
    let latency = Latency {
        count: 100,
        mean_microseconds: 110,
        p50_microseconds: 95,
        p90_microseconds: 1250,
        p99_microseconds: 3_000_000,
    };
    let mut shown = example_backend("web-1", "10.0.0.11", 8080, "active", "up");
    assert!(backend("web", &shown, PLAIN).ends_with("no handshake was timed yet\n"));
    shown.latency = Some(Latencies { handshake: Some(latency), rtt: None });
    let text = backend("web", &shown, PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[3..],
        [
            "LATENCY         COUNT  P50    P90      P99    MEAN",
            "SYN to SYN-ACK  100    95 us  1.25 ms  3.0 s  110 us",
        ],
        "{text}"
    );
}
