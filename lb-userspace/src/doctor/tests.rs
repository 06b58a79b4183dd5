//! Facts, and the finding that each must give.

use std::net::IpAddr;
use std::path::Path;
use std::{env, fs};

use super::*;
use crate::config::Document;
use crate::loader::AttachMode;
use crate::model::Config;
use Severity::{Error, Note, Ok, Warning};

const CONFIG: &str = r#"
interfaces = ["eth0", "eth1"]
snat.ports = "10000-40000"
[[services]]
name = "web"
address = "203.0.113.10"
protocol = "tcp"
port = 80
health = {}
backends = [{ name = "a", address = "10.0.0.11" }, { name = "b", address = "10.0.0.12" }]
[[services]]
name = "full"
address = "2001:db8::10"
protocol = "tcp"
port = 80
[[services]]
name = "snat"
address = "203.0.113.11"
protocol = "tcp"
port = 80
mode = "full-nat"
snat_addresses = ["10.0.0.2"]
backends = [{ name = "a", address = "10.0.0.11" }]
"#;

fn config() -> Config {
    Document::new("lb.toml", CONFIG).config().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn local(interface: &str, text: &str, prefix: u8) -> LocalAddress {
    LocalAddress { interface: interface.to_owned(), address: address(text), prefix }
}

fn via(interface: &str, hop: &str, neighbour: Neighbour) -> Route {
    Route::Via { interface: interface.to_owned(), hop: address(hop), neighbour }
}

fn destination(name: &str, text: &str, route: Route) -> Destination {
    Destination { address: address(text), name: name.to_owned(), route }
}

fn host() -> Host {
    Host {
        kernel: "6.1.0-13-amd64".to_owned(),
        jit: Some(1),
        btf: true,
        clock: Some(("tsc".to_owned(), vec!["tsc".to_owned(), "hpet".to_owned()])),
        unit_lacks: Some(Vec::new()),
        forwarding_v4: Some(1),
        forwarding_v6: Some(1),
        loopback_forwarding_v4: Some(1),
        loopback_forwarding_v6: Some(1),
        neighbour_limits: [Some(1024), Some(1024)],
        local_ports: Some((50000, 60999)),
        packet_filters: Some(Vec::new()),
        ..Host::default()
    }
}

/// A machine where all is well.
fn healthy() -> Facts {
    let link = |ifindex| Link {
        ifindex,
        up: true,
        carrier: true,
        mtu: 1500,
        driver: "veth".to_owned(),
        program: Some(XdpProgram {
            id: 7,
            name: None,
            mode: Some(AttachMode::Native),
            link: Some(3),
            ours: true,
        }),
        xdp: Some(XdpFeatures(0x67)),
        offloads: Some(Offloads::default()),
        rp_filter: Some(0),
        peer: Some(Peer {
            name: Some("far0".to_owned()),
            prefix: "ip netns exec far ".to_owned(),
            offloads: Some(Offloads { gro: true, ..Offloads::default() }),
        }),
        ..Link::default()
    };
    Facts {
        config_file: "/etc/lb/lb.toml".into(),
        config: Some(Result::Ok(config())),
        host: host(),
        netlink: Some(Result::Ok(())),
        interfaces: vec![
            Interface { name: "eth0".to_owned(), link: Some(link(2)) },
            Interface { name: "eth1".to_owned(), link: Some(link(3)) },
        ],
        backends: vec![
            destination("web/a", "10.0.0.11", via("eth1", "10.0.0.11", Neighbour::Known)),
            destination("web/b", "10.0.0.12", via("eth1", "10.0.0.12", Neighbour::Known)),
        ],
        addresses: vec![
            local("eth0", "203.0.113.2", 24),
            local("eth0", "203.0.113.10", 32),
            local("eth0", "203.0.113.11", 32),
            local("eth1", "10.0.0.2", 24),
        ],
        daemon: Daemon {
            answer: Some(Result::Ok(Answer { version: "1".to_owned(), ..Answer::default() })),
            missing_capabilities: Some(Vec::new()),
            open_files: Some(1024),
        },
        pins: Pins {
            directory: "/sys/fs/bpf/lb".into(),
            mount: Some(Mount { point: "/sys/fs/bpf".into(), bpf: true, read_only: false }),
            versions: Some(vec![2]),
            own_version: 2,
        },
    }
}

#[test]
fn a_healthy_machine_has_nothing_but_ok_and_every_check() {
    let findings = diagnose(&healthy());
    let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.severity != Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(findings.iter().all(|finding| finding.fix.is_empty() && finding.breaks.is_empty()));
    let seen = |id| findings.iter().any(|finding| finding.id == id);
    // These say something only where something is wrong, or about other drivers.
    let silent = ["backend-route", "backend-interface", "xdp-redirect"];
    for check in CHECKS {
        assert_eq!(seen(check.id), !silent.contains(&check.id), "{}", check.id);
    }
}

/// What is wrong, the check that must say so, how bad it is, about what, and the command.
type Case = (&'static str, Severity, &'static str, &'static str, fn(&mut Facts));

fn link(facts: &mut Facts) -> &mut Link {
    facts.interfaces[0].link.as_mut().unwrap()
}

fn peer(facts: &mut Facts) -> &mut Peer {
    link(facts).peer.as_mut().unwrap()
}

fn run(facts: &mut Facts) -> &mut Answer {
    facts.daemon.answer.as_mut().unwrap().as_mut().unwrap()
}

const HOST: &[Case] = &[
    ("config", Error, "/etc/lb/lb.toml", "lbctl config check /etc/lb/lb.toml", |f| {
        f.config = Some(Err("line 3: no".to_owned()));
    }),
    ("kernel", Error, "", "apt install linux-image-amd64", |f| {
        f.host.kernel = "5.15.0-91-generic".to_owned();
    }),
    ("kernel", Note, "", "", |f| f.host.kernel = String::new()),
    ("bpf-jit", Warning, "", "sysctl -w net.core.bpf_jit_enable=1", |f| f.host.jit = Some(0)),
    ("bpf-jit", Note, "", "", |f| f.host.jit = None),
    ("btf", Note, "", "", |f| f.host.btf = false),
    ("clock", Note, "", "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource", |f| {
        f.host.clock = Some(("hpet".to_owned(), vec!["tsc".to_owned(), "hpet".to_owned()]));
    }),
    ("capabilities", Note, "lbctl", "sudo lbctl doctor", |f| {
        f.host.missing_capabilities = vec!["CAP_BPF".to_owned()];
    }),
    ("loopback-forwarding", Error, "", "sysctl -w net.ipv4.conf.lo.forwarding=1", |f| {
        f.host.loopback_forwarding_v4 = Some(0);
    }),
    ("loopback-forwarding", Error, "", "sysctl -w net.ipv6.conf.lo.forwarding=1", |f| {
        f.host.loopback_forwarding_v6 = Some(0);
    }),
    ("ip-forward", Note, "", "sysctl -w net.ipv4.ip_forward=1", |f| f.host.forwarding_v4 = Some(0)),
    ("ip-forward", Note, "", "sysctl -w net.ipv6.conf.all.forwarding=1", |f| f.host.forwarding_v6 = Some(0)),
    (
        "neighbour-table",
        Warning,
        "",
        "sysctl -w net.ipv4.neigh.default.gc_thresh1=2048 net.ipv4.neigh.default.gc_thresh2=4096 net.ipv4.neigh.default.gc_thresh3=8192",
        |f| f.host.neighbour_limits[0] = Some(2),
    ),
    ("packet-filter", Note, "", "", |f| f.host.packet_filters = Some(vec!["inet filter".to_owned()])),
    ("port-range", Warning, "10.0.0.2", "sysctl -w net.ipv4.ip_local_port_range=\"40002 60999\"", |f| {
        f.host.local_ports = Some((32768, 60999));
    }),
];

const DAEMON: &[Case] = &[
    ("bpffs", Error, "/sys/fs/bpf/lb", "mount -t bpf bpf /sys/fs/bpf", |f| {
        f.pins.mount = Some(Mount { point: "/sys".into(), bpf: false, read_only: false });
    }),
    ("bpffs", Error, "/sys/fs/bpf/lb", "mount -o remount,rw /sys/fs/bpf", |f| {
        f.pins.mount = Some(Mount { point: "/sys/fs/bpf".into(), bpf: true, read_only: true });
    }),
    ("bpffs", Error, "/run/pins/lb", "mkdir -p /run/pins && mount -t bpf bpf /run/pins", |f| {
        f.pins.directory = "/run/pins/lb".into();
        f.pins.mount = Some(Mount { point: "/run".into(), bpf: false, read_only: false });
    }),
    ("xdp-program", Error, "eth0", "mount -t bpf bpf /sys/fs/bpf", |f| {
        f.pins.mount = Some(Mount { point: "/sys".into(), bpf: false, read_only: false });
        let program = link(f).program.as_mut().unwrap();
        (program.ours, program.name) = (false, Some("lb".into()));
    }),
    ("bpffs", Note, "/sys/fs/bpf/lb", "", |f| f.pins.mount = None),
    ("pins", Note, "/sys/fs/bpf/lb/v1", "rm -r /sys/fs/bpf/lb/v1", |f| f.pins.versions = Some(vec![1, 2])),
    ("pins", Warning, "/sys/fs/bpf/lb/v3", "lbctl --version && lbd --version", |f| {
        f.pins.versions = Some(vec![3]);
    }),
    ("daemon", Error, "lbd", "systemctl start lbd", |f| {
        f.daemon.answer = Some(Err("no such socket".to_owned()));
    }),
    ("daemon", Warning, "lbd", "systemctl start lbd", |f| {
        f.pins.versions = Some(Vec::new());
        f.daemon.answer = Some(Err("no such socket".to_owned()));
    }),
    ("daemon", Error, "lbd", "journalctl -u lbd -n 50", |f| run(f).problem = Some("full".to_owned())),
    ("daemon", Warning, "lbd", "systemctl restart lbd", |f| {
        run(f).restart_needed = vec!["limits".to_owned()];
    }),
    ("daemon", Note, "lbd", "lbctl config reload", |f| run(f).unsaved_changes = true),
    (
        "capabilities",
        Error,
        "lbd",
        "mkdir -p /etc/systemd/system/lbd.service.d && printf '[Service]\\nCapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_NET_RAW \
         CAP_PERFMON\\nAmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON\\n' > \
         /etc/systemd/system/lbd.service.d/capabilities.conf && systemctl daemon-reload && systemctl restart lbd",
        |f| f.daemon.missing_capabilities = Some(vec!["CAP_NET_RAW".to_owned()]),
    ),
    (
        "open-files",
        Warning,
        "lbd",
        "mkdir -p /etc/systemd/system/lbd.service.d && printf '[Service]\\nLimitNOFILE=512\\n' > \
         /etc/systemd/system/lbd.service.d/files.conf && systemctl daemon-reload && systemctl restart lbd",
        |f| f.daemon.open_files = Some(64),
    ),
];

const INTERFACES: &[Case] = &[
    ("netlink", Warning, "", "", |f| {
        f.netlink = Some(Err("no buffer space".to_owned()));
        (f.interfaces, f.addresses, f.backends) = Default::default();
    }),
    ("interface", Error, "eth0", "ip -br link", |f| f.interfaces[0].link = None),
    ("interface", Error, "eth0", "ip link set dev eth0 up", |f| link(f).up = false),
    ("interface", Error, "eth0", "ethtool eth0", |f| link(f).carrier = false),
    ("interface-kind", Warning, "eth0", "ip link set dev eth0 nomaster", |f| {
        link(f).master = Some("br0".to_owned());
    }),
    ("interface-kind", Warning, "eth0", "ip -d link show dev eth0", |f| link(f).driver = "vlan".to_owned()),
    ("xdp-program", Error, "eth0", "bpftool link detach id 3", |f| {
        link(f).program.as_mut().unwrap().ours = false;
    }),
    ("xdp-program", Error, "eth0", "ip link set dev eth0 xdp off", |f| {
        link(f).program =
            Some(XdpProgram { id: 9, name: None, mode: Some(AttachMode::Native), link: None, ours: false });
    }),
    ("xdp-program", Error, "eth0", "ip link set dev eth0 xdpgeneric off", |f| {
        link(f).program =
            Some(XdpProgram { id: 9, name: None, mode: Some(AttachMode::Generic), link: None, ours: false });
    }),
    ("xdp-program", Error, "eth0", "systemctl restart lbd", |f| link(f).program = None),
    ("xdp-mode", Warning, "eth0", "journalctl -u lbd | grep 'native mode was refused'", |f| {
        link(f).program.as_mut().unwrap().mode = Some(AttachMode::Generic);
    }),
    ("xdp-mode", Warning, "eth0", "", |f| {
        f.daemon.answer = None;
        link(f).program = None;
        link(f).xdp = Some(XdpFeatures(0));
    }),
    ("xdp-mode", Note, "eth0", "", |f| {
        f.daemon.answer = None;
        link(f).program = None;
        link(f).xdp = None;
    }),
    ("xdp-redirect", Error, "eth0", "ethtool -l eth0", |f| {
        link(f).driver = "virtio_net".to_owned();
        link(f).peer = None;
        link(f).xdp = Some(XdpFeatures(3));
    }),
    ("xdp-redirect", Note, "eth0", "", |f| {
        link(f).driver = "virtio_net".to_owned();
        link(f).peer = None;
        f.daemon.answer = None;
        link(f).program = None;
        link(f).xdp = Some(XdpFeatures(3));
    }),
    ("mtu", Warning, "eth0", "ip link set dev eth0 mtu 1500", |f| link(f).mtu = 9000),
    ("mtu", Error, "eth0", "ip link set dev eth0 mtu 3498", |f| {
        link(f).mtu = 9000;
        link(f).xdp = Some(XdpFeatures(7));
    }),
    ("mtu", Error, "eth0", "ip link set dev eth0 mtu 3498", |f| {
        link(f).mtu = 9000;
        link(f).xdp = Some(XdpFeatures(0x27));
    }),
    ("lro", Error, "eth0", "ethtool -K eth0 lro off", |f| link(f).offloads.as_mut().unwrap().lro = true),
    ("lro", Warning, "eth0", "ethtool -K eth0 rx-gro-hw off", |f| {
        link(f).offloads.as_mut().unwrap().gro_hw = true;
    }),
    ("vlan-offload", Note, "eth0", "ethtool -K eth0 rxvlan off", |f| {
        link(f).offloads.as_mut().unwrap().rx_vlan = true;
    }),
    ("vlan-offload", Warning, "eth0", "ethtool -K eth0 rxvlan off", |f| {
        link(f).vlans = vec!["eth0.5".to_owned()];
        link(f).offloads.as_mut().unwrap().rx_vlan = true;
    }),
    ("rp-filter", Warning, "eth0", "sysctl -w net.ipv4.conf.eth0.rp_filter=2", |f| {
        link(f).rp_filter = Some(1);
    }),
    ("rp-filter", Note, "eth0", "sysctl -w net.ipv4.conf.eth0.rp_filter=2", |f| {
        f.interfaces.truncate(1);
        f.backends.clear();
        link(f).rp_filter = Some(1);
    }),
    ("veth-checksum", Error, "eth0", "ip netns exec far ethtool -K far0 tx off tso off gso off", |f| {
        peer(f).offloads.as_mut().unwrap().tx_checksum = true;
    }),
    ("veth-checksum", Note, "eth0", "", |f| *peer(f) = Peer::default()),
    ("veth-receiver", Error, "eth0", "ip netns exec far ethtool -K far0 gro on", |f| {
        link(f).xdp = Some(XdpFeatures(0x23));
    }),
    ("veth-receiver", Error, "eth0", "ip netns exec far ethtool -K far0 gro on", |f| {
        link(f).xdp = None;
        peer(f).offloads.as_mut().unwrap().gro = false;
    }),
];

const WAYS: &[Case] = &[
    ("backend-route", Error, "web/a", "ip route add 10.0.0.11 dev eth1", |f| {
        f.backends[0].route = Route::Missing;
    }),
    ("backend-route", Error, "web/a", "ip route add 10.9.0.1 via 10.0.0.1 dev eth1", |f| {
        f.backends[0] = destination("web/a", "10.9.0.1", Route::Missing);
        f.backends[1].route = via("eth1", "10.0.0.1", Neighbour::Known);
    }),
    ("backend-route", Error, "web/a", "lbctl backend rm web a", |f| f.backends[0].route = Route::Local),
    ("backend-route", Error, "web/a", "ip route add 10.0.0.11 dev eth1", |f| {
        f.backends[0].route = via("eth1", "fe80::1", Neighbour::Known);
    }),
    ("backend-route", Note, "web/a", "", |f| f.backends[0].route = Route::Unknown),
    (
        "backend-interface",
        Error,
        "web/a",
        "sed -i 's/^interfaces *=.*/interfaces = [\"eth0\", \"eth1\", \"eth2\"]/' /etc/lb/lb.toml && lbctl config reload",
        |f| f.backends[0].route = via("eth2", "10.0.0.11", Neighbour::Known),
    ),
    ("backend-neighbour", Error, "web/a", "ip neigh replace 10.0.0.11 dev eth1 use nud none", |f| {
        f.backends[0].route = via("eth1", "10.0.0.11", Neighbour::Failed);
    }),
    ("backend-neighbour", Note, "web/a", "ip neigh replace 10.0.0.1 dev eth1 use nud none", |f| {
        f.backends[0].route = via("eth1", "10.0.0.1", Neighbour::Missing);
    }),
    ("vip", Warning, "203.0.113.10", "ip addr add 203.0.113.10/32 dev eth0", |f| drop(f.addresses.remove(1))),
    ("snat-address", Warning, "10.0.0.2", "ip addr add 10.0.0.2/32 dev eth1", |f| {
        f.addresses[3] = local("eth1", "10.0.0.3", 24);
    }),
];

#[test]
fn each_fact_gives_its_finding_and_no_other() {
    for (id, severity, subject, fix, change) in HOST.iter().chain(DAEMON).chain(INTERFACES).chain(WAYS) {
        let mut facts = healthy();
        change(&mut facts);
        let findings = diagnose(&facts);
        let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.severity != Ok).collect();
        let found = bad.iter().find(|f| (f.id, f.severity, f.subject.as_str()) == (*id, *severity, *subject));
        let Some(found) = found else { panic!("{id} {severity}: {bad:#?}") };
        assert_eq!(found.fix, *fix, "{id}");
        assert!(!found.breaks.is_empty());
        // What a missing configuration or interface hides is not there; beyond that, one thing is wrong.
        assert!(bad.iter().all(|other| other.severity <= *severity || other.id == *id), "{id}: {bad:#?}");
    }
}

#[test]
fn every_check_has_a_case() {
    for check in CHECKS {
        let cases = HOST.iter().chain(DAEMON).chain(INTERFACES).chain(WAYS);
        assert!(cases.clone().any(|case| case.0 == check.id), "{}", check.id);
    }
}

#[test]
fn the_documentation_lists_every_check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- checks -->\n", "<!-- end -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    let mut table = "\n| finding | looked at | what it breaks otherwise |\n|---|---|---|\n".to_owned();
    for check in CHECKS {
        table.push_str(&format!("| `{}` | {} | {} |\n", check.id, check.about, check.breaks));
    }
    let expected = format!("{head}{begin}{table}\n{end}{tail}");
    if env::var_os("LB_UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert_eq!(text, expected, "{}; LB_UPDATE_GOLDEN=1 writes it anew", path.display());
}
