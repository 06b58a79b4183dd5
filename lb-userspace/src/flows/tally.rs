//! Who has how many flows.

use std::{cmp::Reverse, collections::BinaryHeap, io, net::IpAddr};

use ipnet::IpNet;
use lb_common::abi::{Abi, Address, Flow, FlowKey};

use super::{
    FlowMaps, Rules,
    census::has_answer,
    list::{record, rules},
    tables::{Table, Visit},
};
use crate::api::{FlowFilter, FlowGroupKey, FlowRecord, FlowShare, FlowTally, GroupBy};

/// The largest groups of the live flows at tick `now` that pass the filter, at most `filter.limit`. Takes 16 bytes of memory for each
/// of these flows.
///
/// # Errors
/// What the kernel says.
pub fn top(maps: &FlowMaps, now: u32, by: GroupBy, filter: &FlowFilter) -> io::Result<FlowTally> {
    let rules = rules(maps, now)?;
    let (mut established, mut embryonic) = (Vec::new(), Vec::new());
    for table in &maps.tables {
        let gatherer =
            || Gatherer { rules: &rules, by, filter, established: Vec::new(), embryonic: Vec::new() };
        for (part, _) in table.visit_by(gatherer)? {
            established.extend(part.established);
            embryonic.extend(part.embryonic);
        }
    }
    established.sort_unstable();
    embryonic.sort_unstable();
    Ok(largest(&established, &embryonic, by, filter.limit))
}

struct Gatherer<'a> {
    rules: &'a Rules,
    by: GroupBy,
    filter: &'a FlowFilter,
    /// A number for each flow with an answer that says in which group it is.
    established: Vec<u128>,
    /// Likewise for each without one.
    embryonic: Vec<u128>,
}

impl Visit for Gatherer<'_> {
    fn entry<A>(&mut self, table: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        if !flow.is_reverse() && !self.rules.is_dead(flow) {
            let record = record(self.rules, key, flow);
            if self.filter.wants(&record) {
                let answered = has_answer(table.tier, flow);
                let keys = if answered { &mut self.established } else { &mut self.embryonic };
                keys.push(number(self.by, &record));
            }
        }
        Ok(true)
    }
}

/// The number of a flow's group. Addresses of IPv4 are numbered as IPv6 maps them (RFC 4291 §2.5.5.2).
fn number(by: GroupBy, flow: &FlowRecord) -> u128 {
    let address = match flow.client.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    match by {
        GroupBy::Client => address,
        GroupBy::ClientPrefix(v4, v6) => {
            let bits = if flow.client.is_ipv4() { 96 + u32::from(v4) } else { u32::from(v6) };
            address & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
        }
        GroupBy::Service => flow.service.into(),
        GroupBy::Backend => u128::from(flow.service) << 32 | u128::from(flow.backend),
    }
}

/// What [`number`] stands for.
fn key(by: GroupBy, number: u128) -> FlowGroupKey {
    let (v4, v6) = match by {
        GroupBy::ClientPrefix(v4, v6) => (v4, v6),
        _ => (32, 128),
    };
    match by {
        GroupBy::Service => FlowGroupKey::Service(number as u16),
        GroupBy::Backend => FlowGroupKey::Backend((number >> 32) as u16, number as u32),
        GroupBy::Client | GroupBy::ClientPrefix(..) => {
            let address = std::net::Ipv6Addr::from_bits(number);
            let network = match address.to_ipv4_mapped() {
                Some(address) => IpNet::new(address.into(), v4),
                None => IpNet::new(address.into(), v6),
            };
            FlowGroupKey::Clients(network.unwrap_or_else(|_| IpNet::from(IpAddr::V6(address))))
        }
    }
}

/// Counts sorted numbers, and keeps the largest counts.
fn largest(established: &[u128], embryonic: &[u128], by: GroupBy, limit: usize) -> FlowTally {
    let mut tally = FlowTally {
        established: established.len() as u64,
        embryonic: embryonic.len() as u64,
        ..FlowTally::default()
    };
    let mut kept = BinaryHeap::new();
    let (mut answered, mut unanswered) = (established, embryonic);
    while let Some(number) = answered.first().into_iter().chain(unanswered.first()).min().copied() {
        let counts = (take(&mut answered, number), take(&mut unanswered, number));
        tally.groups += 1;
        // The smallest one that is kept is at the top; of equal ones the last.
        kept.push((Reverse(counts.0 + counts.1), number, counts));
        if kept.len() > limit {
            kept.pop();
        }
    }
    let shares = kept.into_sorted_vec().into_iter().map(|(_, number, (established, embryonic))| FlowShare {
        key: key(by, number),
        established,
        embryonic,
    });
    tally.largest = shares.collect();
    tally
}

/// Takes a number off the begin as often as it stands there; how often.
fn take(numbers: &mut &[u128], number: u128) -> u64 {
    let count = numbers.partition_point(|candidate| *candidate <= number);
    *numbers = &numbers[count..];
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(client: &str) -> FlowRecord {
        let client = client.parse().unwrap();
        let vip = "203.0.113.10:80".parse().unwrap();
        FlowRecord {
            protocol: 6,
            client,
            vip,
            source: client,
            destination: vip,
            service: 3,
            backend: 70_000,
            state: 5,
            idle_seconds: 0,
        }
    }

    #[test]
    fn a_group_is_named_by_what_its_flows_have_in_common() {
        let network = |text: &str| FlowGroupKey::Clients(text.parse().unwrap());
        for (by, client, expected) in [
            (GroupBy::Client, "198.51.100.7:1", network("198.51.100.7/32")),
            (GroupBy::Client, "[2001:db8::7]:1", network("2001:db8::7/128")),
            (GroupBy::ClientPrefix(24, 64), "198.51.100.7:1", network("198.51.100.0/24")),
            (GroupBy::ClientPrefix(24, 48), "[2001:db8:1:2::7]:1", network("2001:db8:1::/48")),
            (GroupBy::ClientPrefix(0, 0), "198.51.100.7:1", network("0.0.0.0/0")),
            (GroupBy::ClientPrefix(0, 0), "[2001:db8::7]:1", network("::/0")),
            (GroupBy::ClientPrefix(32, 128), "[2001:db8::7]:1", network("2001:db8::7/128")),
            (GroupBy::Service, "198.51.100.7:1", FlowGroupKey::Service(3)),
            (GroupBy::Backend, "198.51.100.7:1", FlowGroupKey::Backend(3, 70_000)),
        ] {
            assert_eq!(key(by, number(by, &flow(client))), expected, "{by:?} {client}");
        }
    }

    #[test]
    fn the_largest_groups_come_first_and_all_are_counted() {
        let (established, embryonic) = ([1, 1, 1, 2, 4, 4], [2, 2, 2, 3, 4]);
        let tally = largest(&established, &embryonic, GroupBy::Service, 2);
        assert_eq!((tally.established, tally.embryonic, tally.groups), (6, 5, 4));
        let shares: Vec<_> =
            tally.largest.iter().map(|share| (share.key, share.established, share.embryonic)).collect();
        assert_eq!(shares, [(FlowGroupKey::Service(2), 1, 3), (FlowGroupKey::Service(1), 3, 0)]);
        assert_eq!(largest(&[], &[], GroupBy::Client, 5), FlowTally::default());
        let all = largest(&established, &embryonic, GroupBy::Service, 100);
        let sum: u64 = all.largest.iter().map(|share| share.established + share.embryonic).sum();
        assert_eq!((all.largest.len(), sum), (4, 11));
    }
}
