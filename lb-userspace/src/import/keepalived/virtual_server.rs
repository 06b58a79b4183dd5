//! `virtual_server`, `virtual_server_group` and `real_server`.

use std::net::IpAddr;

use super::checker::{self, Defaults};
use super::tree::Node;
use crate::import::candidate::{Candidate, CandidateBackend};
use crate::import::report::{Id, Ledger};
use crate::import::scheduler;
use crate::model::{Protocol, ServiceAddress};

/// Most addresses of a group.
const MOST_ADDRESSES: usize = 4096;

/// Groups by name.
pub(super) type Groups<'a> = Vec<(&'a str, &'a Node)>;

/// The groups of a configuration.
pub(super) fn groups(nodes: &[Node]) -> Groups<'_> {
    let groups = nodes.iter().filter(|node| node.word(0) == "virtual_server_group");
    groups.map(|node| (node.word(1), node)).collect()
}

/// Reads a virtual server: a service, or one for each address of a group.
pub(super) fn read(
    node: &Node,
    groups: &Groups<'_>,
    used_groups: &mut Vec<Id>,
    services: &mut Vec<Candidate>,
    ledger: &mut Ledger,
) {
    let protocol = match protocol(node) {
        Ok(Some(protocol)) => protocol,
        Ok(None) => {
            ledger.assumed(node.id, "it has no `protocol`, which keepalived takes for UDP");
            Protocol::Udp
        }
        Err(reason) => return ledger.dropped_block(node.id, node.inside(), reason),
    };
    let places: Vec<(Id, IpAddr, u16)> = match node.word(1) {
        "fwmark" => {
            let reason = "a firewall mark has no counterpart: a service has an address and a port";
            return ledger.dropped_block(node.id, node.inside(), reason);
        }
        "group" => {
            let Some((_, group)) = groups.iter().find(|(name, _)| *name == node.word(2)) else {
                return ledger.dropped_block(node.id, node.inside(), "there is no such virtual_server_group");
            };
            used_groups.push(group.id);
            group_places(group, ledger)
        }
        _ => match (node.word(1).parse(), port(node.word(2))) {
            (Ok(address), Some(port)) => vec![(node.id, address, port)],
            _ => {
                let reason = "expected an address and a port, `fwmark` and a number, or `group` and a name";
                return ledger.dropped_block(node.id, node.inside(), reason);
            }
        },
    };
    ledger.used(node.id);
    let wanted = Wanted::read(node, ledger);
    for (id, address, port) in places {
        let name = match wanted.name.as_str() {
            "" => format!("{protocol}-{address}-{port}"),
            name => name.to_owned(),
        };
        let at = ServiceAddress { address, protocol, port };
        services.push(wanted.candidate(node.id, id, name, at, ledger));
    }
}

fn protocol(node: &Node) -> Result<Option<Protocol>, &'static str> {
    let word = node.children().iter().rev().find(|child| child.word(0) == "protocol");
    match word.map(|child| child.word(1).to_ascii_uppercase()).as_deref() {
        None => Ok(None),
        Some("TCP") => Ok(Some(Protocol::Tcp)),
        Some("UDP") => Ok(Some(Protocol::Udp)),
        Some("SCTP") => Err("SCTP is not balanced"),
        Some(_) => Err("expected protocol TCP or UDP"),
    }
}

/// A port; one that is left out is 0, every port.
fn port(word: &str) -> Option<u16> {
    if word.is_empty() { Some(0) } else { word.parse().ok() }
}

fn group_places(group: &Node, ledger: &mut Ledger) -> Vec<(Id, IpAddr, u16)> {
    ledger.used(group.id);
    let mut places = Vec::new();
    for entry in group.children() {
        match (addresses(entry.word(0)), port(entry.word(1))) {
            _ if entry.word(0) == "fwmark" => {
                ledger.dropped(
                    entry.id,
                    "a firewall mark has no counterpart: a service has an address and a port",
                );
            }
            (Some(addresses), Some(port)) if places.len() + addresses.len() <= MOST_ADDRESSES => {
                ledger.used(entry.id);
                places.extend(addresses.into_iter().map(|address| (entry.id, address, port)));
            }
            (Some(_), Some(_)) => ledger.dropped(entry.id, "a group has at most 4096 addresses here"),
            _ => ledger.dropped(entry.id, "expected an address, a range or a network, and a port"),
        }
    }
    places
}

