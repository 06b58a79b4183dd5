//! `vrrp_instance` and `vrrp_sync_group`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::VRRP;
use super::tracked::{self, Definitions};
use super::tree::Node;
use crate::import::names::Names;
use crate::import::report::{Id, Ledger};
use crate::model::{
    Draft, InterfaceName, Notify, RouterName, SCRIPT_USER, ScriptProbe, Segment, VirtualRouter,
};

/// What the instances are made with.
#[derive(Debug, Default)]
pub(super) struct Instances<'a> {
    /// `vrrp_version` of `global_defs`.
    version: Option<u8>,
    names: Names,
    /// What can be tracked.
    definitions: Definitions<'a>,
    /// Each with the statements it comes from.
    made: Vec<(Made, VirtualRouter)>,
}

/// Where a virtual router comes from.
#[derive(Debug)]
struct Made {
    statement: Id,
    /// The name in the input, which groups use.
    name: String,
}

impl<'a> Instances<'a> {
    /// None yet. `version` is that of instances that name none.
    pub(super) fn new(version: Option<u8>, definitions: Definitions<'a>) -> Self {
        Self { version, definitions, ..Self::default() }
    }

    /// Reads a `vrrp_instance`.
    pub(super) fn read(&mut self, node: &Node, ledger: &mut Ledger) {
        let value = |word: &str| node.children().iter().find(|child| child.word(0) == word);
        let number = |word: &str| value(word).and_then(|child| child.word(1).parse::<u8>().ok());
        let interface = value("interface").and_then(|child| InterfaceName::new(child.word(1)).ok());
        let (Some(interface), Some(id)) = (interface, number("virtual_router_id")) else {
            let message = "it has no interface or no virtual_router_id";
            return ledger.dropped_block(node.id, node.inside(), message);
        };
        let Ok(name) = RouterName::new(self.names.take(node.word(1))) else { return };
        if name.as_str() == node.word(1) {
            ledger.used(node.id);
        } else {
            ledger.changed(node.id, format!("its name became {name}"));
        }
        let mut router = VirtualRouter::new(name, interface, id);
        let has_v6 = value("virtual_ipaddress")
            .is_some_and(|child| child.children().iter().any(|address| address.word(0).contains(':')));
        let version = if has_v6 { 3 } else { number("version").or(self.version).unwrap_or(2) };
        router.versions = vec![version];
        for child in node.children() {
            if !self.definitions.track(child, &mut router.track, ledger) {
                statement(child, &mut router, ledger);
            }
        }
        self.made.push((Made { statement: node.id, name: node.word(1).to_owned() }, router));
    }

    /// Reads a `vrrp_sync_group`, once all instances are read.
    pub(super) fn read_group(&mut self, node: &Node, ledger: &mut Ledger) {
        ledger.used(node.id);
        let group = RouterName::new(Names::default().take(node.word(1))).ok();
        self.join_group(node, &group, ledger);
        for child in node.children().iter().filter(|child| child.word(0) != "group") {
            // What one member tracks counts for all.
            let first =
                self.made.iter_mut().map(|(_, router)| router).find(|router| router.sync_group == group);
            let is_tracked =
                first.is_some_and(|first| self.definitions.track(child, &mut first.track, ledger));
            if !is_tracked {
                ledger.dropped_block(child.id, child.inside(), VRRP);
            }
        }
    }

    fn join_group(&mut self, node: &Node, group: &Option<RouterName>, ledger: &mut Ledger) {
        for child in node.children().iter().filter(|child| child.word(0) == "group") {
            ledger.used(child.id);
            for member in child.children() {
                match self.made.iter_mut().find(|(made, _)| made.name == member.word(0)) {
                    Some((_, router)) => {
                        router.sync_group.clone_from(group);
                        ledger.used(member.id);
                    }
                    None => ledger.dropped(member.id, "there is no such instance"),
                }
            }
        }
    }

    /// Those that are valid; the others are reported.
    pub(super) fn finish(self, ledger: &mut Ledger) -> Vec<VirtualRouter> {
        self.definitions.finish(ledger);
        let mut made = self.made;
        loop {
            let vrrp: Vec<VirtualRouter> = made.iter().map(|(_, router)| router.clone()).collect();
            let interfaces: BTreeSet<_> = vrrp.iter().map(|router| router.interface.clone()).collect();
            let interfaces = interfaces.into_iter().collect();
            let draft = Draft { interfaces, vrrp: vrrp.clone(), ..Draft::default() };
            let Err(invalid) = draft.check() else { return vrrp };
            let wrong = invalid.0.iter().find_map(|invalid| match invalid.path.segments() {
                [Segment::Key(key), Segment::Index(index), ..] if key == "vrrp" => Some((*index, invalid)),
                _ => None,
            });
            let Some((index, invalid)) = wrong else { return Vec::new() };
            let (Made { statement, .. }, _) = made.remove(index);
            ledger.dropped(statement, format!("a configuration refuses it: {invalid}"));
        }
    }
}

