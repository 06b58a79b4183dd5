//! Virtual routers of `lbd` and of keepalived on one network: versions 2 and 3, IPv4 and IPv6, multicast and unicast at once.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{fs, path::Path, time::Duration};

use lb_tests::{
    clock, command,
    config::Config,
    daemon::{Daemon, WITHOUT_REAL_TIME},
    keepalived::Keepalived,
    netns::Netns,
    require_privileged,
};
use lb_userspace::sys::process::prefer_this_thread;
use serde_json::Value;

/// How long a change may take. Version 2 needs 3.6 s for some.
const PATIENCE: Duration = Duration::from_secs(10);

/// The virtual routers: name, what identifies it and makes it special in lb.toml, and the same in keepalived.conf.
const ROUTERS: [(&str, &str, &str); 7] = [
    (
        "v3",
        "virtual_router_id = 51\nadvert_interval = \"100ms\"\nvirtual_addresses = [\"10.77.0.101/24\"]",
        "version 3\nvirtual_router_id 51\nadvert_int 0.1\nvirtual_ipaddress {\n10.77.0.101/24\n}",
    ),
    (
        "v3-ipv6",
        "virtual_router_id = 52\nadvert_interval = \"100ms\"\nvirtual_addresses = [\"fe80::77:52/64\", \"fd77::102/64\"]",
        "version 3\nvirtual_router_id 52\nadvert_int 0.1\nvirtual_ipaddress {\nfe80::77:52/64\nfd77::102/64\n}",
    ),
    (
        "v2",
        "virtual_router_id = 53\nversions = [2]\nauth_pass = \"s3cr3tpw\"\nvirtual_addresses = [\"10.77.0.103/24\"]",
        "version 2\nvirtual_router_id 53\nadvert_int 1\nauthentication {\nauth_type PASS\nauth_pass s3cr3tpw\n}\n\
         virtual_ipaddress {\n10.77.0.103/24\n}",
    ),
    (
        "unicast",
        "virtual_router_id = 54\nadvert_interval = \"100ms\"\nunicast_peers = [\"10.77.0.2\"]\nvirtual_addresses = [\"10.77.0.104/24\"]",
        "version 3\nvirtual_router_id 54\nadvert_int 0.1\nunicast_src_ip 10.77.0.2\nunicast_peer {\n10.77.0.1\n}\n\
         virtual_ipaddress {\n10.77.0.104/24\n}",
    ),
    (
        "v2-plain",
        "virtual_router_id = 55\nversions = [2]\nvirtual_addresses = [\"10.77.0.105/24\"]",
        "version 2\nvirtual_router_id 55\nadvert_int 1\nvirtual_ipaddress {\n10.77.0.105/24\n}",
    ),
    (
        "v2-unicast",
        "virtual_router_id = 56\nversions = [2]\nunicast_peers = [\"10.77.0.2\"]\nvirtual_addresses = [\"10.77.0.106/24\"]",
        "version 2\nvirtual_router_id 56\nadvert_int 1\nunicast_src_ip 10.77.0.2\nunicast_peer {\n10.77.0.1\n}\n\
         virtual_ipaddress {\n10.77.0.106/24\n}",
    ),
    (
        "v3-ipv6-unicast",
        // The hop limit that keepalived 2.2.7 sends with.
        "virtual_router_id = 57\nadvert_interval = \"100ms\"\nunicast_peers = [\"fd77::2\"]\nmin_ttl = 64\n\
         virtual_addresses = [\"fe80::77:57/64\", \"fd77::107/64\"]",
        "version 3\nvirtual_router_id 57\nadvert_int 0.1\nunicast_src_ip fd77::2\nunicast_peer {\nfd77::1\n}\n\
         virtual_ipaddress {\nfe80::77:57/64\nfd77::107/64\n}",
    ),
];
const VIPS: [&str; 9] = [
    "10.77.0.101",
    "fe80::77:52",
    "fd77::102",
    "10.77.0.103",
    "10.77.0.104",
    "10.77.0.105",
    "10.77.0.106",
    "fe80::77:57",
    "fd77::107",
];

