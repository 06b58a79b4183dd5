//! VIPs at the MAC addresses of their virtual routers (RFC 9568 section 7.3): neighbours need not learn anything when they move.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{fs, net::IpAddr, time::Duration};

use lb_tests::{
    client::{Long, LongConnections},
    clock,
    config::{Config, Mode},
    daemon::Daemon,
    duo::{Duo, Setup},
    netns::Netns,
    require_privileged,
    servers::ECHO_PORT,
    site::target,
    topology::{Family, Plan, Topology, addresses},
};

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// That of the virtual router on the clients' side.
const MAC: &str = "00:00:5e:00:01:33";
/// Long connections.
const CONNECTIONS: usize = 100;

/// The MAC address that a host knows of an address.
fn known(host: &Netns, address: &str) -> String {
    let line = host.ip(&format!("neigh show to {address}")).unwrap();
    line.split("lladdr ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned()
}

fn mac(host: &Netns, interface: &str) -> String {
    let link = host.ip(&format!("-o link show dev {interface}")).unwrap();
    link.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

/// The interfaces of virtual MAC addresses: index and name.
fn devices(node: &Netns) -> Vec<String> {
    let links = node.ip("-o link show type macvlan").unwrap();
    links.lines().map(|line| line.split('@').next().unwrap().to_owned()).collect()
}

/// The switch port that frames to the virtual MAC address are sent out of.
fn port(duo: &Duo) -> String {
    let table = duo.pair.switch.sh("bridge fdb show br outside").unwrap();
    let line = table.lines().find(|line| line.starts_with(MAC)).unwrap_or_else(|| panic!("{table}"));
    line.split(' ').nth(2).unwrap().to_owned()
}

/// Everybody knows the VIP at its virtual MAC address, and the switch where that is.
fn is_at(duo: &Duo, node: usize, what: &str) {
    let vip = addresses::vip(Family::V4, 0).to_string();
    assert_eq!(known(&duo.pair.client, &vip), MAC, "{what}");
    if duo.setup.mode == Mode::Nat {
        let gateway = addresses::BALANCER_SERVER_V4.to_string();
        assert_eq!(known(&duo.pair.servers[0].netns, &gateway), "00:00:5e:00:01:34", "{what}");
    }
    assert_eq!(port(duo), format!("node{node}-outside"), "{what}");
}

#[test]
fn connections_and_what_neighbours_know_survive_failover_and_failback() {
    require_privileged!();
    for mode in [Mode::Nat, Mode::FullNat] {
        let setup = Setup { mode, replicated: mode == Mode::FullNat, ..Setup::VIRTUAL };
        let mut duo = Duo::start(setup).unwrap();
        let long = Long {
            target: target(Family::V4, ECHO_PORT),
            sources: vec![addresses::CLIENT_V4.into()],
            count: CONNECTIONS,
            pause: Duration::from_millis(50),
        };
        let connections = LongConnections::open(&duo.pair.client, &long).unwrap();
        is_at(&duo, 0, "at first");

        let seen = duo
            .seen(|duo| {
                duo.daemons[0].lbctl("vrrp failover --all --wait")?;
                duo.settled(1)?;
                is_at(duo, 1, "after a planned switchover");
                duo.daemons[0].lbctl("vrrp release --all --wait")?;
                duo.settled(0)
            })
            .unwrap();
        assert_eq!(seen.map(|seen| seen.lost), [0, 0], "{mode:?}: {}", duo.logs());
        is_at(&duo, 0, "after it was released");

        duo.power_off(0).unwrap();
        duo.settled_alone(1).unwrap();
        is_at(&duo, 1, "after a node lost its power");
        duo.power_on(0).unwrap();
        duo.settled(0).unwrap();
        is_at(&duo, 0, "after it came back");
        let before = connections.report().exchanged;
        clock::wait_until("messages to be exchanged", PATIENCE, || {
            connections.report().exchanged > before + 2 * CONNECTIONS as u64
        })
        .unwrap();
        let report = connections.close();
        assert_eq!((report.connected, report.broken), (CONNECTIONS, vec![]), "{mode:?}: {}", duo.logs());
    }
}

#[test]
fn a_daemon_that_was_killed_takes_its_interfaces_over_and_one_that_ends_leaves_none() {
    require_privileged!();
    let mut duo = Duo::start(Setup::VIRTUAL).unwrap();
    let before = devices(&duo.pair.nodes[0]);
    assert_eq!(before.len(), 2, "{before:?}");
    let seen = duo
        .seen(|duo| {
            duo.daemons[0].kill()?;
            duo.daemons[0].launch(&[])?;
            duo.settled(0)
        })
        .unwrap();
    assert_eq!(devices(&duo.pair.nodes[0]), before, "never a second one");
    assert_eq!(seen.map(|seen| seen.lost), [0, 0], "{}", duo.logs());
    is_at(&duo, 0, "after the restart");

    // Somebody removes it: it is made again, and the VIP is there.
    duo.pair.nodes[0].ip("link del lb4-51-eth0").unwrap();
    clock::wait_until("the interface to be there again", PATIENCE, || {
        devices(&duo.pair.nodes[0]).iter().any(|device| device.ends_with("lb4-51-eth0"))
            && duo.holders().unwrap()[0].contains(&0)
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", duo.logs()));
    duo.settled(0).unwrap();

    duo.stop(0).unwrap();
    duo.settled_alone(1).unwrap();
    assert_eq!(devices(&duo.pair.nodes[0]), Vec::<String>::new());
    is_at(&duo, 1, "after the end of the daemon");

    // What a daemon leaves that was killed is removed by one that does not want it.
    duo.launch(0).unwrap();
    duo.settled(0).unwrap();
    duo.kill(0).unwrap();
    let file = duo.daemons[0].config_file();
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("virtual_mac = true\n", "")).unwrap();
    duo.setup.lines = "";
    duo.launch(0).unwrap();
    clock::wait_until("the interfaces to be gone", PATIENCE, || devices(&duo.pair.nodes[0]).is_empty())
        .unwrap_or_else(|error| panic!("{error:#}: {}", duo.logs()));
    duo.daemons[1].terminate().unwrap();
    duo.settled_alone(0).unwrap();
}

#[test]
fn a_reload_gives_and_takes_a_virtual_mac_address_without_a_loss() {
    require_privileged!();
    let mut duo = Duo::start(Setup::NAT).unwrap();
    let vip = addresses::vip(Family::V4, 0).to_string();
    let own = mac(&duo.pair.nodes[0], "eth0");
    duo.pair.client.wait_reachable(vip.parse().unwrap()).unwrap();
    assert_eq!(known(&duo.pair.client, &vip), own);
    let file = duo.daemons[0].config_file();
    let text = fs::read_to_string(&file).unwrap();
    let with = text.replace("sync_group = \"all\"\n", "sync_group = \"all\"\nvirtual_mac = true\n");
    let seen = duo
        .seen(|duo| {
            fs::write(&file, &with)?;
            duo.daemons[0].lbctl("config reload")?;
            duo.setup = Setup { lines: Setup::VIRTUAL.lines, ..duo.setup };
            duo.settled(0)?;
            clock::wait_until("the client to know it", PATIENCE, || known(&duo.pair.client, &vip) == MAC)?;
            let status = duo.daemons[0].lbctl_text("vrrp status")?;
            let line = format!("eth0: virtual MAC address {MAC}, interface lb4-51-eth0\n");
            assert!(status.contains(&line), "{status}");
            let addresses = duo.pair.nodes[0].ip("-o -4 addr show dev eth0")?;
            assert!(!addresses.contains(&vip), "{addresses}");

            fs::write(&file, &text)?;
            duo.daemons[0].lbctl("config reload")?;
            duo.setup = Setup { lines: Setup::NAT.lines, ..duo.setup };
            duo.settled(0)?;
            clock::wait_until("the client to know it", PATIENCE, || known(&duo.pair.client, &vip) == own)
        })
        .unwrap();
    assert_eq!(seen.map(|seen| seen.lost), [0, 0], "{}", duo.logs());
    assert_eq!(devices(&duo.pair.nodes[0]), Vec::<String>::new());
}

/// What users of such interfaces meet elsewhere: answers by ARP with the wrong MAC address, and packets that are refused on their way in.
#[test]
fn each_address_is_answered_for_at_its_own_mac_address_whatever_the_host_is_set_to() {
    require_privileged!();
    let site = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let balancer = &site.balancer;
    for (key, value) in [("all/rp_filter", "1"), ("eth0/rp_filter", "1"), ("all/arp_ignore", "0")] {
        balancer.sysctl(&format!("net/ipv4/conf/{key}"), value).unwrap();
    }
    let vips: Vec<IpAddr> = ["198.51.100.77", "198.51.100.78"].map(|vip| vip.parse().unwrap()).into();
    let own = addresses::BALANCER_CLIENT_V4.to_string();
    let tables = format!(
        "[[vrrp]]\nname = \"four\"\ninterface = \"eth0\"\nvirtual_router_id = 51\nadvert_interval = \"100ms\"\nvirtual_mac = true\n\
         virtual_addresses = [\"{}/24\", \"{}/24\"]\n\
         [[vrrp]]\nname = \"six\"\ninterface = \"eth0\"\nvirtual_router_id = 51\nadvert_interval = \"100ms\"\nvirtual_mac = true\n\
         virtual_addresses = [\"fe80::51/64\", \"2001:db8:c::77/64\"]\n",
        vips[0], vips[1]
    );
    let daemon = Daemon::start(balancer, &Config::new(&["eth0", "eth1"], []).tables(&tables)).unwrap();
    clock::wait_until("both to be active", PATIENCE, || {
        let routers = daemon.lbctl("vrrp status").unwrap();
        routers.as_array().unwrap().iter().all(|router| router["state"] == "active")
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", daemon.log()));
    let client = &site.client;
    let physical = mac(balancer, "eth0");
    let v6 = "2001:db8:c::77";
    let expected = [
        (own.as_str(), physical.as_str()),
        ("198.51.100.77", MAC),
        ("198.51.100.78", MAC),
        (v6, "00:00:5e:00:02:33"),
    ];
    for round in 0..5 {
        client.ip("neigh flush dev eth0").unwrap();
        for (address, mac) in expected {
            client.wait_reachable(address.parse().unwrap()).unwrap();
            assert_eq!(known(client, address), mac, "{address}, round {round}: {}", daemon.log());
        }
    }
    // RFC 9568 section 7.4: no address is made of the MAC address.
    for device in ["lb4-51-eth0", "lb6-51-eth0"] {
        let addresses = balancer.ip(&format!("-o addr show dev {device}")).unwrap();
        assert!(!addresses.contains("5eff:fe00") && addresses.contains("77"), "{addresses}");
    }
    let routes = balancer.ip("route show").unwrap();
    assert!(!routes.contains("lb4-"), "the interface brings no routes: {routes}");
}
