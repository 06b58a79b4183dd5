//! The machine and its kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{has_family, valid};
use crate::doctor::facts::{Facts, Host, Route};
use crate::doctor::finding::{
    BTF, CAPABILITIES, CLOCK, FILTER, FORWARDING, Finding, JIT, KERNEL, LOOPBACK, NEIGHBOURS, PORTS,
};
use crate::model::{Mode, SnatPorts};
use crate::net::DEFAULT_LIMIT;

/// The oldest kernel.
const OLDEST: (u32, u32) = (6, 1);
/// Clocks that are read without leaving the processor.
const FAST_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "timebase"];

pub(super) fn diagnose(facts: &Facts, findings: &mut Vec<Finding>) {
    kernel(&facts.host, findings);
    clock(&facts.host, findings);
    capabilities(facts, findings);
    loopback(facts, findings);
    forwarding(facts, findings);
    neighbours(facts, findings);
    filter(&facts.host, findings);
    ports(facts, findings);
}

fn kernel(host: &Host, findings: &mut Vec<Finding>) {
    let mut numbers =
        host.kernel.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = format!("Linux {}", host.kernel);
    findings.push(match host.kernel.is_empty() {
        true => KERNEL.note("", "the release could not be read", ""),
        false if release < OLDEST => KERNEL.error("", found, "apt install linux-image-amd64"),
        false => KERNEL.ok("", found),
    });
    findings.push(match host.jit {
        Some(0) => JIT.warning("", "net.core.bpf_jit_enable is 0", "sysctl -w net.core.bpf_jit_enable=1"),
        Some(value) => JIT.ok("", format!("net.core.bpf_jit_enable is {value}")),
        None => JIT.note("", "it can be seen in the first network namespace only", ""),
    });
    findings.push(if host.btf {
        BTF.ok("", "/sys/kernel/btf/vmlinux is there")
    } else {
        BTF.note("", "there is no /sys/kernel/btf/vmlinux", "")
    });
}

fn clock(host: &Host, findings: &mut Vec<Finding>) {
    let Some((clock, possible)) = &host.clock else { return };
    if FAST_CLOCKS.contains(&clock.as_str()) {
        return findings.push(CLOCK.ok("", format!("the clock is {clock}")));
    }
    let better = FAST_CLOCKS.iter().find(|fast| possible.iter().any(|other| other == *fast));
    let fix = better.map_or_else(String::new, |better| {
        format!("echo {better} > /sys/devices/system/clocksource/clocksource0/current_clocksource")
    });
    findings.push(CLOCK.note("", format!("the clock is {clock}"), fix));
}

fn capabilities(facts: &Facts, findings: &mut Vec<Finding>) {
    let list = |names: &[String]| names.join(", ");
    let own = &facts.host.missing_capabilities;
    if own.is_empty() {
        findings.push(CAPABILITIES.ok("lbctl", "it has all of them"));
    } else {
        findings.push(CAPABILITIES.note("lbctl", format!("it lacks {}", list(own)), "sudo lbctl doctor"));
    }
    match &facts.daemon.missing_capabilities {
        Some(missing) if missing.is_empty() => findings.push(CAPABILITIES.ok("lbd", "it has all of them")),
        Some(missing) => {
            findings.push(CAPABILITIES.error("lbd", format!("it lacks {}", list(missing)), unit_fix()));
        }
        None => {}
    }
    match &facts.host.unit_lacks {
        Some(missing) if missing.is_empty() => {
            findings.push(CAPABILITIES.ok("lbd.service", "it gives all of them"));
        }
        Some(missing) => {
            let found = format!("it does not give {}", list(missing));
            findings.push(CAPABILITIES.warning("lbd.service", found, unit_fix()));
        }
        None => {}
    }
}

fn unit_fix() -> String {
    let all = "CAP_BPF CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON";
    format!(
        "mkdir -p /etc/systemd/system/lbd.service.d && printf '[Service]\\nCapabilityBoundingSet={all}\\nAmbientCapabilities={all}\\n' \
         > /etc/systemd/system/lbd.service.d/capabilities.conf && systemctl daemon-reload && systemctl restart lbd"
    )
}

