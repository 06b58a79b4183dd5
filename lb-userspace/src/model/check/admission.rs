//! The rules of lists of sources, rates and limits of sources.

use ipnet::IpNet;

use super::{Found, absolute};
use crate::model::{FlowRates, Path, Problem, Service, SourceList};

/// Highest rate: one in 1000 ns.
const MAX_RATE: u64 = 1_000_000;
/// Highest rate of packets: one in 100 ns.
const MAX_PACKETS: u64 = 10_000_000;

/// The list that is for all services.
pub(super) fn global(list: &SourceList, found: &mut Found) {
    lists(list, &Path::root().key("acl"), None, found);
}

/// The list and the rates of a service.
pub(super) fn of_service(service: &Service, path: &Path, found: &mut Found) {
    lists(&service.sources, path, Some(service.address.is_ipv4()), found);
    rates(&service.rates, service.address.is_ipv4(), path, found);
}

fn lists(list: &SourceList, path: &Path, is_v4: Option<bool>, found: &mut Found) {
    for (key, prefixes) in [("allow", &list.allow), ("deny", &list.deny)] {
        for (index, prefix) in prefixes.iter().enumerate() {
            let at = || path.key(key).index(index);
            if prefix.trunc() != *prefix {
                let expected = format!("{}, or a longer prefix", prefix.trunc());
                found.add(at(), prefix, Problem::Not { what: "the first address of its network", expected });
            }
            if let Some(is_v4) = is_v4.filter(|is_v4| *is_v4 != matches!(prefix, IpNet::V4(_))) {
                found.add(at(), prefix, Problem::Family { family: if is_v4 { "IPv4" } else { "IPv6" } });
            }
            if let Some(first) = prefixes[..index].iter().position(|other| other == prefix) {
                let problem = Problem::Duplicate { first: path.key(key).index(first), expected: "each once" };
                found.add(at(), prefix, problem);
            }
        }
    }
    for (index, prefix) in list.deny.iter().enumerate() {
        if let Some(first) = list.allow.iter().position(|other| other == prefix) {
            let first = path.key("allow").index(first);
            let expected = "it to be either let in or not";
            found.add(path.key("deny").index(index), prefix, Problem::Duplicate { first, expected });
        }
    }
    for (key, file) in [("allow_file", &list.allow_file), ("deny_file", &list.deny_file)] {
        if let Some(file) = file {
            absolute(file, path.key(key), found);
        }
    }
}

fn rates(rates: &FlowRates, is_v4: bool, path: &Path, found: &mut Found) {
    for (key, value, most, what) in [
        ("flow_rate", rates.flow_rate, MAX_RATE, "a number of flows"),
        ("flow_burst", rates.flow_burst, MAX_RATE, "a number of flows"),
        ("source_flow_rate", rates.source_flow_rate, MAX_RATE, "a number of flows"),
        ("source_flow_burst", rates.source_flow_burst, MAX_RATE, "a number of flows"),
        ("packet_rate", rates.packet_rate, MAX_PACKETS, "a number of packets"),
        ("packet_burst", rates.packet_burst, MAX_PACKETS, "a number of packets"),
        ("source_packet_rate", rates.source_packet_rate, MAX_PACKETS, "a number of packets"),
        ("source_packet_burst", rates.source_packet_burst, MAX_PACKETS, "a number of packets"),
    ] {
        found.range(path.key(key), value, (0, most), what);
    }
    for (key, burst, of, rate) in [
        ("flow_burst", rates.flow_burst, "flow_rate", rates.flow_rate),
        ("source_flow_burst", rates.source_flow_burst, "source_flow_rate", rates.source_flow_rate),
        ("packet_burst", rates.packet_burst, "packet_rate", rates.packet_rate),
        ("source_packet_burst", rates.source_packet_burst, "source_packet_rate", rates.source_packet_rate),
    ] {
        if burst > 0 && rate == 0 {
            found.add(path.key(key), burst, Problem::Meaningless { when: format!("without {of}") });
        }
    }
    if let Some(bits) = rates.source_prefix {
        let path = path.key("source_prefix");
        if rates.has_sources() {
            found.range(path, bits, (1, if is_v4 { 32 } else { 128 }), "a prefix length");
        } else {
            let when = "without a limit of sources, such as source_flow_rate".to_owned();
            found.add(path, bits, Problem::Meaningless { when });
        }
    }
}
