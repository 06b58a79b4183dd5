//! Veths, whose other end takes part in everything.

use crate::doctor::facts::{Link, Peer};
use crate::doctor::finding::{Finding, VETH_CHECKSUM, VETH_RECEIVER};

pub(super) fn diagnose(name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let Some(peer) = &link.peer else { return };
    checksum(name, peer, findings);
    receiver(name, link, peer, findings);
}

fn checksum(name: &str, peer: &Peer, findings: &mut Vec<Finding>) {
    let Some(offloads) = peer.offloads else {
        let found = "its other end is in a namespace that cannot be looked into from here";
        return findings.push(VETH_CHECKSUM.note(name, found, on_peer(peer, "tx off tso off gso off")));
    };
    let mut on = Vec::new();
    if offloads.tx_checksum {
        on.push("tx-checksumming");
    }
    if offloads.segmentation {
        on.push("segmentation offloads");
    }
    findings.push(if on.is_empty() {
        VETH_CHECKSUM.ok(name, format!("its other end {} sends complete packets", named(peer)))
    } else {
        let found = format!("its other end {} has {} on", named(peer), on.join(" and "));
        VETH_CHECKSUM.error(name, found, on_peer(peer, "tx off tso off gso off"))
    });
}

fn receiver(name: &str, link: &Link, peer: &Peer, findings: &mut Vec<Finding>) {
    let takes = match (link.xdp, peer.offloads) {
        // In generic mode frames go the way of all others.
        (Some(features), _) if !features.basic() => return,
        (Some(features), _) => features.ndo_xmit(),
        (None, Some(offloads)) => offloads.gro,
        (None, None) => {
            let found = "whether its other end polls cannot be found out from here";
            return findings.push(VETH_RECEIVER.note(name, found, on_peer(peer, "gro on")));
        }
    };
    findings.push(if takes {
        VETH_RECEIVER.ok(name, format!("its other end {} takes redirected frames", named(peer)))
    } else {
        let found = format!("its other end {} has neither GRO nor an XDP program", named(peer));
        VETH_RECEIVER.error(name, found, on_peer(peer, "gro on"))
    });
}

fn named(peer: &Peer) -> String {
    peer.name.as_deref().map(|name| format!("{}{name}", peer.prefix_in_words())).unwrap_or_default()
}

fn on_peer(peer: &Peer, settings: &str) -> String {
    match &peer.name {
        Some(name) => format!("{}ethtool -K {name} {settings}", peer.prefix),
        None => String::new(),
    }
}

impl Peer {
    fn prefix_in_words(&self) -> String {
        match self.prefix.trim() {
            "" => String::new(),
            prefix => format!("(`{prefix}`) "),
        }
    }
}
