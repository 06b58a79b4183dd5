//! Two machines that back each other up: connections survive when one takes over from the other, and when that one comes back.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use lb_tests::{
    client::{Long, LongConnections},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    http,
    netns::Netns,
    require_privileged,
    servers::{ECHO_PORT, EchoServer},
    temporary,
    topology::{
        Family, Host, addresses,
        pair::{Pair, inside_addresses, own_addresses},
    },
};
use serde_json::Value;
use tempfile::TempDir;

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Long connections of each service.
const CONNECTIONS: usize = 40;
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SERVICES: [(&str, Mode); 2] = [("direct", Mode::Nat), ("hidden", Mode::FullNat)];

struct Site {
    nodes: [Daemon; 2],
    _servers: Vec<EchoServer>,
    pair: Pair,
    key: TempDir,
}

impl Site {
    fn start() -> Self {
        let pair = Pair::build(3).unwrap();
        let key = temporary::directory("key").unwrap();
        let file = key.path().join("key");
        fs::write(&file, KEY).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let echo = pair.servers.iter().map(|host| EchoServer::start(host).unwrap()).collect();
        let start = |number: usize| {
            let config = config(number, &pair.servers, &file.display().to_string());
            Daemon::start(&pair.nodes[number], &config).unwrap()
        };
        let nodes = [start(0), start(1)];
        Self { nodes, _servers: echo, pair, key }
    }

    /// How many seconds the last takeover of a node took, by its metrics.
    fn takeover(&self, node: usize) -> f64 {
        let (_, page) = http::get(&self.pair.nodes[node], ([127, 0, 0, 1], 9464).into(), "/metrics").unwrap();
        let sample = page.lines().find(|line| line.starts_with("lb_vrrp_takeover_seconds{")).unwrap();
        sample.split(' ').next_back().unwrap().parse().unwrap()
    }

