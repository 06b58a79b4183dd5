//! Flows for the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
};

use lb_common::abi::{Abi, Address, Flow, FlowKey, TICK_SHIFT};

use super::{
    Census, Counts, FlowMaps, Owner, Rules,
    census::has_ended,
    ending::ResetSince,
    tables::{Table, Visit},
};
use crate::{
    api::{FlowFilter, FlowList, FlowRecord},
    plan::{FlowGroup, address_of},
};

/// Live flows at tick `now` that pass the filter.
///
/// # Errors
/// What the kernel says.
pub fn list(maps: &FlowMaps, now: u32, filter: &FlowFilter) -> io::Result<FlowList> {
    let rules = rules(maps, now)?;
    let mut all = FlowList::default();
    for table in maps.tables.iter().rev() {
        for (lister, _) in table.visit_by(|| Lister { rules: &rules, filter, found: FlowList::default() })? {
            all.flows.extend(lister.found.flows);
            all.truncated |= lister.found.truncated;
        }
        all.truncated |= all.flows.len() > filter.limit;
        if all.truncated {
            all.flows.truncate(filter.limit);
            break;
        }
    }
    Ok(all)
}

/// Numbers of live flows at tick `now`.
///
/// # Errors
/// What the kernel says.
pub fn count(maps: &FlowMaps, now: u32) -> io::Result<BTreeMap<Owner, Counts>> {
    let rules = rules(maps, now)?;
    let mut counter = Counter { rules: &rules, census: Census::new(&rules) };
    for table in &maps.tables {
        table.visit(&mut counter)?;
    }
    Ok(counter.census.by_owner(&rules))
}

/// Live flows at tick `now` that have not ended, in groups that a change of the maps treats alike. `full_nat` has the ids of the
/// services of that mode.
///
/// # Errors
/// What the kernel says.
pub fn groups(maps: &FlowMaps, now: u32, full_nat: &BTreeSet<u16>) -> io::Result<Vec<FlowGroup>> {
    let rules = rules(maps, now)?;
    let mut grouper = Grouper { rules: &rules, full_nat, flows: BTreeMap::new() };
    for table in &maps.tables {
        table.visit(&mut grouper)?;
    }
    let groups = grouper.flows.into_iter();
    Ok(groups
        .map(|((service, backend, source), flows)| FlowGroup { service, backend, source, flows })
        .collect())
}

struct Grouper<'a> {
    rules: &'a Rules,
    full_nat: &'a BTreeSet<u16>,
    flows: BTreeMap<(u16, u32, Option<[u32; 4]>), u64>,
}

impl Visit for Grouper<'_> {
    fn entry<A>(&mut self, _: &Table, _: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        if !flow.is_reverse() && !self.rules.is_dead(flow) && !has_ended(flow) {
            let source = self.full_nat.contains(&flow.service).then(|| flow.src.words());
            *self.flows.entry((flow.service, flow.backend, source)).or_default() += 1;
        }
        Ok(true)
    }
}

pub(super) fn rules(maps: &FlowMaps, now: u32) -> io::Result<Rules> {
    let around = maps.surroundings()?;
    let (timeouts, backends) = (around.settings.timeouts, around.backends);
    Ok(Rules { now, timeouts, backends, reset_since: ResetSince::default() })
}

struct Counter<'a> {
    rules: &'a Rules,
    census: Census,
}

impl Visit for Counter<'_> {
    fn entry<A>(&mut self, table: &Table, _: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        self.census.add(self.rules, table.tier, flow);
        Ok(true)
    }
}

struct Lister<'a> {
    rules: &'a Rules,
    filter: &'a FlowFilter,
    found: FlowList,
}

impl Visit for Lister<'_> {
    fn entry<A>(&mut self, _: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        if flow.is_reverse() || self.rules.is_dead(flow) {
            return Ok(true);
        }
        let record = record(self.rules, key, flow);
        if self.filter.wants(&record) {
            if self.found.flows.len() >= self.filter.limit {
                self.found.truncated = true;
                return Ok(false);
            }
            self.found.flows.push(record);
        }
        Ok(true)
    }
}

/// A flow as its client's entry shows it.
pub(super) fn record<A: Address>(rules: &Rules, key: &FlowKey<A>, flow: &Flow<A>) -> FlowRecord {
    FlowRecord {
        protocol: key.proto,
        client: socket(key.src, key.sport),
        vip: socket(key.dst, key.dport),
        source: socket(flow.src, flow.sport),
        destination: socket(flow.dst, flow.dport),
        service: flow.service,
        backend: flow.backend,
        state: flow.state,
        idle_seconds: (u64::from(rules.idle(flow)) << TICK_SHIFT) / 1_000_000_000,
    }
}

fn socket<A: Address>(address: A, port: u16) -> SocketAddr {
    let family = if A::IS_V6 { 6 } else { 4 };
    let address = address_of(address.words(), family).unwrap_or([0, 0, 0, 0].into());
    SocketAddr::new(address, u16::from_be(port))
}