/// Two machines and a client on one switch.
struct Network {
    ours: Netns,
    theirs: Netns,
    client: Netns,
    _switch: Netns,
}

impl Network {
    fn build() -> Self {
        let switch = Netns::create("switch").unwrap();
        switch.ip("link add br0 type bridge mcast_snooping 0 forward_delay 0").unwrap();
        switch.ip("link set br0 up").unwrap();
        let [ours, theirs, client] = ["ours", "theirs", "client"].map(|name| Netns::create(name).unwrap());
        for (number, host) in [&ours, &theirs, &client].into_iter().enumerate() {
            let (host_name, switch_name, last) = (host.name(), switch.name(), number + 1);
            command::sh(&format!(
                "ip link add eth0 netns {host_name} type veth peer name p{last} netns {switch_name}"
            ))
            .unwrap();
            switch.ip(&format!("link set p{last} master br0 up")).unwrap();
            host.ip("link set eth0 up").unwrap();
            host.ip(&format!("addr add 10.77.0.{last}/24 dev eth0")).unwrap();
            host.ip(&format!("addr add fd77::{last}/64 dev eth0 nodad")).unwrap();
        }
        Self { ours, theirs, client, _switch: switch }
    }

    /// Waits until one machine has all the VIPs, and the other one none.
    fn wait_owner(&self, owner: &Netns, context: impl Fn() -> String) {
        self.wait_owner_of(&VIPS, owner, context);
    }

    fn wait_owner_of(&self, vips: &[&str], owner: &Netns, context: impl Fn() -> String) {
        let other = if owner.name() == self.ours.name() { &self.theirs } else { &self.ours };
        let is_so = || vips.iter().all(|vip| has(owner, vip) && !has(other, vip));
        clock::wait_until(&format!("the VIPs to be at {}", owner.name()), PATIENCE, is_so)
            .unwrap_or_else(|error| panic!("{error:#}: {}", context()));
    }

    fn client_reaches_the_vips(&self) {
        for vip in VIPS.iter().filter(|vip| !vip.starts_with("fe80")) {
            self.client.wait_reachable(vip.parse().unwrap()).unwrap();
        }
    }
}

fn has(netns: &Netns, vip: &str) -> bool {
    netns.ip("-o addr show").unwrap().contains(&format!(" {vip}/"))
}

fn start_keepalived(netns: &Netns) -> Keepalived {
    start_keepalived_of(&ROUTERS, "", netns)
}

fn start_keepalived_of(routers: &[(&str, &str, &str)], more: &str, netns: &Netns) -> Keepalived {
    let block = |(name, _, special): &(&str, &str, &str)| {
        format!(
            "vrrp_instance {name} {{\nstate BACKUP\ninterface eth0\npriority 150\n{special}\n{more}\n}}\n"
        )
    };
    Keepalived::start(netns, &routers.iter().map(block).collect::<String>()).unwrap()
}

fn config(priority: u8) -> Config {
    let tables: String = (0..ROUTERS.len()).map(|index| table(index, priority, "")).collect();
    Config::new(&["eth0"], []).tables(&tables)
}

/// A virtual router in lb.toml.
fn table(index: usize, priority: u8, more: &str) -> String {
    let (name, special, _) = ROUTERS[index];
    format!("[[vrrp]]\nname = \"{name}\"\ninterface = \"eth0\"\npriority = {priority}\n{special}\n{more}\n")
}

/// Two virtual routers that are active together.
fn grouped(priority: u8) -> Config {
    let tables = [0, 1].map(|index| table(index, priority, "sync_group = \"both\"")).concat();
    Config::new(&["eth0"], []).tables(&tables)
}

fn edit(file: &Path, before: &str, after: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(before), "{before} is not in {text}");
    fs::write(file, text.replace(before, after)).unwrap();
}

fn routers(daemon: &Daemon) -> Vec<Value> {
    daemon.lbctl("vrrp status").unwrap().as_array().unwrap().clone()
}