fn statement(node: &Node, router: &mut VirtualRouter, ledger: &mut Ledger) {
    let word = node.word(1);
    match node.word(0) {
        // What the state is at first makes no difference to who becomes active.
        "interface" | "virtual_router_id" | "version" | "state" | "preempt" | "accept" => {
            ledger.used(node.id);
        }
        "priority" => set(node, &mut router.priority, word.parse().ok(), ledger),
        "advert_int" => set(node, &mut router.advert_interval, seconds(word), ledger),
        "preempt_delay" => set(node, &mut router.preempt_delay, seconds(word), ledger),
        "nopreempt" => set(node, &mut router.preempt, Some(false), ledger),
        "authentication" => authentication(node, router, ledger),
        "virtual_ipaddress" => addresses(node, router, ledger),
        "unicast_peer" => peers(node, router, ledger),
        "unicast_src_ip" | "mcast_src_ip" => {
            ledger.dropped(node.id, "adverts come from the first address of the interface that is no VIP");
        }
        "notify" => notify(node, router, ledger),
        "notify_master"
        | "notify_backup"
        | "notify_fault"
        | "notify_stop"
        | "notify_deleted"
        | "notify_master_rx_lower_pri" => {
            let message =
                "one program is run for every change of state: see `notify`; LB_STATE tells it which";
            ledger.dropped(node.id, message);
        }
        "higher_prio_send_advert" => ledger.used(node.id),
        "use_vmac" => virtual_mac(node, router, ledger),
        "vmac_xmit_base" => {
            ledger.dropped(
                node.id,
                "adverts come from the virtual MAC address, but for those to unicast peers",
            );
        }
        "no_accept" => ledger.dropped(node.id, "a balancer takes packets for its VIPs"),
        "track_process" | "track_bfd" => {
            let message = "interfaces, scripts and files are tracked: make a script of it";
            ledger.dropped_block(node.id, node.inside(), message);
        }
        word if word.starts_with("garp_") => {
            ledger.dropped(
                node.id,
                "announcements are repeated at once, after 100 ms, and with growing gaps for a minute",
            );
        }
        _ => ledger.dropped_block(node.id, node.inside(), VRRP),
    }
}

/// keepalived's word may name the interface and its MAC address.
fn virtual_mac(node: &Node, router: &mut VirtualRouter, ledger: &mut Ledger) {
    router.virtual_mac = true;
    if node.words.len() == 1 {
        ledger.used(node.id);
    } else {
        ledger.changed(
            node.id,
            "the interface is called by family, number and interface, and has the MAC address of RFC 9568",
        );
    }
}

fn set<T>(node: &Node, place: &mut T, value: Option<T>, ledger: &mut Ledger) {
    match value {
        Some(value) => {
            *place = value;
            ledger.used(node.id);
        }
        None => ledger.dropped(node.id, "its value is not understood; the default stays"),
    }
}

/// Seconds with or without a fraction.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    let milliseconds = (seconds * 1000.0).round();
    (0.0..=1e9).contains(&milliseconds).then(|| Duration::from_millis(milliseconds as u64))
}

fn authentication(node: &Node, router: &mut VirtualRouter, ledger: &mut Ledger) {
    let value =
        |word: &str| node.children().iter().find(|child| child.word(0) == word).map(|child| child.word(1));
    let message = match (value("auth_type"), value("auth_pass")) {
        _ if router.versions != [2] => "version 3 has no authentication",
        (Some("PASS"), Some(password)) if !password.is_empty() => {
            // As keepalived does.
            router.auth_pass = Some(password.chars().take(8).collect());
            ledger.used(node.id);
            for child in node.children() {
                match child.word(0) {
                    "auth_type" | "auth_pass" => ledger.used(child.id),
                    _ => ledger.dropped_block(child.id, child.inside(), VRRP),
                }
            }
            return;
        }
        _ => "of authentication there is only PASS with a password",
    };
    ledger.dropped_block(node.id, node.inside(), message);
}

fn addresses(node: &Node, router: &mut VirtualRouter, ledger: &mut Ledger) {
    ledger.used(node.id);
    for child in node.children() {
        let text = child.word(0);
        let network =
            text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from));
        let Some(network) = network else {
            ledger.dropped(child.id, "it is not an address");
            continue;
        };
        let others: Vec<&[String]> = child.arguments().chunks(2).collect();
        let is_elsewhere = |option: &&[String]| {
            option[0] == "dev" && option.get(1).is_none_or(|dev| dev != router.interface.as_str())
        };
        if others.iter().any(is_elsewhere) {
            ledger.dropped(
                child.id,
                "VIPs are added to the interface of their virtual router: make another one",
            );
            continue;
        }
        router.virtual_addresses.push(network);
        if others.iter().all(|option| option[0] == "dev") {
            ledger.used(child.id);
        } else {
            ledger
                .changed(child.id, "broadcast, label and scope of an address are what the kernel makes them");
        }
    }
}

fn notify(node: &Node, router: &mut VirtualRouter, ledger: &mut Ledger) {
    let Ok((path, args)) = tracked::command(node.word(1).split_whitespace().map(str::to_owned)) else {
        let message = "only the absolute path of a program with plain arguments is run: write a script of it";
        return ledger.dropped(node.id, message);
    };
    let user = Some(node.word(2)).filter(|user| !user.is_empty() && *user != "root");
    let program = ScriptProbe { path, args, user: user.unwrap_or(SCRIPT_USER).to_owned() };
    router.notify = Some(Notify { program, timeout: Notify::TIMEOUT });
    let message = "what changed is in its environment (LB_STATE and others), not in its arguments; states are called active, backup and fault; it \
                   never runs as root";
    ledger.changed(node.id, message);
}

fn peers(node: &Node, router: &mut VirtualRouter, ledger: &mut Ledger) {
    ledger.used(node.id);
    for child in node.children() {
        match child.word(0).parse() {
            Ok(peer) => {
                router.unicast_peers.push(peer);
                if child.words.len() == 1 {
                    ledger.used(child.id);
                } else {
                    ledger.changed(child.id, "limits of the TTL are for all peers: see min_ttl");
                }
            }
            Err(_) => ledger.dropped(child.id, "it is not an address"),
        }
    }
}
