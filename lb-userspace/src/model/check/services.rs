//! Rules of services.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::backends::check_backends;
use super::{Found, admission, within};
use crate::model::{
    AddressKind, Algorithm, Damping, HealthCheck, Invalid, Keyword as _, Limits, MAX_SLOTS,
    MAX_SNAT_ADDRESSES, Mode, Passive, Path, PortUse, Problem, Protocol, Service, address_kind,
};

/// Everything that is wrong with services, each given with its position in the configuration.
///
/// For a parser that could not read all of them; [`crate::model::Draft::check`] includes it.
#[must_use]
pub fn check_services(services: &[(usize, &Service)], limits: &Limits) -> Vec<Invalid> {
    check(services, limits, |_| false)
}

/// As [`check_services`]; services in `known` places are only compared with the others.
pub(super) fn check(
    services: &[(usize, &Service)],
    limits: &Limits,
    known: impl Fn(usize) -> bool,
) -> Vec<Invalid> {
    let mut found = Found::default();
    let mut names = HashMap::new();
    let mut addresses = HashMap::new();
    let mut vips = HashMap::new();
    for (index, service) in services {
        vips.entry(service.address).or_insert(*index);
    }
    for (index, service) in services {
        let first = *names.entry(&service.name).or_insert(*index);
        if first != *index {
            let first = path_of(first).key("name");
            let problem = Problem::Duplicate { first, expected: "a name of its own" };
            found.add(path_of(*index).key("name"), &service.name, problem);
        }
        let first = *addresses.entry(service.at()).or_insert(*index);
        if first != *index {
            let expected = "an address, protocol and port that no other service has";
            let problem = Problem::Duplicate { first: path_of(first), expected };
            found.add(path_of(*index).key("port"), service.at(), problem);
        }
        if !known(*index) {
            let path = path_of(*index);
            check_service(service, &path, &mut found);
            check_backends(service, &path, |address| vips.get(&address).copied().map(path_of), &mut found);
        }
    }
    totals(services, limits, &mut found);
    found.0
}

fn path_of(index: usize) -> Path {
    Path::root().key("services").index(index)
}

fn check_service(service: &Service, path: &Path, found: &mut Found) {
    unicast(service.address, || path.key("address"), found);
    slots(service, path, found);
    affinity(service, path, found);
    admission::of_service(service, path, found);
    snat_addresses(service, path, found);
    slow_start(service, path, found);
    if let Some(check) = &service.health {
        health(service, check, &path.key("health"), found);
    }
}

/// Adds a problem unless the address names one host; true if it does.
pub(super) fn unicast(address: IpAddr, path: impl FnOnce() -> Path, found: &mut Found) -> bool {
    let kind = address_kind(address);
    if kind != AddressKind::Unicast {
        found.add(path(), address, Problem::AddressKind { kind });
    }
    kind == AddressKind::Unicast
}

/// Adds a problem unless both addresses are of one family.
pub(super) fn same_family(address: IpAddr, vip: IpAddr, path: impl FnOnce() -> Path, found: &mut Found) {
    if address.is_ipv4() != vip.is_ipv4() {
        let family = if vip.is_ipv4() { "IPv4" } else { "IPv6" };
        found.add(path(), address, Problem::Family { family });
    }
}

fn slots(service: &Service, path: &Path, found: &mut Found) {
    let (path, slots) = (path.key("slots"), service.slot_count());
    if !(1..=MAX_SLOTS).contains(&slots) {
        found.range(path, slots, (1, u64::from(MAX_SLOTS)), "a number of slots");
    } else if service.algorithm == Algorithm::Maglev && largest_prime(slots) != Some(slots) {
        let nearest = largest_prime(slots).unwrap_or(2);
        found.add(path, slots, Problem::NotPrime { algorithm: service.algorithm.as_str(), nearest });
    } else if service.backends.len() > slots as usize {
        found.add(path, slots, Problem::FewSlots { backends: service.backends.len() });
    }
}

/// The largest prime that is at most `limit`.
#[must_use]
pub fn largest_prime(limit: u32) -> Option<u32> {
    let is_prime = |n: &u32| *n >= 2 && (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..=limit.min(MAX_SLOTS)).rev().find(is_prime)
}

fn affinity(service: &Service, path: &Path, found: &mut Found) {
    if !service.affinity_timeout.is_zero() {
        let (week, expected) = ((1_000, 7 * 86_400_000), "\"0s\" (none), or \"1s\" to \"168h\"");
        within(service.affinity_timeout, week, expected, path.key("affinity_timeout"), found);
    }
    let Some(bits) = service.affinity_prefix else { return };
    let path = path.key("affinity_prefix");
    if service.algorithm == Algorithm::SourceHash || !service.affinity_timeout.is_zero() {
        let max = if service.address.is_ipv4() { 32 } else { 128 };
        found.range(path, bits, (1, max), "a prefix length");
    } else {
        let when = format!("with algorithm {} and without affinity_timeout", service.algorithm);
        found.add(path, bits, Problem::Meaningless { when });
    }
}

