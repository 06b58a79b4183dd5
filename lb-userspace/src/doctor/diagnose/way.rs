//! The ways to backends, and from clients to VIPs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::valid;
use crate::doctor::facts::{Destination, Facts, LocalAddress, Neighbour, Route};
use crate::doctor::finding::{Check, EGRESS, Finding, NEIGHBOUR, ROUTE, SNAT, VIP};
use crate::model::Config;

/// Most backends that are listed one by one where all is well.
const MOST_LISTED: usize = 20;

pub(super) fn diagnose(facts: &Facts, findings: &mut Vec<Finding>) {
    let mut fine = Vec::new();
    for backend in &facts.backends {
        way(facts, backend, &mut fine, findings);
    }
    if fine.len() <= MOST_LISTED {
        findings.extend(fine);
    } else {
        findings.push(
            NEIGHBOUR.ok("", format!("{} facts about ways to backends are as they should be", fine.len())),
        );
    }
    let Some(config) = valid(facts).filter(|_| !facts.addresses.is_empty()) else { return };
    let vips: BTreeSet<IpAddr> = config.services.iter().map(|service| service.address).collect();
    let sources: BTreeSet<IpAddr> =
        config.services.iter().flat_map(|service| service.snat_addresses.iter().copied()).collect();
    for address in vips {
        own_address(&VIP, address, facts, findings);
    }
    for address in sources {
        own_address(&SNAT, address, facts, findings);
    }
}

fn way(facts: &Facts, backend: &Destination, fine: &mut Vec<Finding>, findings: &mut Vec<Finding>) {
    let (name, address) = (backend.name.as_str(), backend.address);
    match &backend.route {
        Route::Unknown => {
            findings.push(ROUTE.note(name, format!("the route to {address} could not be asked for"), ""));
        }
        Route::Missing => {
            findings.push(ROUTE.error(name, format!("no route to {address}"), route_fix(facts, address)));
        }
        Route::Local => findings.push(ROUTE.error(
            name,
            format!("{address} is an address of this machine, which cannot be a backend"),
            format!("lbctl backend rm {}", name.replacen('/', " ", 1)),
        )),
        Route::Via { interface, hop, neighbour } => {
            let known = facts.interfaces.iter().any(|own| own.name == *interface);
            if !known {
                let found = format!("{address} is reached through {interface}, which is not in `interfaces`");
                findings.push(EGRESS.error(name, found, interfaces_fix(facts, interface)));
            }
            if hop.is_ipv4() != address.is_ipv4() {
                let found =
                    format!("{address} is reached through the IPv6 gateway {hop}, which is not followed");
                return findings.push(ROUTE.error(name, found, route_fix(facts, address)));
            }
            let found = format!("{address} is reached through {interface}, next hop {hop}");
            let ask = || format!("ip neigh replace {hop} dev {interface} use nud none");
            match neighbour {
                Neighbour::Failed => {
                    findings.push(NEIGHBOUR.error(name, format!("{found}, which does not answer"), ask()));
                }
                Neighbour::Missing => {
                    findings.push(NEIGHBOUR.note(name, format!("{found}, which is not resolved yet"), ask()));
                }
                Neighbour::Known if known => fine.push(NEIGHBOUR.ok(name, found)),
                Neighbour::Known => {}
            }
        }
    }
}

/// On the link if the address is in the network of an interface, else through the gateway that another backend has.
fn route_fix(facts: &Facts, address: IpAddr) -> String {
    if let Some(local) = network_of(facts, address) {
        return format!("ip route add {address} dev {}", local.interface);
    }
    let gateway = facts.backends.iter().find_map(|backend| match &backend.route {
        Route::Via { interface, hop, .. }
            if *hop != backend.address && hop.is_ipv4() == address.is_ipv4() =>
        {
            Some((interface, hop))
        }
        _ => None,
    });
    match (gateway, facts.interfaces.last()) {
        (Some((interface, hop)), _) => format!("ip route add {address} via {hop} dev {interface}"),
        (None, Some(interface)) => format!("ip route add {address} dev {}", interface.name),
        (None, None) => String::new(),
    }
}

fn interfaces_fix(facts: &Facts, interface: &str) -> String {
    let Some(config) = valid(facts) else { return String::new() };
    let mut names: Vec<String> = config.interfaces.iter().map(|name| format!("\"{name}\"")).collect();
    names.push(format!("\"{interface}\""));
    let file = facts.config_file.display();
    format!("sed -i 's/^interfaces *=.*/interfaces = [{}]/' {file} && lbctl config reload", names.join(", "))
}

/// The address of a configured interface in whose network another address is.
fn network_of(facts: &Facts, address: IpAddr) -> Option<&LocalAddress> {
    facts.addresses.iter().find(|local| {
        facts.interfaces.iter().any(|interface| interface.name == local.interface)
            && ipnet::IpNet::new(local.address, local.prefix).is_ok_and(|network| network.contains(&address))
    })
}

/// An address that others must be able to find at this machine.
fn own_address(check: &Check, address: IpAddr, facts: &Facts, findings: &mut Vec<Finding>) {
    let subject = address.to_string();
    let own = facts.addresses.iter().find(|local| local.address == address);
    findings.push(match (own, network_of(facts, address)) {
        (Some(local), _) => check.ok(&subject, format!("an address of {}", local.interface)),
        (None, Some(local)) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let found = format!(
                "it is in the network of {} ({}/{}), but no address of this machine",
                local.interface, local.address, local.prefix
            );
            check.warning(&subject, found, format!("ip addr add {address}/{bits} dev {}", local.interface))
        }
        (None, None) => check
            .ok(&subject, "in no network of this machine: routers must have a route to it that leads here"),
    });
}

/// The names of a configuration's backends by address, each address once.
pub(crate) fn backends(config: &Config) -> Vec<(IpAddr, String)> {
    let mut seen = BTreeSet::new();
    let all = config.services.iter().flat_map(|service| {
        service.backends.iter().map(|backend| (backend.address, format!("{}/{}", service.name, backend.name)))
    });
    all.filter(|(address, _)| seen.insert(*address)).collect()
}
