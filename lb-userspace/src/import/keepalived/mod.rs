//! `keepalived.conf`: virtual servers and what they need.

mod checker;
mod kinds;
mod parameters;
mod text;
mod tracked;
mod tree;
mod virtual_server;
mod vrrp;

use std::sync::Arc;
use std::time::Duration;

use self::tracked::{Definitions, is_definition};
use self::tree::Node;
use self::vrrp::Instances;
use super::candidate::Found;
use super::report::Ledger;
use super::{Files, Options};

/// Reads the text and what it includes.
pub(super) fn read(
    file: &Arc<str>,
    text: &str,
    files: &dyn Files,
    options: &Options,
    ledger: &mut Ledger,
) -> Found {
    let nodes = tree::read(file, text, files, options.config_id.as_deref(), ledger);
    let mut found = Found::default();
    let groups = virtual_server::groups(&nodes);
    let mut used_groups = Vec::new();
    let mut instances = Instances::new(vrrp_version(&nodes), Definitions::read(&nodes));
    for node in &nodes {
        match node.word(0) {
            "virtual_server" => {
                virtual_server::read(node, &groups, &mut used_groups, &mut found.services, ledger);
            }
            // With the virtual server that uses it.
            "virtual_server_group" => {}
            "global_defs" => global(node, &mut found, ledger),
            "SSL" => ledger.dropped_block(
                node.id,
                node.inside(),
                "keys of the checks are given with a service's health check",
            ),
            "include_check" => ledger.dropped(node.id, "it is about how keepalived reads files"),
            "vrrp_instance" => {
                let interface = node.children().iter().find(|child| child.word(0) == "interface");
                found.interfaces.extend(interface.map(|child| child.word(1).to_owned()));
                instances.read(node, ledger);
            }
            // When all instances are known.
            "vrrp_sync_group" => {}
            // With the instances that track it.
            _ if is_definition(node) => {}
            word if word.starts_with("vrrp") || word.starts_with("static_") => vrrp(node, ledger),
            "bfd_instance"
            | "track_process"
            | "track_bfd"
            | "linkbeat_interfaces"
            | "garp_group"
            | "interface_up_down_delays" => vrrp(node, ledger),
            "" => ledger.dropped_block(node.id, node.inside(), "a block without a name"),
            _ if node.block.is_some() => {
                ledger.dropped_block(node.id, node.inside(), "this block has no counterpart");
            }
            _ => ledger.dropped(node.id, "this has no counterpart"),
        }
    }
    for node in nodes.iter().filter(|node| node.word(0) == "vrrp_sync_group") {
        instances.read_group(node, ledger);
    }
    found.vrrp = instances.finish(ledger);
    for node in nodes.iter().filter(|node| node.word(0) == "virtual_server_group") {
        if !used_groups.contains(&node.id) {
            ledger.dropped_block(node.id, node.inside(), "no virtual_server uses this group");
        }
    }
    found
}

fn global(node: &Node, found: &mut Found, ledger: &mut Ledger) {
    ledger.used(node.id);
    for child in node.children() {
        match child.word(0) {
            "lvs_timeouts" => timeouts(child, found, ledger),
            "vrrp_version" | "script_user" => ledger.used(child.id),
            word if word.starts_with("vrrp") || word.starts_with("garp") => {
                ledger.dropped_block(child.id, child.inside(), VRRP);
            }
            _ => ledger.dropped_block(
                child.id,
                child.inside(),
                "this setting of keepalived's processes has no counterpart",
            ),
        }
    }
}

fn timeouts(node: &Node, found: &mut Found, ledger: &mut Ledger) {
    ledger.used(node.id);
    let (shortest, longest) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));
    for pair in node.arguments().chunks(2) {
        let seconds = pair.get(1).and_then(|word| word.parse().ok()).map(Duration::from_secs);
        let seconds = seconds.filter(|seconds| (shortest..=longest).contains(seconds));
        match (pair[0].as_str(), seconds) {
            ("tcp", Some(seconds)) => found.timeouts.tcp_established = seconds,
            ("udp", Some(seconds)) => found.timeouts.udp_established = seconds,
            ("tcpfin", Some(seconds)) => {
                found.timeouts.tcp_closing = seconds;
                found.timeouts.tcp_half_closed = seconds;
                ledger.changed(node.id, "tcpfin became timeouts.tcp_half_closed and timeouts.tcp_closing");
            }
            (word, _) => ledger
                .dropped(node.id, format!("{word}: expected tcp, tcpfin or udp and 1 to 604800 seconds")),
        }
    }
}

const VRRP: &str = "`lbd`'s virtual routers have nothing like it";

fn vrrp(node: &Node, ledger: &mut Ledger) {
    ledger.dropped_block(node.id, node.inside(), VRRP);
}

/// The version of instances that name none.
fn vrrp_version(nodes: &[Node]) -> Option<u8> {
    let globals = nodes.iter().filter(|node| node.word(0) == "global_defs");
    let mut statements = globals.flat_map(Node::children);
    statements.find(|child| child.word(0) == "vrrp_version")?.word(1).parse().ok()
}
