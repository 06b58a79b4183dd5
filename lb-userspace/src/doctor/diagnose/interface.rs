//! The configured interfaces.

use super::{valid, veth};
use crate::doctor::facts::{Facts, Link, Offloads};
use crate::doctor::finding::{
    ENSLAVED, Finding, INTERFACE, LRO, MTU, PROGRAM, RP_FILTER, VLAN_OFFLOAD, XDP_MODE, XDP_TARGET,
};
use crate::loader::AttachMode;
use crate::model::XdpMode;

/// Largest MTU whose frames fit into one buffer: a page of 4096 bytes without XDP's headroom (256), what the kernel keeps at its
/// end (320), and the Ethernet header with two tags (22).
const ONE_BUFFER: u32 = 3498;
/// Kinds of interfaces that are above the one that frames come in through.
const UPPER: [&str; 6] = ["vlan", "bridge", "bond", "team", "macvlan", "ipvlan"];

pub(super) fn diagnose(facts: &Facts, findings: &mut Vec<Finding>) {
    for interface in &facts.interfaces {
        let name = interface.name.as_str();
        let Some(link) = &interface.link else {
            let found = format!("there is no interface {name}");
            findings.push(INTERFACE.error(name, found, "ip -br link"));
            continue;
        };
        state(name, link, findings);
        kind(name, link, findings);
        program(facts, name, link, findings);
        mode(facts, name, link, findings);
        target(facts, name, link, findings);
        mtu(facts, name, link, findings);
        offloads(name, link, findings);
        reverse_path(facts, name, link, findings);
        veth::diagnose(name, link, findings);
    }
}

fn state(name: &str, link: &Link, findings: &mut Vec<Finding>) {
    findings.push(match (link.up, link.carrier) {
        (false, _) => INTERFACE.error(name, "it is switched off", format!("ip link set dev {name} up")),
        (true, false) => INTERFACE.error(name, "it has no carrier", format!("ethtool {name}")),
        (true, true) => INTERFACE.ok(name, format!("up, driver {}", link.driver)),
    });
}

fn kind(name: &str, link: &Link, findings: &mut Vec<Finding>) {
    if UPPER.contains(&link.driver.as_str()) {
        let found = format!("it is a {} device: give the interface below it", link.driver);
        findings.push(ENSLAVED.warning(name, found, format!("ip -d link show dev {name}")));
    } else if let Some(master) = &link.master {
        let found = format!("it belongs to {master}, to which routes and addresses lead");
        findings.push(ENSLAVED.warning(name, found, format!("ip link set dev {name} nomaster")));
    } else {
        findings.push(ENSLAVED.ok(name, format!("driver {}, by itself", link.driver)));
    }
}

fn program(facts: &Facts, name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let runs = matches!(facts.daemon.answer, Some(Ok(_)));
    let Some(program) = &link.program else {
        return findings.push(if runs {
            PROGRAM.error(name, "lbd runs, but its program is not on it", "systemctl restart lbd")
        } else {
            PROGRAM.ok(name, "no XDP program is on it")
        });
    };
    if program.ours {
        return findings.push(PROGRAM.ok(name, format!("lbd's program, id {}", program.id)));
    }
    let called = program.name.as_deref().map(|name| format!(" `{name}`")).unwrap_or_default();
    let is_lbds = matches!(program.name.as_deref(), Some("lb" | "lb_capture"));
    if is_lbds && runs && !facts.pins.mount.as_ref().is_some_and(|mount| mount.bpf) {
        let found = format!("lbd's program, id {}, whose pins are out of reach: do not stop lbd", program.id);
        let mount_point = facts.pins.directory.parent().unwrap_or(&facts.pins.directory);
        return findings.push(PROGRAM.error(
            name,
            found,
            format!("mount -t bpf bpf {}", mount_point.display()),
        ));
    }
    let whose = if is_lbds { ", lbd's of another pin directory" } else { "" };
    let found = format!("another XDP program{called}, id {}{whose}", program.id);
    let fix = match (program.link, program.mode) {
        (Some(link), _) => format!("bpftool link detach id {link}"),
        (None, Some(AttachMode::Generic)) => format!("ip link set dev {name} xdpgeneric off"),
        (None, _) => format!("ip link set dev {name} xdp off"),
    };
    findings.push(PROGRAM.error(name, found, fix));
}