    /// Changes the key without a restart, in the three steps of the documentation.
    fn change_key(&self) {
        let (file, other) = (self.key.path().join("key"), KEY.replace('0', "f"));
        let [old, new] = [format!("0 {KEY}\n"), format!("1 {other}\n")];
        let steps = [old.clone() + &new, new.clone() + &old, new];
        for (keys, sessions) in steps.iter().zip([0, 2, 0]) {
            for node in [0, 1] {
                let before = self.sessions(1 - node);
                fs::write(&file, keys).unwrap();
                self.nodes[node].lbctl("config reload").unwrap();
                self.wait("the other one to hear of it", || self.sessions(1 - node) >= before + sessions / 2);
                self.wait_synced(0);
                self.wait_synced(1);
            }
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refusal = self.nodes[0].lbctl("config reload").unwrap_err().to_string();
        assert!(refusal.contains("replication.key_file") && refusal.contains("mode 0644"), "{refusal}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn sessions(&self, node: usize) -> u64 {
        self.replication(node).unwrap()["sessions"].as_u64().unwrap()
    }

    fn wait(&self, what: &str, is_so: impl FnMut() -> bool) {
        clock::wait_until(what, PATIENCE, is_so).unwrap_or_else(|error| {
            panic!("{error:#}\nnode 0:\n{}\nnode 1:\n{}", self.nodes[0].log(), self.nodes[1].log())
        });
    }

    fn wait_active(&self, node: usize) {
        let is_active = |router: &Value| router["state"] == "active";
        self.wait(&format!("node {node} to be active"), || {
            let routers = self.nodes[node].lbctl("vrrp status");
            routers.is_ok_and(|routers| routers.as_array().unwrap().iter().all(is_active))
        });
    }

    fn wait_synced(&self, node: usize) {
        self.wait(&format!("node {node} to have all flows"), || {
            self.replication(node).is_some_and(|status| status["state"] == "synced")
        });
    }

    fn replication(&self, node: usize) -> Option<Value> {
        self.nodes[node].lbctl("replication status").ok()
    }

    /// Waits until a node has that many flows.
    fn wait_flows(&self, node: usize, flows: usize) {
        self.wait(&format!("node {node} to have {flows} flows"), || {
            let count = self.nodes[node].lbctl("flow count");
            count.is_ok_and(|count| count["total"] == flows)
        });
    }

    fn open_connections(&self) -> Vec<LongConnections> {
        let open = |number: usize| {
            let long = Long {
                target: SocketAddr::new(vip(number), ECHO_PORT),
                sources: vec![addresses::CLIENT_V4.into()],
                count: CONNECTIONS,
                pause: Duration::from_millis(20),
            };
            LongConnections::open(&self.pair.client, &long).unwrap()
        };
        (0..SERVICES.len()).map(open).collect()
    }

    /// All connections go on, none is broken.
    fn assert_going_on(&self, connections: &[LongConnections], after: &str) {
        for ((service, _), connections) in SERVICES.iter().zip(connections) {
            connections.wait_more(10 * CONNECTIONS as u64).unwrap_or_else(|error| {
                panic!("{service} after {after}: {error:#}: {:?}", connections.report().broken)
            });
            let broken = connections.report().broken;
            assert!(broken.is_empty(), "{service} after {after}: {broken:?}");
        }
    }
}

fn vip(number: usize) -> IpAddr {
    addresses::vip(Family::V4, number as u8)
}

/// What moves with the VIPs.
fn floating(interface: &str) -> Vec<String> {
    match interface {
        "eth0" => [vip(0), vip(1)].map(|address| format!("{address}/32")).into(),
        _ => inside_addresses().iter().map(|address| format!("{address}/24")).collect(),
    }
}

fn config(node: usize, servers: &[Host], key: &str) -> Config {
    let priority = [150, 100][node];
    let services = SERVICES.iter().enumerate().map(|(number, (name, mode))| {
        let at = SocketAddr::new(vip(number), ECHO_PORT);
        Service::new(name, Protocol::Tcp, at).mode(*mode).backends(servers, ECHO_PORT)
    });
    let router = |name: &str, interface: &str, id: u8, addresses: &[String]| {
        format!(
            "[[vrrp]]\nname = \"{name}\"\ninterface = \"{interface}\"\nvirtual_router_id = {id}\npriority = {priority}\n\
             advert_interval = \"100ms\"\nvirtual_addresses = {addresses:?}\nsync_group = \"all\"\n"
        )
    };
    let tables = [
        "[timeouts]\ntcp_closing = \"1s\"\ntcp_closed = \"1s\"\ntcp_half_closed = \"1s\"\n".to_owned(),
        router("outside", "eth0", 51, &floating("eth0")),
        router("inside", "eth1", 52, &floating("eth1")),
        format!(
            "[replication]\nlocal_address = \"{}\"\npeer_address = \"{}\"\nkey_file = \"{key}\"\n",
            own_addresses(node, 1).0,
            own_addresses(1 - node, 1).0,
        ),
    ];
    let mut config = Config::new(&["eth0", "eth1"], services);
    config.tables = tables.concat();
    config
}

#[test]
fn connections_survive_failover_and_failback() {
    require_privileged!();
    let mut site = Site::start();
    site.wait_active(0);
    site.wait_synced(0);
    site.wait_synced(1);
    let connections = site.open_connections();
    let all = SERVICES.len() * CONNECTIONS;
    site.wait_flows(1, all);

    // Its cables are cut, and put in again.
    site.pair.plug(0, false).unwrap();
    site.wait_active(1);
    assert!(site.takeover(1) > 0.0);
    site.assert_going_on(&connections, "the first failover");
    site.pair.plug(0, true).unwrap();
    site.wait_active(0);
    site.assert_going_on(&connections, "the first failback");

    // It loses its power, and comes back with empty tables.
    site.pair.plug(0, false).unwrap();
    site.nodes[0].kill().unwrap();
    site.wait_active(1);
    site.assert_going_on(&connections, "the second failover");
    for interface in ["eth0", "eth1"] {
        for address in floating(interface) {
            site.pair.nodes[0].ip(&format!("addr del {address} dev {interface}")).unwrap();
        }
    }
    site.nodes[0].detach().unwrap();
    site.pair.plug(0, true).unwrap();
    site.nodes[0].start_again().unwrap();
    site.wait_active(0);
    assert_eq!(site.replication(0).unwrap()["state"], "synced", "it took over with all flows");
    site.assert_going_on(&connections, "the second failback");
    site.change_key();
    site.assert_going_on(&connections, "a change of the key");

    for connections in connections {
        let report = connections.close();
        assert!(report.broken.is_empty(), "{:?}", report.broken);
    }
    // Both forget what has ended.
    site.wait_flows(0, 0);
    site.wait_flows(1, 0);
    for node in [0, 1] {
        let status = site.replication(node).unwrap();
        // Until a daemon that was started again is known, the other one goes on with the session before.
        let is_unexpected = |reason: &&String| !["session", "addressee"].contains(&reason.as_str());
        let rejected = status["rejected"].as_object().unwrap();
        let unexpected: Vec<&String> = rejected.keys().filter(is_unexpected).collect();
        assert!(unexpected.is_empty(), "node {node} rejected packets: {unexpected:?}");
        assert_eq!(status["flows_unknown_service"], 0);
        assert_eq!(status["flows_unknown_backend"], 0);
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    require_privileged!();
    let netns = Netns::create("alone").unwrap();
    netns.ip("link add eth0 type veth peer name peer0").unwrap();
    netns.ip("link set eth0 up").unwrap();
    let directory = temporary::directory("key").unwrap();
    let file = directory.path().join("key");
    fs::write(&file, KEY).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let lines = format!(
        "[replication]\nlocal_address = \"10.1.0.2\"\npeer_address = \"10.1.0.3\"\nkey_file = \"{}\"\n",
        file.display()
    );
    let mut daemon = Daemon::prepare(&netns, &Config::new(&["eth0"], []).tables(&lines)).unwrap();
    let said = daemon.refusal().unwrap();
    assert!(said.contains("mode 0644") && said.contains("chmod 600"), "{said}");
}