fn snat_addresses(service: &Service, path: &Path, found: &mut Found) {
    let list_path = path.key("snat_addresses");
    let addresses = &service.snat_addresses;
    match service.mode {
        Mode::Nat if addresses.is_empty() => return,
        Mode::Nat => {
            let when = format!("with mode {}", service.mode);
            return found.add(list_path, list(addresses), Problem::Meaningless { when });
        }
        Mode::FullNat if addresses.is_empty() => {
            let (why, expected) = ("mode full-nat sends from it", "a list of 1 to 16 addresses");
            return found.add(list_path, "", Problem::Missing { why, expected });
        }
        Mode::FullNat => {}
    }
    found.range(
        list_path.clone(),
        addresses.len() as u64,
        (1, MAX_SNAT_ADDRESSES as u64),
        "a usable number of addresses",
    );
    for (index, address) in addresses.iter().enumerate() {
        let path = list_path.index(index);
        unicast(*address, || path.clone(), found);
        same_family(*address, service.address, || path.clone(), found);
        if let Some(first) = addresses[..index].iter().position(|other| other == address) {
            let first = list_path.index(first);
            found.add(path.clone(), address, Problem::Duplicate { first, expected: "each address once" });
        }
        if let Some(backend) = service.backends.iter().find(|backend| backend.address == *address) {
            let backend = backend.name.to_string();
            found.add(path, address, Problem::IsBackend { backend });
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    format!("[{}]", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn health(service: &Service, check: &HealthCheck, path: &Path, found: &mut Found) {
    within(check.interval, (100, 3_600_000), "\"100ms\" to \"1h\"", path.key("interval"), found);
    within(check.timeout, (1, 3_600_000), "\"1ms\" up to the interval", path.key("timeout"), found);
    no_longer(check.timeout, check.interval, "the interval", path.key("timeout"), found);
    if let Some(fast) = check.fast_interval {
        within(fast, (10, 3_600_000), "\"10ms\" up to the interval", path.key("fast_interval"), found);
        no_longer(fast, check.interval, "the interval", path.key("fast_interval"), found);
    }
    no_longer(check.jitter, check.interval / 2, "half of the interval", path.key("jitter"), found);
    damping(&check.damping, path, found);
    passive(&check.passive, path, found);
    found.range(path.key("max_ejected"), check.max_ejected, (0, 100), "a percentage");
    found.range(path.key("panic_threshold"), check.panic_threshold, (0, 100), "a percentage");
    found.range(path.key("rise"), check.rise, (1, 1000), "a number of probes");
    found.range(path.key("fall"), check.fall, (1, 1000), "a number of probes");
    health_port(service, check, path, found);
    if let Some(source) = check.probe.source {
        let path = path.key("source");
        if unicast(source, || path.clone(), found) {
            same_family(source, service.address, || path, found);
        }
    }
}

fn health_port(service: &Service, check: &HealthCheck, path: &Path, found: &mut Found) {
    let (path, kind) = (path.key("port"), check.probe.probe_type());
    match (check.port, check.probe.port_use()) {
        (Some(0), _) => {
            found.range(path, 0_u64, (1, 65_535), "a port");
        }
        (Some(port), PortUse::None) => {
            found.add(path, port, Problem::Meaningless { when: format!("with type {kind}") });
        }
        (Some(_), _) | (None, PortUse::None | PortUse::Optional) => {}
        (None, PortUse::Tcp) if service.protocol == Protocol::Udp => {
            let (why, expected) = ("a UDP service is checked over TCP", "the port to connect to");
            found.add(path, "", Problem::Missing { why, expected });
        }
        (None, PortUse::Udp) if service.protocol == Protocol::Tcp => {
            let (why, expected) = ("a TCP service is checked over UDP", "the port to send to");
            found.add(path, "", Problem::Missing { why, expected });
        }
        (None, _) if service.backends.iter().any(|backend| backend.port == 0) => {
            let (why, expected) = ("a backend has port 0", "the port to check");
            found.add(path, "", Problem::Missing { why, expected });
        }
        (None, _) => {}
    }
}

fn damping(damping: &Damping, path: &Path, found: &mut Found) {
    found.range(path.key("max_flaps"), damping.max_flaps, (0, 100), "a number of times");
    let day = (1_000, 86_400_000);
    within(damping.window, day, "\"1s\" to \"24h\"", path.key("flap_window"), found);
    within(damping.hold, day, "\"1s\" to \"24h\"", path.key("hold_down"), found);
    within(damping.max_hold, day, "\"1s\" to \"24h\"", path.key("max_hold_down"), found);
    no_longer(damping.hold, damping.max_hold, "max_hold_down", path.key("hold_down"), found);
}

fn passive(passive: &Passive, path: &Path, found: &mut Found) {
    within(passive.window, (500, 60_000), "\"500ms\" to \"1m\"", path.key("passive_window"), found);
    found.range(path.key("passive_count"), passive.count, (1, 1_000_000), "a number of signals");
    found.range(path.key("passive_percent"), passive.percent, (1, 100), "a percentage here");
}

fn no_longer(value: Duration, limit: Duration, other: &'static str, path: Path, found: &mut Found) {
    if value > limit {
        let problem = Problem::LongerThan { other, limit: format!("{limit:?}") };
        found.add(path, format_args!("{value:?}"), problem);
    }
}

fn slow_start(service: &Service, path: &Path, found: &mut Found) {
    if !service.slow_start.is_zero() {
        let expected = "\"0s\" (none), or \"1s\" to \"1h\"";
        within(service.slow_start, (1_000, 3_600_000), expected, path.key("slow_start"), found);
    }
    let path = path.key("backup_below");
    found.range(path, service.backup_below, (1, 65_535), "a number of backends");
}

/// Sums over all services against `[limits]`.
fn totals(services: &[(usize, &Service)], limits: &Limits, found: &mut Found) {
    let backends: usize = services.iter().map(|(_, service)| service.backends.len()).sum();
    let pools: usize =
        services.iter().map(|(_, service)| service.backends.len() * service.snat_addresses.len()).sum();
    for (number, allowed, what, limit) in [
        (services.len(), limits.services, "services", "limits.services"),
        (backends, limits.backends, "backends", "limits.backends"),
        (pools, limits.port_pools, "pairs of SNAT address and backend", "limits.port_pools"),
    ] {
        if number > allowed as usize {
            found.add(Path::root().key("services"), number, Problem::OverLimit { what, limit, allowed });
        }
    }
}