fn mode(facts: &Facts, name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let wanted = valid(facts).map_or(XdpMode::Auto, |config| config.xdp_mode);
    let used = link.program.as_ref().filter(|program| program.ours).and_then(|program| program.mode);
    let driver = &link.driver;
    findings.push(match (link.xdp, used) {
        _ if wanted == XdpMode::Generic => XDP_MODE.ok(name, "generic, as configured"),
        (_, Some(AttachMode::Native)) => XDP_MODE.ok(name, format!("native, driver {driver}")),
        (Some(features), _) if !features.basic() && wanted == XdpMode::Native => {
            XDP_MODE.error(name, format!("the driver {driver} cannot run XDP programs"), "")
        }
        (Some(features), _) if !features.basic() => {
            XDP_MODE.warning(name, format!("the driver {driver} cannot run XDP programs: generic mode"), "")
        }
        (_, Some(AttachMode::Generic)) => XDP_MODE.warning(
            name,
            format!("generic mode is in use, although the driver {driver} may be able to do better"),
            "journalctl -u lbd | grep 'native mode was refused'",
        ),
        (Some(_), None) => XDP_MODE.ok(name, format!("the driver {driver} runs XDP programs")),
        (None, None) => XDP_MODE.note(
            name,
            "this kernel does not say what the driver can do (Linux 6.3 or later does)",
            "",
        ),
    });
}

/// Whether frames can be redirected to an interface.
fn target(facts: &Facts, name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let Some(features) = link.xdp.filter(|features| features.basic()) else { return };
    // One interface sends its frames back by itself; the far end of a veth is another check.
    if facts.interfaces.len() < 2 || link.driver == "veth" {
        return;
    }
    let native = link.program.as_ref().is_some_and(|program| program.mode == Some(AttachMode::Native));
    findings.push(match (features.ndo_xmit(), native) {
        (true, _) => XDP_TARGET.ok(name, "it takes redirected frames"),
        (false, true) => {
            let found = format!("the driver {} takes no redirected frames (no ndo-xmit)", link.driver);
            XDP_TARGET.error(name, found, format!("ethtool -l {name}"))
        }
        (false, false) => XDP_TARGET.note(
            name,
            "it takes redirected frames with a program on it at most; look again then",
            "",
        ),
    });
}

fn mtu(facts: &Facts, name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let links = || facts.interfaces.iter().filter_map(|interface| interface.link.as_ref());
    let smallest = links().map(|link| link.mtu).min().unwrap_or(link.mtu);
    if link.mtu > ONE_BUFFER {
        let receives = link.xdp.is_some_and(|features| features.basic() && !features.receives_frags());
        let sends = link.xdp.is_some_and(|features| features.ndo_xmit() && !features.sends_frags());
        if receives || sends && facts.interfaces.len() > 1 {
            let what = if receives { "receive" } else { "take redirected" };
            let found = format!("MTU {}, but the driver cannot {what} frames of several buffers", link.mtu);
            return findings.push(MTU.error(name, found, format!("ip link set dev {name} mtu {ONE_BUFFER}")));
        }
    }
    if link.mtu > smallest {
        let found = format!(
            "MTU {}, and {smallest} at another interface: larger packets come back as ICMP errors",
            link.mtu
        );
        return findings.push(MTU.warning(name, found, format!("ip link set dev {name} mtu {smallest}")));
    }
    findings.push(MTU.ok(name, format!("MTU {}", link.mtu)));
}

fn offloads(name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let Some(Offloads { lro, gro_hw, rx_vlan, .. }) = link.offloads else { return };
    match (lro, gro_hw) {
        (true, _) => findings.push(LRO.error(
            name,
            "large-receive-offload is on",
            format!("ethtool -K {name} lro off"),
        )),
        (_, true) => {
            findings.push(LRO.warning(name, "rx-gro-hw is on", format!("ethtool -K {name} rx-gro-hw off")));
        }
        (false, false) => findings.push(LRO.ok(name, "large-receive-offload and rx-gro-hw are off")),
    }
    let fix = format!("ethtool -K {name} rxvlan off");
    findings.push(match (rx_vlan, link.vlans.as_slice()) {
        (false, _) => VLAN_OFFLOAD.ok(name, "rx-vlan-offload is off"),
        (true, []) => VLAN_OFFLOAD.note(name, "rx-vlan-offload is on; there are no VLAN devices on it", fix),
        (true, vlans) => {
            let found =
                format!("rx-vlan-offload is on, and there are VLAN devices on it: {}", vlans.join(", "));
            VLAN_OFFLOAD.warning(name, found, fix)
        }
    });
}

fn reverse_path(facts: &Facts, name: &str, link: &Link, findings: &mut Vec<Finding>) {
    let Some(value) = link.rp_filter else { return };
    let found = format!("net.ipv4.conf.{name}.rp_filter (or that of `all`) is {value}");
    let fix = || format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", name.replace('.', "/"));
    findings.push(match value {
        1 if facts.interfaces.len() > 1 => RP_FILTER.warning(name, found, fix()),
        1 => RP_FILTER.note(name, found, fix()),
        _ => RP_FILTER.ok(name, found),
    });
}