#[test]
fn lbd_and_keepalived_back_each_other_up() {
    require_privileged!();
    let network = Network::build();
    let keepalived = start_keepalived(&network.theirs);
    network.wait_owner(&network.theirs, || keepalived.log());

    let mut daemon = Daemon::start(&network.ours, &config(100)).unwrap();
    clock::wait_until("keepalived to be heard", PATIENCE, || {
        routers(&daemon).iter().all(|router| router["active_priority"] == 150)
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", daemon.log()));
    for router in routers(&daemon) {
        assert_eq!(router["state"], "backup", "{router}");
        assert_eq!(router["rejected"], serde_json::json!({}), "{router}");
    }

    keepalived.terminate().unwrap();
    network.wait_owner(&network.ours, || daemon.log());
    network.client_reaches_the_vips();

    let keepalived = start_keepalived(&network.theirs);
    network.wait_owner(&network.theirs, || format!("{}\n{}", daemon.log(), keepalived.log()));
    network.client_reaches_the_vips();

    daemon.terminate().unwrap();
    edit(&daemon.config_file(), "priority = 100", "priority = 200");
    daemon.start_again().unwrap();
    network.wait_owner(&network.ours, || format!("{}\n{}", daemon.log(), keepalived.log()));
    network.client_reaches_the_vips();
    assert!(routers(&daemon).iter().all(|router| router["state"] == "active"));

    daemon.terminate().unwrap();
    network.wait_owner(&network.theirs, || format!("{}\n{}", daemon.log(), keepalived.log()));
    network.client_reaches_the_vips();
    assert!(!keepalived.log().contains("nvalid"), "keepalived refused something: {}", keepalived.log());
    keepalived.terminate().unwrap();
}

/// What is compared is what the client knows.
#[test]
fn lbd_and_keepalived_have_the_same_virtual_mac_addresses() {
    require_privileged!();
    let network = Network::build();
    // What keepalived's documentation asks for: else the interface below answers for the VIPs, too.
    // keepalived leaves it to the host that only the interface which has an address answers for it, and that the host, where it answers
    // from a VIP itself, asks for its neighbours with an address of its own.
    network.theirs.sysctl("net/ipv4/conf/all/arp_ignore", "1").unwrap();
    for node in [&network.theirs, &network.ours] {
        node.sysctl("net/ipv4/conf/all/arp_announce", "2").unwrap();
    }
    let vips = &VIPS[..3];
    let start_theirs = || start_keepalived_of(&ROUTERS[..2], "use_vmac", &network.theirs);
    let knows = || {
        for (vip, mac) in [(VIPS[0], "00:00:5e:00:01:33"), (VIPS[2], "00:00:5e:00:02:34")] {
            network.client.wait_reachable(vip.parse().unwrap()).unwrap();
            let known = network.client.ip(&format!("neigh show to {vip} dev eth0")).unwrap();
            assert!(known.contains(mac), "{vip}: {known}, expected {mac}");
        }
    };
    let keepalived = start_theirs();
    network.wait_owner_of(vips, &network.theirs, || keepalived.log());
    knows();
    let tables = [0, 1].map(|index| table(index, 100, "virtual_mac = true")).concat();
    let mut daemon = Daemon::start(&network.ours, &Config::new(&["eth0"], []).tables(&tables)).unwrap();
    clock::wait_until("keepalived to be heard", PATIENCE, || {
        routers(&daemon).iter().all(|router| router["active_priority"] == 150)
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", daemon.log()));

    keepalived.terminate().unwrap();
    network.wait_owner_of(vips, &network.ours, || daemon.log());
    knows();
    let keepalived = start_theirs();
    let logs = || format!("{}\n{}", daemon.log(), keepalived.log());
    network.wait_owner_of(vips, &network.theirs, logs);
    knows();
    keepalived.kill().unwrap();
    clock::wait_until("lbd to take over", PATIENCE, || vips.iter().all(|vip| has(&network.ours, vip)))
        .unwrap_or_else(|error| panic!("{error:#}: {}", daemon.log()));
    daemon.terminate().unwrap();
}

#[test]
fn a_planned_switchover_lasts_until_it_is_released_and_needs_a_successor() {
    require_privileged!();
    let network = Network::build();
    let mut first = Daemon::start(&network.ours, &grouped(150)).unwrap();
    let mut second = Daemon::start(&network.theirs, &grouped(100)).unwrap();
    let wait_owner = |owner: &Netns| network.wait_owner_of(&VIPS[..3], owner, String::new);
    wait_owner(&network.ours);

    let said = first.lbctl_text("vrrp failover v3 --wait").unwrap();
    assert!(said.starts_with("v3: backup, ") && said.contains("\nv3-ipv6: backup, "), "{said}");
    wait_owner(&network.theirs);
    first.kill().unwrap();
    first.start_again().unwrap();
    clock::wait_until("the other machine to be heard", PATIENCE, || {
        let heard = |router: &Value| router["active_priority"] == 100 && router["switchover"] == "standby";
        routers(&first).iter().all(heard)
    })
    .unwrap();
    first.lbctl("vrrp failover --all --wait").unwrap();
    wait_owner(&network.theirs);

    let released = first.lbctl_text("vrrp release v3-ipv6 --wait").unwrap();
    assert_eq!(released, "v3: active\nv3-ipv6: active\n");
    wait_owner(&network.ours);
    second.terminate().unwrap();

    let refused = first.lbctl("vrrp failover --all --wait").unwrap_err().to_string();
    assert!(
        refused.contains("exit status: 6") && refused.contains("no other machine took over"),
        "{refused}"
    );
    wait_owner(&network.ours);
    first.lbctl("vrrp failover --all --wait --force").unwrap();
    assert!(VIPS[..3].iter().all(|vip| !has(&network.ours, vip)));
    first.lbctl("vrrp release --all --wait").unwrap();
    wait_owner(&network.ours);

    let told = first.lbctl_text("events --past --match router=v3").unwrap();
    for line in
        ["v3  none -> handing-over", "v3  handing-over -> no-successor", "v3  handing-over -> standby-forced"]
    {
        assert!(told.contains(line), "{line}: {told}");
    }
    let peer = |line: &&str| line.contains("vrrp-peer-") && line.contains("address=10.77.0.2  priority=100");
    assert_eq!(told.lines().filter(peer).count(), 2, "it was heard, and was silent: {told}");
}

#[test]
fn a_reload_adds_removes_and_changes_virtual_routers_and_leaves_the_others_alone() {
    require_privileged!();
    let network = Network::build();
    let one = |priority| Config::new(&["eth0"], []).tables(&table(0, priority, ""));
    let first = Daemon::start(&network.ours, &one(150)).unwrap();
    let second = Daemon::start(&network.theirs, &one(100)).unwrap();
    let may_have_real_time = std::thread::spawn(|| prefer_this_thread().is_ok()).join().unwrap();
    assert_eq!(first.has_real_time().unwrap(), may_have_real_time);
    let (v3, v6, more) = (&VIPS[..1], &VIPS[1..3], &["10.77.0.105"]);
    let wait_owner = |vips: &[&str], owner: &Netns| network.wait_owner_of(vips, owner, || first.log());
    wait_owner(v3, &network.ours);
    let transitions = || {
        let all = routers(&first);
        all.iter().find(|router| router["name"] == "v3").unwrap()["transitions"].clone()
    };
    let before = transitions();

    let file = first.config_file();
    edit(&file, "[[vrrp]]", &format!("{}[[vrrp]]", table(1, 150, "")));
    first.lbctl("config reload").unwrap();
    wait_owner(v6, &network.ours);

    edit(&file, "[\"10.77.0.101/24\"]", "[\"10.77.0.101/24\", \"10.77.0.105/24\"]");
    first.reload_by_signal().unwrap();
    wait_owner(more, &network.ours);
    network.client.wait_reachable(more[0].parse().unwrap()).unwrap();
    edit(&file, ", \"10.77.0.105/24\"", "");
    first.lbctl("config reload").unwrap();
    clock::wait_until("the VIP to be gone", PATIENCE, || !has(&network.ours, more[0])).unwrap();
    assert!(has(&network.ours, v3[0]));

    edit(&file, "virtual_router_id = 51", "virtual_router_id = 256");
    assert!(first.lbctl("config reload").is_err());
    assert_eq!((transitions(), routers(&second)[0]["transitions"].clone()), (before, Value::from(1)));

    let text =
        fs::read_to_string(&file).unwrap().replace("virtual_router_id = 256", "virtual_router_id = 51");
    fs::write(&file, text.replace(&table(0, 150, ""), "")).unwrap();
    first.lbctl("config reload").unwrap();
    wait_owner(v3, &network.theirs);
    wait_owner(v6, &network.ours);
    assert_eq!(routers(&first).len(), 1);
    assert!(first.lbctl("status").unwrap()["restart_needed"].is_null());
}

#[test]
fn a_missing_real_time_priority_is_told_once_there_are_virtual_routers() {
    require_privileged!();
    let netns = Netns::create("alone").unwrap();
    netns.ip("link add eth0 type veth peer name far").unwrap();
    netns.ip("link set eth0 up").unwrap();
    let mut daemon = Daemon::prepare(&netns, &Config::new(&["eth0"], [])).unwrap();
    daemon.run_with(WITHOUT_REAL_TIME.iter().map(ToString::to_string).collect());
    daemon.start_again().unwrap();
    assert!(!daemon.has_real_time().unwrap());
    let told = || daemon.whole_log().unwrap().matches("VRRP has no real-time priority").count();
    assert_eq!(told(), 0, "{}", daemon.log());
    let file = daemon.config_file();
    let text = fs::read_to_string(&file).unwrap();
    for routers in [table(0, 100, ""), table(0, 101, "")] {
        fs::write(&file, format!("{text}\n{routers}")).unwrap();
        daemon.lbctl("config reload").unwrap();
        clock::wait_until("it to be told", PATIENCE, || told() == 1).unwrap();
    }
    clock::wait_until("the other priority", PATIENCE, || routers(&daemon)[0]["priority"] == 101).unwrap();
    assert_eq!(told(), 1, "{}", daemon.log());
}

/// The link-layer address of a machine.
fn mac(netns: &Netns) -> String {
    let link = netns.ip("-o link show dev eth0").unwrap();
    link.split("link/ether ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_machine_whose_daemon_was_killed_does_not_answer_for_vips_that_another_one_has() {
    require_privileged!();
    let network = Network::build();
    let both = |priority| {
        let tables = [0, 1].map(|index| table(index, priority, "")).concat();
        Config::new(&["eth0"], []).tables(&tables)
    };
    let mut first = Daemon::start(&network.ours, &both(150)).unwrap();
    let second = Daemon::start(&network.theirs, &both(100)).unwrap();
    let vips = &VIPS[..3];
    network.wait_owner_of(vips, &network.ours, || first.log());
    let answers = |owner: &Netns| {
        for vip in [VIPS[0], VIPS[2]].repeat(5) {
            network.client.ip("neigh flush dev eth0").unwrap();
            network.client.wait_reachable(vip.parse().unwrap()).unwrap();
            let known = network.client.ip(&format!("neigh show to {vip} dev eth0")).unwrap();
            assert!(known.contains(&mac(owner)), "{vip}: {known}, expected {}", mac(owner));
        }
    };
    answers(&network.ours);

    first.kill().unwrap();
    clock::wait_until("the other machine to take over", PATIENCE, || {
        vips.iter().all(|vip| has(&network.theirs, vip))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", second.log()));
    assert!(vips.iter().all(|vip| has(&network.ours, vip)), "nobody is there to take them away");
    answers(&network.theirs);

    first.start_again().unwrap();
    network.wait_owner_of(vips, &network.ours, || first.log());
    answers(&network.ours);
    let drops = first.lbctl("drops").unwrap();
    let fenced = drops.as_array().unwrap().iter().find(|drop| drop["reason"] == "fenced").unwrap();
    assert!(fenced["packets"].as_u64().unwrap() >= 2, "{fenced}");
}