/// `10.0.0.1`, `10.0.0.1-9`, `10.0.0.1-10.0.1.9` or `10.0.0.8/29`; none for one that is too large.
fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    if let Some((network, bits)) = text.split_once('/') {
        let network: ipnet::IpNet = format!("{network}/{bits}").parse().ok()?;
        let host_bits = u32::from(network.max_prefix_len() - network.prefix_len());
        let count = 1_u128.checked_shl(host_bits).filter(|count| *count <= MOST_ADDRESSES as u128)?;
        return Some(range(network.network(), count));
    }
    let Some((first, last)) = text.split_once('-') else { return Some(vec![text.parse().ok()?]) };
    let first: IpAddr = first.parse().ok()?;
    let last: IpAddr = match last.parse() {
        Ok(last) => last,
        Err(_) => match first {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::from([a, b, c, last.parse().ok()?])
            }
            IpAddr::V6(v6) => {
                let mut segments = v6.segments();
                segments[7] = u16::from_str_radix(last, 16).ok()?;
                IpAddr::from(segments)
            }
        },
    };
    if first.is_ipv4() != last.is_ipv4() {
        return None;
    }
    let count = number(last).checked_sub(number(first))?.checked_add(1)?;
    (count <= MOST_ADDRESSES as u128).then(|| range(first, count))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn range(first: IpAddr, count: u128) -> Vec<IpAddr> {
    let start = number(first);
    (0..count)
        .map_while(|offset| {
            let number = start.checked_add(offset)?;
            match first {
                IpAddr::V4(_) => u32::try_from(number).ok().map(|bits| IpAddr::from(bits.to_be_bytes())),
                IpAddr::V6(_) => Some(IpAddr::from(number.to_be_bytes())),
            }
        })
        .collect()
}

/// What a virtual server says, for all its addresses.
#[derive(Debug, Default)]
struct Wanted {
    name: String,
    scheduler: Option<(Id, String)>,
    flags: Vec<String>,
    persistence: Option<(Id, String)>,
    granularity: Option<(Id, Option<u8>)>,
    backends: Vec<CandidateBackend>,
    /// Sorry servers.
    backups: Vec<CandidateBackend>,
}

impl Wanted {
    fn read(node: &Node, ledger: &mut Ledger) -> Self {
        let mut wanted = Self::default();
        let mut method = ("NAT".to_owned(), node.id);
        let defaults = Defaults::default().with(node, ledger);
        for child in node.children() {
            let value = child.word(1);
            match child.word(0) {
                "lb_algo" | "lvs_sched" => {
                    ledger.used(child.id);
                    wanted.scheduler = Some((child.id, value.to_owned()));
                }
                "flag-1" | "flag-2" | "flag-3" | "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback" => {
                    let flag = child.word(0).to_owned();
                    if matches!(flag.as_str(), "mh-port" | "flag-2") {
                        ledger.used(child.id);
                    } else {
                        ledger.dropped(child.id, "this flag of the scheduler has no counterpart");
                    }
                    wanted.flags.push(flag);
                }
                "lb_kind" | "lvs_method" => {
                    ledger.used(child.id);
                    method = (value.to_ascii_uppercase(), child.id);
                }
                "persistence_timeout" => {
                    ledger.used(child.id);
                    wanted.persistence =
                        Some((child.id, if value.is_empty() { "360" } else { value }.to_owned()));
                }
                "persistence_granularity" => {
                    ledger.used(child.id);
                    wanted.granularity = Some((child.id, scheduler::mask_bits(value)));
                }
                "snmp_name" => {
                    ledger.used(child.id);
                    value.clone_into(&mut wanted.name);
                }
                "sorry_server" => match (value.parse(), port(child.word(2))) {
                    (Ok(address), Some(port)) => {
                        ledger.used(child.id);
                        let backend = CandidateBackend::new(child.id, address, port);
                        wanted.backups.push(CandidateBackend { backup: true, ..backend });
                    }
                    _ => ledger.dropped(child.id, "expected an address and a port"),
                },
                "protocol" | "real_server" => ledger.used(child.id),
                word if checker::is_default(word) || word == "virtualhost" => {}
                word => ledger.dropped_block(child.id, child.inside(), reason(word)),
            }
        }
        scheduler::method(&method.0, method.1, ledger);
        for server in node.children().iter().filter(|child| child.word(0) == "real_server") {
            real_server(server, &defaults, &mut wanted.backends, ledger);
        }
        unused_hosts(node, ledger);
        let scheduler = wanted.scheduler.as_ref().map(|(_, name)| name.as_str());
        if scheduler.is_some_and(scheduler::is_unweighted) {
            unweighted(&mut wanted.backends, ledger);
        }
        wanted
    }

