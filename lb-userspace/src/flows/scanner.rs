//! The scan: reads all flow tables, deletes dead flows, writes counts, gives ports back.

use std::{collections::BTreeMap, io};

use lb_common::abi::{Abi, Address, Flow, FlowKey, SettingsFlags};

use super::{
    Census, CookieUse, Counts, Ending, FlowMaps, MOST_ENDINGS, Owner, PoolUse, PortPools, Rules, affinity,
    cookies::Orphans,
    ending::ResetSince,
    pools::Stale,
    sources::{Prefixes, Shares},
    tables::{Surroundings, Table, Visit},
};
use crate::{plan::PortRange, sys::bpf::Map};

/// What a scan found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Live flows by owner.
    pub flows: BTreeMap<Owner, Counts>,
    /// Ids of removed backends whose flows are gone.
    pub released: Vec<u32>,
    /// Entries deleted.
    pub deleted: u64,
    /// How full the flow tables are.
    pub tables: Vec<TableUse>,
    /// Clients whose backend is remembered, by service.
    pub affinities: BTreeMap<u16, u64>,
    /// What services do with SYN cookies.
    pub cookies: BTreeMap<u16, CookieUse>,
    /// How full the port pools are.
    pub pools: Vec<PoolUse>,
    /// Ends of connections that are to be reset, at most about [`MOST_ENDINGS`].
    pub endings: Vec<Ending>,
}

/// How full a flow table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableUse {
    /// The map.
    pub name: &'static str,
    /// Entries, two for a flow.
    pub entries: u64,
    /// Most entries.
    pub capacity: u32,
}

/// Scans again and again.
#[derive(Debug, Default)]
pub struct Scanner {
    stale: Stale,
    reset_since: ResetSince,
    orphans: Orphans,
    /// Whether clients were remembered when that was looked at last.
    remembers: bool,
}

impl Scanner {
    /// One full scan at tick `now`. Blocks for as long as the tables are large: some 0.3 s for a million flows with two CPUs.
    ///
    /// # Errors
    /// What the kernel says; what was done up to there stands.
    pub fn scan(&mut self, maps: &FlowMaps, now: u32) -> io::Result<Report> {
        let around = maps.surroundings()?;
        let range = PortRange { min: around.settings.port_min, max: around.settings.port_max };
        let mut pools =
            PortPools::new(range, &around.backends, &around.services, &around.snat_addresses, maps.ports());
        pools.read(maps.ports());
        self.reset_since.update(now, &around.backends);
        let affinities = self.affinities(maps, &around, now)?;
        let cookies = maps.cookie_use(&around, now)?;
        let taken = maps.places.read();
        let counted = maps.sources.read(around.settings.flags & SettingsFlags::ADMISSION != 0)?;
        let (timeouts, backends) = (around.settings.timeouts, around.backends);
        let rules = Rules { now, timeouts, backends, reset_since: self.reset_since.clone() };

        let (mut census, mut shares) = (Census::new(&rules), Shares::default());
        let (mut tables, mut deleted, mut endings) = (Vec::new(), 0, Vec::new());
        for table in &maps.tables {
            let seen = scan_table(table, &rules, &pools, &counted.prefixes)?;
            census.join(&seen.census);
            shares.join(seen.shares);
            deleted += seen.deleted;
            endings.extend(seen.endings);
            tables.push(TableUse {
                name: table.name,
                entries: seen.entries.saturating_sub(seen.deleted),
                capacity: table.map.info().shape.max_entries,
            });
        }

        self.orphans.settle(maps)?;
        maps.places.settle(&taken, &census, &rules);
        maps.sources.settle(&counted, &shares)?;
        let (ids, counts): (Vec<u32>, Vec<u64>) = census.by_backend(&rules).into_iter().unzip();
        if !ids.is_empty() {
            maps.backend_flows.update_batch(&ids, &counts)?;
        }
        let (pools, stale) = pools.settle(maps.ports(), &self.stale);
        self.stale = stale;
        Ok(Report {
            flows: census.by_owner(&rules),
            released: census.released(&rules),
            deleted,
            tables,
            affinities,
            cookies,
            pools,
            endings,
        })
    }
}

impl Scanner {
    /// Clients whose backend is remembered, by service.
    fn affinities(
        &mut self,
        maps: &FlowMaps,
        around: &Surroundings,
        now: u32,
    ) -> io::Result<BTreeMap<u16, u64>> {
        if !self.remembers && around.services.values().all(|service| service.affinity_timeout == 0) {
            return Ok(BTreeMap::new());
        }
        let affinities = affinity::settle(maps, around, now)?;
        self.remembers = !affinities.is_empty();
        Ok(affinities)
    }
}

/// Scans a table, in parts if it is large.
fn scan_table<'a>(
    table: &Table,
    rules: &'a Rules,
    pools: &'a PortPools,
    prefixes: &'a Prefixes,
) -> io::Result<Round<'a>> {
    let begin = || Round::new(rules, pools, prefixes);
    let mut all = begin();
    for (part, entries) in table.visit_by(begin)? {
        all.census.join(&part.census);
        all.shares.join(part.shares);
        all.entries += entries;
        all.deleted += part.deleted;
        all.endings.extend(part.endings);
    }
    Ok(all)
}

