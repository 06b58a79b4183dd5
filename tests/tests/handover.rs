//! What is under way when the VIPs move from one machine to another: questions went by one, their answers come to the other.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use lb_tests::{
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    require_privileged,
    topology::{
        Family, Host, addresses,
        pair::{Pair, inside_addresses},
    },
};
use serde_json::Value;

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where both modes are served, at the VIP and at the backend.
const PORTS: [(Mode, u16); 2] = [(Mode::Nat, 7001), (Mode::FullNat, 7002)];

/// Two machines, and the only server of both modes in both families, which answers when it is told to.
struct Site {
    nodes: [Daemon; 2],
    servers: Vec<UdpSocket>,
    pair: Pair,
}

/// A question that the server has and has not answered: who asks, and whom the server would answer by which socket.
struct Question {
    what: String,
    client: UdpSocket,
    from: SocketAddr,
    server: usize,
}

impl Site {
    fn start() -> Self {
        let pair = Pair::build(1).unwrap();
        let open = |(_, port): (Mode, u16)| {
            let socket = pair.servers[0].netns.run(|| UdpSocket::bind(("::", port)).unwrap());
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        let servers = PORTS.map(open).into();
        let nodes = [150, 100].map(|priority| config(priority, &pair.servers));
        let nodes = [0, 1].map(|number| Daemon::start(&pair.nodes[number], &nodes[number]).unwrap());
        for netns in &pair.nodes {
            // As a router would be, it is known before anything is sent to it.
            netns.wait_reachable(addresses::CLIENT_V4.into()).unwrap();
            netns.wait_reachable(addresses::CLIENT_V6.into()).unwrap();
        }
        let site = Self { nodes, servers, pair };
        site.wait_active(0);
        site
    }

    /// Waits until a node has the VIPs, and the other one, if it lives, has not.
    fn wait_active(&self, node: usize) {
        let is = |number: usize, wanted: bool| {
            let is_active = |router: &Value| router["state"] == "active";
            match self.nodes[number].lbctl("vrrp status") {
                Ok(routers) => routers.as_array().unwrap().iter().all(|router| is_active(router) == wanted),
                Err(_) => !wanted,
            }
        };
        clock::wait_until(&format!("node {node} to be active alone"), PATIENCE, || {
            is(node, true) && is(1 - node, false)
        })
        .unwrap_or_else(|error| {
            panic!("{error:#}\nnode 0:\n{}\nnode 1:\n{}", self.nodes[0].log(), self.nodes[1].log())
        });
    }

    /// Asks in both modes and families, each time from another port.
    fn ask(&self) -> Vec<Question> {
        let all = Family::ALL.into_iter().flat_map(|family| [0, 1].map(|server| (family, server)));
        all.map(|(family, server)| self.ask_server(family, server)).collect()
    }

    fn ask_server(&self, family: Family, server: usize) -> Question {
        let (mode, port) = PORTS[server];
        let own = match family {
            Family::V4 => IpAddr::from(addresses::CLIENT_V4),
            Family::V6 => addresses::CLIENT_V6.into(),
        };
        let client = self.pair.client.run(|| UdpSocket::bind((own, 0)).unwrap());
        client.connect((addresses::vip(family, 0), port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        client.send(b"question").unwrap();
        let (_, from) = self.servers[server].recv_from(&mut [0; 16]).unwrap();
        Question { what: format!("{} {}", family.name(), mode.name()), client, from, server }
    }

    /// The server answers, and each client gets its answer.
    fn answer(&self, questions: &[Question], after: &str) {
        for (number, Question { what, client, from, server }) in questions.iter().enumerate() {
            let answer = [number as u8; 4];
            self.servers[*server].send_to(&answer, from).unwrap();
            let mut received = [0; 16];
            let length = client.recv(&mut received).unwrap_or_else(|error| {
                panic!(
                    "{what}, {after}: {error}\nnode 0:\n{}\nnode 1:\n{}",
                    self.nodes[0].log(),
                    self.nodes[1].log()
                )
            });
            assert_eq!(received[..length], answer, "{what}, {after}");
        }
    }
}

fn config(priority: u8, servers: &[Host]) -> Config {
    let services = Family::ALL.into_iter().flat_map(|family| {
        PORTS.map(|(mode, port)| {
            let name = format!("{}-{}", mode.name(), family.name().to_lowercase());
            let vip = SocketAddr::new(addresses::vip(family, 0), port);
            Service::new(&name, Protocol::Udp, vip).mode(mode).backends(servers, port)
        })
    });
    let [vip4, vip6] = Family::ALL.map(|family| addresses::vip(family, 0));
    let inside4: Vec<String> = inside_addresses().iter().map(|address| format!("{address}/24")).collect();
    let snat6 = addresses::snat_addresses(Family::V6);
    let gateway6 = IpAddr::from(addresses::BALANCER_SERVER_V6);
    let inside6 = [gateway6].into_iter().chain(snat6).map(|address| format!("{address}/64"));
    let inside6: Vec<String> = ["fe80::1:54/64".to_owned()].into_iter().chain(inside6).collect();
    let router = |name: &str, interface: &str, id: u8, addresses: &[String]| {
        format!(
            "[[vrrp]]\nname = \"{name}\"\ninterface = \"{interface}\"\nvirtual_router_id = {id}\npriority = {priority}\n\
             advert_interval = \"100ms\"\nvirtual_addresses = {addresses:?}\nsync_group = \"all\"\n"
        )
    };
    let tables = [
        // Clients keep their ports: no flow of one machine has the port of another one's.
        "[snat]\nports = \"1024-65535\"\n".to_owned(),
        router("outside", "eth0", 51, &[format!("{vip4}/32")]),
        router("inside", "eth1", 52, &inside4),
        router("outside6", "eth0", 53, &["fe80::1:53/64".to_owned(), format!("{vip6}/128")]),
        router("inside6", "eth1", 54, &inside6),
    ];
    Config::new(&["eth0", "eth1"], services).tables(&tables.concat())
}

#[test]
fn answers_that_are_under_way_when_the_addresses_move_reach_their_clients() {
    require_privileged!();
    let mut site = Site::start();
    let questions = site.ask();
    site.nodes[0].lbctl("vrrp failover --all --wait").unwrap();
    site.wait_active(1);
    site.answer(&questions, "a planned switchover");

    let questions = site.ask();
    site.nodes[0].lbctl("vrrp release --all --wait").unwrap();
    site.wait_active(0);
    site.answer(&questions, "its end");

    let questions = site.ask();
    site.nodes[0].terminate().unwrap();
    site.wait_active(1);
    site.answer(&questions, "a clean stop");

    let questions = site.ask();
    site.nodes[0].start_again().unwrap();
    site.wait_active(0);
    site.answer(&questions, "the return");

    // Nobody says that it stops, but the data path goes on.
    let questions = site.ask();
    site.nodes[0].kill().unwrap();
    site.wait_active(1);
    site.answer(&questions, "the daemon's death");
}
