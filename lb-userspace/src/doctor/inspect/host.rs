//! The machine: `/proc` and `/sys`.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::{capabilities, genl};
use crate::doctor::facts::Host;

/// Where systemd looks for units; what comes first counts.
const UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

pub(super) fn inspect() -> Host {
    let conntrack: Option<u64> = value("/proc/sys/net/netfilter/nf_conntrack_count");
    let text = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let clocks = "/sys/devices/system/clocksource/clocksource0";
    let clock = text(&format!("{clocks}/current_clocksource")).map(|current| {
        let possible = text(&format!("{clocks}/available_clocksource")).unwrap_or_default();
        (current, possible.split_whitespace().map(str::to_owned).collect())
    });
    Host {
        kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
        jit: value("/proc/sys/net/core/bpf_jit_enable"),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        clock,
        missing_capabilities: capabilities::missing(None).unwrap_or_default(),
        unit_lacks: unit_texts().map(|texts| capabilities::unit_lacks(&texts)),
        forwarding_v4: value("/proc/sys/net/ipv4/ip_forward"),
        forwarding_v6: value("/proc/sys/net/ipv6/conf/all/forwarding"),
        loopback_forwarding_v4: value("/proc/sys/net/ipv4/conf/lo/forwarding"),
        loopback_forwarding_v6: value("/proc/sys/net/ipv6/conf/lo/forwarding"),
        neighbour_limits: [
            value("/proc/sys/net/ipv4/neigh/default/gc_thresh3"),
            value("/proc/sys/net/ipv6/neigh/default/gc_thresh3"),
        ],
        local_ports: text("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| {
            let mut ports = text.split_whitespace().map(str::parse);
            Some((ports.next()?.ok()?, ports.next()?.ok()?))
        }),
        packet_filters: genl::packet_filters(),
        conntrack: conntrack.is_some_and(|count| count > 0),
    }
}

/// The number in a file.
pub(super) fn value<T: FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The unit and what is dropped in beside it, in the order in which they count.
fn unit_texts() -> Option<Vec<String>> {
    let unit =
        UNITS.iter().find_map(|directory| fs::read_to_string(format!("{directory}/lbd.service")).ok())?;
    let mut texts = vec![unit];
    for directory in UNITS.iter().rev() {
        let entries = fs::read_dir(format!("{directory}/lbd.service.d")).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "conf"));
        paths.sort();
        texts.extend(paths.iter().filter_map(|path| fs::read_to_string(path).ok()));
    }
    Some(texts)
}