/// What one thread sees of a table.
struct Round<'a> {
    rules: &'a Rules,
    census: Census,
    pools: &'a PortPools,
    prefixes: &'a Prefixes,
    shares: Shares,
    entries: u64,
    deleted: u64,
    endings: Vec<Ending>,
}

impl<'a> Round<'a> {
    fn new(rules: &'a Rules, pools: &'a PortPools, prefixes: &'a Prefixes) -> Self {
        let (census, shares) = (Census::new(rules), Shares::default());
        Self { rules, census, pools, prefixes, shares, entries: 0, deleted: 0, endings: Vec::new() }
    }
}

impl Visit for Round<'_> {
    fn entry<A>(&mut self, table: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        let lives = self.census.add(self.rules, table.tier, flow);
        if lives {
            self.shares.add(self.prefixes, table.tier, key, flow);
        }
        if lives || !delete(self.rules, &table.map, key, &mut self.deleted)? {
            self.pools.add(key, flow);
            if self.rules.is_reset(flow) && self.endings.len() < MOST_ENDINGS {
                self.endings.extend(Ending::of(table.tier, key, flow));
            }
        }
        Ok(true)
    }
}

/// Deletes both entries of a flow, unless one of them came to life again; false if so.
///
/// A packet in the instant before the deletion finds a flow that is dead by its own rules, and treats it as such.
fn delete<A>(rules: &Rules, map: &Map, key: &FlowKey<A>, deleted: &mut u64) -> io::Result<bool>
where
    A: Address,
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let Some(flow) = map.lookup::<FlowKey<A>, Flow<A>>(key)? else { return Ok(true) };
    let twin_key = flow.twin_key(key.proto);
    let twin = map.lookup::<FlowKey<A>, Flow<A>>(&twin_key)?;
    let twin = twin.filter(|twin| twin.twin_key(key.proto) == *key);
    if !rules.is_dead(&flow) || twin.is_some_and(|twin| !rules.is_dead(&twin)) {
        return Ok(false);
    }
    *deleted += u64::from(map.delete(key)?);
    if twin.is_some() {
        *deleted += u64::from(map.delete(&twin_key)?);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use lb_common::abi::{Backend, BackendState, FlowFlags};

    use super::*;
    use crate::sys::bpf::{
        MapShape,
        tests::{HASH, map},
    };

    const NOW: u32 = 1000;

    /// A table with both entries of a flow, seen last at these ticks.
    fn table(forward_seen: u32, reverse_seen: u32) -> Option<(Map, FlowKey<u32>, FlowKey<u32>)> {
        let (key_size, value_size) = (size_of::<FlowKey<u32>>() as u32, size_of::<Flow<u32>>() as u32);
        let map = map(&MapShape { key_size, value_size, ..HASH })?;
        let key = FlowKey { src: 1, dst: 2, sport: 3, dport: 4, proto: 6, pad: [0; 3] };
        let forward = Flow {
            src: 1,
            dst: 5,
            sport: 3,
            dport: 6,
            backend: 1,
            last_seen: forward_seen,
            ..Flow::default()
        };
        let twin_key = forward.twin_key(6);
        let reverse = Flow {
            src: key.dst,
            dst: key.src,
            sport: key.dport,
            dport: key.sport,
            last_seen: reverse_seen,
            flags: FlowFlags::REVERSE,
            ..forward
        };
        map.update(&key, &forward).unwrap();
        map.update(&twin_key, &reverse).unwrap();
        Some((map, key, twin_key))
    }

    fn rules() -> Rules {
        let backend = Backend { state: BackendState::Active as u8, family: 4, ..Backend::default() };
        let backends = vec![Backend::default(), backend];
        Rules { now: NOW, timeouts: [10; 16], backends, reset_since: ResetSince::default() }
    }

    #[test]
    fn both_entries_of_a_dead_flow_go_together() {
        let Some((map, key, twin_key)) = table(1, 2) else { return };
        let mut deleted = 0;
        assert!(delete(&rules(), &map, &twin_key, &mut deleted).unwrap());
        assert_eq!(deleted, 2);
        assert!(
            delete(&rules(), &map, &key, &mut deleted).unwrap(),
            "it is gone already, which is what is wanted"
        );
        assert_eq!(deleted, 2);
        assert_eq!(map.lookup::<_, Flow<u32>>(&key).unwrap(), None);
    }

    #[test]
    fn a_flow_that_lives_in_one_direction_keeps_both_entries() {
        for (forward_seen, reverse_seen) in [(NOW, 1), (1, NOW), (NOW, NOW)] {
            let Some((map, key, twin_key)) = table(forward_seen, reverse_seen) else { return };
            let mut deleted = 0;
            assert!(!delete(&rules(), &map, &key, &mut deleted).unwrap());
            assert!(!delete(&rules(), &map, &twin_key, &mut deleted).unwrap());
            assert_eq!(deleted, 0);
        }
    }

    #[test]
    fn the_entry_of_another_flow_in_the_twins_place_is_left_alone() {
        let Some((map, key, twin_key)) = table(1, 1) else { return };
        let stranger = Flow::<u32> { src: 9, dst: 9, backend: 1, last_seen: 1, ..Flow::default() };
        map.update(&twin_key, &stranger).unwrap();
        assert!(delete(&rules(), &map, &key, &mut 0).unwrap());
        assert_eq!(map.lookup(&twin_key).unwrap(), Some(stranger));
    }
}