fn loopback(facts: &Facts, findings: &mut Vec<Finding>) {
    let runs = matches!(facts.daemon.answer, Some(Ok(_)));
    for (v4, value) in [(true, facts.host.loopback_forwarding_v4), (false, facts.host.loopback_forwarding_v6)]
    {
        let key = if v4 { "net.ipv4.conf.lo.forwarding" } else { "net.ipv6.conf.lo.forwarding" };
        match value {
            Some(0) if runs && has_family(facts, v4) => {
                findings.push(LOOPBACK.error("", format!("{key} is 0"), format!("sysctl -w {key}=1")));
            }
            Some(0) => findings.push(LOOPBACK.ok("", format!("{key} is 0; lbd sets it"))),
            Some(value) => findings.push(LOOPBACK.ok("", format!("{key} is {value}"))),
            None => {}
        }
    }
}

fn forwarding(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(config) = valid(facts) else { return };
    for (v4, key, value) in [
        (true, "net.ipv4.ip_forward", facts.host.forwarding_v4),
        (false, "net.ipv6.conf.all.forwarding", facts.host.forwarding_v6),
    ] {
        let matters = config
            .services
            .iter()
            .any(|service| service.mode == Mode::Nat && service.address.is_ipv4() == v4);
        match value {
            Some(0) if matters => {
                findings.push(FORWARDING.note("", format!("{key} is 0"), format!("sysctl -w {key}=1")));
            }
            Some(value) if matters => findings.push(FORWARDING.ok("", format!("{key} is {value}"))),
            _ => {}
        }
    }
}

fn neighbours(facts: &Facts, findings: &mut Vec<Finding>) {
    for (index, v4) in [(0, true), (1, false)] {
        let hops: BTreeSet<(&str, IpAddr)> = facts
            .backends
            .iter()
            .filter_map(|backend| match &backend.route {
                Route::Via { interface, hop, .. } if hop.is_ipv4() == v4 => Some((interface.as_str(), *hop)),
                _ => None,
            })
            .collect();
        if hops.is_empty() {
            continue;
        }
        let limit = facts.host.neighbour_limits[index].unwrap_or(DEFAULT_LIMIT);
        let family = if v4 { "ipv4" } else { "ipv6" };
        let found =
            format!("{} next hops of backends, net.{family}.neigh.default.gc_thresh3 is {limit}", hops.len());
        if hops.len() * 4 > limit * 3 {
            let most = (hops.len() * 4).next_power_of_two().max(8192);
            let key = format!("net.{family}.neigh.default.gc_thresh");
            let fix = format!("sysctl -w {key}1={} {key}2={} {key}3={most}", most / 4, most / 2);
            findings.push(NEIGHBOURS.warning("", found, fix));
        } else {
            findings.push(NEIGHBOURS.ok("", found));
        }
    }
}

fn filter(host: &Host, findings: &mut Vec<Finding>) {
    let Some(tables) = &host.packet_filters else { return };
    let tracking = if host.conntrack { "; connections are tracked" } else { "" };
    findings.push(match tables.len() {
        0 => FILTER.ok("", format!("nftables has no tables{tracking}")),
        _ => FILTER.note("", format!("nftables has the tables {}{tracking}", tables.join(", ")), ""),
    });
}

fn ports(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(config), Some((low, high))) = (valid(facts), facts.host.local_ports) else { return };
    let own = |address: &IpAddr| facts.addresses.iter().any(|local| local.address == *address);
    let mut shared = config.services.iter().flat_map(|service| &service.snat_addresses).filter(|a| own(a));
    let SnatPorts { min, max } = config.snat_ports;
    let found = format!("[snat] ports is {min}-{max}, net.ipv4.ip_local_port_range is {low} {high}");
    match shared.next() {
        Some(address) if min <= high && low <= max => {
            findings.push(PORTS.warning(&address.to_string(), found, ports_fix(config.snat_ports, high)));
        }
        Some(_) => findings.push(PORTS.ok("", found)),
        None => {}
    }
}

/// The larger part of the ports beside the configured ones is left to the host.
fn ports_fix(ports: SnatPorts, high: u16) -> String {
    let (above, below) = (u16::MAX - ports.max, ports.min.saturating_sub(1024));
    let range = if above >= below && above > 1 {
        Some((ports.max + 1, high.max(60_999).max(ports.max + 1)))
    } else if below > 1 {
        Some((1024, ports.min - 1))
    } else {
        None
    };
    // The kernel warns unless one end is odd and the other even.
    range.map_or_else(String::new, |(low, high)| {
        let low = if low % 2 == high % 2 && low < high { low + 1 } else { low };
        format!("sysctl -w net.ipv4.ip_local_port_range=\"{low} {high}\"")
    })
}