    fn candidate(
        &self,
        server: Id,
        place: Id,
        name: String,
        at: ServiceAddress,
        ledger: &mut Ledger,
    ) -> Candidate {
        let mut candidate = Candidate::new(place, name, at);
        let (id, scheduler) =
            self.scheduler.as_ref().map_or((server, "wlc"), |(id, name)| (*id, name.as_str()));
        let flags = self.flags.join(",");
        candidate.algorithm = scheduler::algorithm(scheduler, Some(&flags), id, ledger);
        if let Some((id, timeout)) = &self.persistence {
            let prefix = self.granularity.and_then(|(_, bits)| bits);
            candidate.statement = *id;
            let timeout = scheduler::persistence_time(timeout);
            scheduler::persistent(&mut candidate, prefix, Some(timeout), ledger);
            candidate.statement = place;
        }
        match self.granularity {
            Some((id, None)) => ledger.dropped(id, "expected a netmask or a number of bits"),
            Some((id, _)) if self.persistence.is_none() => {
                ledger.dropped(id, "it means nothing without persistence_timeout");
            }
            _ => {}
        }
        candidate.backends = self.backends.iter().chain(&self.backups).cloned().collect();
        for backend in &mut candidate.backends {
            // A server without a port of its own has the one the client used.
            if backend.port == 0 {
                backend.port = at.port;
            }
        }
        candidate
    }
}

/// Why a statement of a virtual server has no counterpart.
fn reason(word: &str) -> &'static str {
    match word {
        "sorry_server_inhibit" | "sorry_server_lvs_method" => {
            "it is about sorry_server, which is a backup here, as any backend can be"
        }
        "quorum" | "hysteresis" => {
            "there is no quorum of weights: see backup_below and health.panic_threshold"
        }
        "quorum_up" | "quorum_down" | "notify_up" | "notify_down" => {
            "no scripts are run: watch lb_backend_up in /metrics instead"
        }
        "smtp_alert" => "no mail is sent: alert on /metrics instead",
        "alpha" => "backends are taken to be healthy until checks say otherwise",
        "omega" => "forwarding goes on when lbd ends",
        "ops" => "one-packet scheduling: a UDP exchange is a flow here, see [timeouts] udp_new",
        "persistence_engine" => "only addresses and ports are looked at",
        "ha_suspend" => "checks do not depend on who holds the VIP",
        "inhibit_on_failure" => "a backend whose checks fail takes no flows; its flows are not kept",
        "lthreshold" => "a backend that is full takes connections again as soon as one of its own has ended",
        "ip_family" => "it is about firewall marks, which have no counterpart",
        "lvs_method" => "all backends of a service have one mode",
        _ => "this has no counterpart",
    }
}

fn real_server(node: &Node, defaults: &Defaults, backends: &mut Vec<CandidateBackend>, ledger: &mut Ledger) {
    let (Ok(address), Some(port)) = (node.word(1).parse(), port(node.word(2))) else {
        return ledger.dropped_block(node.id, node.inside(), "expected an address and a port");
    };
    let defaults = defaults.with(node, ledger);
    let mut backend = CandidateBackend::new(node.id, address, port);
    for child in node.children() {
        match child.word(0) {
            "weight" => match child.word(1).parse() {
                Ok(weight) => {
                    ledger.used(child.id);
                    backend.weight = Some(weight);
                }
                Err(_) => ledger.dropped(child.id, "expected a number"),
            },
            "uthreshold" => match child.word(1).parse() {
                Ok(most) => {
                    ledger.used(child.id);
                    backend.max_connections = most;
                }
                Err(_) => ledger.dropped(child.id, "expected a number"),
            },
            "snmp_name" if !child.word(1).is_empty() => {
                ledger.used(child.id);
                backend.name = Some(child.word(1).to_owned());
            }
            "lvs_method" | "lb_kind" => {
                ledger.used(child.id);
                scheduler::method(&child.word(1).to_ascii_uppercase(), child.id, ledger);
            }
            word if checker::is_checker(word) => {
                let check = checker::read(child, &defaults, (address, port), ledger);
                match (&backend.check, check) {
                    (None, check) => backend.check = check,
                    (Some(_), Some(_)) => {
                        ledger.dropped(
                            child.id,
                            "a service has one check: the first one of this server counts",
                        );
                    }
                    (Some(_), None) => {}
                }
            }
            word if checker::is_default(word) || word == "virtualhost" => {}
            word => ledger.dropped_block(child.id, child.inside(), reason(word)),
        }
    }
    unused_hosts(node, ledger);
    backends.push(backend);
}

/// Reports the hosts that no check asks for.
fn unused_hosts(node: &Node, ledger: &mut Ledger) {
    for child in node.children().iter().filter(|child| child.word(0) == "virtualhost") {
        ledger.dropped_if_open(
            child.id,
            "no check of these servers asks over HTTP for it, or each has its own",
        );
    }
}

/// Makes weights equal but for 0, as a scheduler does that ignores them.
fn unweighted(backends: &mut [CandidateBackend], ledger: &mut Ledger) {
    for backend in backends {
        if backend.weight.is_some_and(|weight| weight > 1) {
            ledger.changed(
                backend.statement,
                "its weight was ignored by the scheduler: it has the same as the others",
            );
        }
        backend.weight = backend.weight.map(|weight| weight.min(1));
    }
}
