//! Ends flows before their time.

use std::io;

use lb_common::{
    abi::{Abi, Address, Flow, FlowFlags, FlowKey},
    wire::TCP,
};

use super::{
    FlowMaps, Rules, Tier,
    census::has_ended,
    list::{record, rules},
    tables::{Table, Visit},
};
use crate::{
    api::{Ended, FlowFilter},
    sys::bpf::Map,
};

/// Ends the live flows at tick `now` that pass the filter, or only counts them (`dry_run`).
///
/// TCP connections that are open get [`FlowFlags::RESET`]: the data path answers their packets by RSTs, and the next scans make ends
/// that are idle send some. All others are removed: a UDP packet that follows begins a flow.
///
/// # Errors
/// What the kernel says; some flows may have ended.
pub fn kill(maps: &FlowMaps, now: u32, filter: &FlowFilter, dry_run: bool) -> io::Result<Ended> {
    let rules = rules(maps, now)?;
    let mut ended = Ended::default();
    for table in &maps.tables {
        for (killer, _) in table.visit_by(|| Killer::new(&rules, filter, dry_run))? {
            ended.reset += killer.ended.reset;
            ended.forgotten += killer.ended.forgotten;
        }
    }
    Ok(ended)
}

struct Killer<'a> {
    rules: &'a Rules,
    filter: &'a FlowFilter,
    dry_run: bool,
    ended: Ended,
}

impl<'a> Killer<'a> {
    fn new(rules: &'a Rules, filter: &'a FlowFilter, dry_run: bool) -> Self {
        Self { rules, filter, dry_run, ended: Ended::default() }
    }
}

impl Visit for Killer<'_> {
    fn entry<A>(&mut self, table: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        let concerned = !flow.is_reverse() && flow.flags & FlowFlags::RESET == 0 && !self.rules.is_dead(flow);
        if !concerned || !self.filter.wants(&record(self.rules, key, flow)) {
            return Ok(true);
        }
        let reset = key.proto == TCP && table.tier == Tier::Established && !has_ended(flow);
        let done = self.dry_run
            || if reset {
                reset_both(&table.map, key, self.rules.now)?
            } else {
                remove_both(&table.map, key, flow)?
            };
        self.ended.reset += u64::from(done && reset);
        self.ended.forgotten += u64::from(done && !reset);
        Ok(true)
    }
}

/// Has both entries of a connection reset; false if it is gone.
fn reset_both<A>(map: &Map, key: &FlowKey<A>, now: u32) -> io::Result<bool>
where
    A: Address,
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let Some(flow) = map.lookup::<FlowKey<A>, Flow<A>>(key)? else { return Ok(false) };
    let twin_key = flow.twin_key(key.proto);
    let there = map.replace(key, &to_reset(flow, now))?;
    let twin = map.lookup::<FlowKey<A>, Flow<A>>(&twin_key)?;
    if let Some(twin) = twin.filter(|twin| twin.twin_key(key.proto) == *key) {
        map.replace(&twin_key, &to_reset(twin, now))?;
    }
    Ok(there)
}

/// With generation 0 no packet takes the shortcut; the tick is that from which the ends are asked.
fn to_reset<A>(mut flow: Flow<A>, now: u32) -> Flow<A> {
    flow.flags |= FlowFlags::RESET;
    flow.next_hop.generation = 0;
    flow.last_seen = now;
    flow
}

/// Removes both entries of a flow; false if it is gone. The scan puts right who has which places and ports.
fn remove_both<A>(map: &Map, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
where
    A: Address,
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let twin_key = flow.twin_key(key.proto);
    let twin = map.lookup::<FlowKey<A>, Flow<A>>(&twin_key)?;
    if twin.is_some_and(|twin| twin.twin_key(key.proto) == *key) {
        map.delete(&twin_key)?;
    }
    map.delete(key)
}

#[cfg(test)]
mod tests {
    use lb_common::abi::{FlowState, NextHop};

    use super::*;
    use crate::sys::bpf::{
        MapShape,
        tests::{HASH, map},
    };

    const NEXT_HOP: NextHop = NextHop { dmac: [2; 6], ifindex: 3, generation: 7 };

    /// A table with both entries of a connection.
    fn table() -> Option<(Map, FlowKey<u32>, Flow<u32>)> {
        let (key_size, value_size) = (size_of::<FlowKey<u32>>() as u32, size_of::<Flow<u32>>() as u32);
        let map = map(&MapShape { key_size, value_size, ..HASH })?;
        let key = FlowKey { src: 1, dst: 2, sport: 3, dport: 4, proto: TCP, pad: [0; 3] };
        let state = FlowState::Established as u8;
        let flow = Flow {
            src: 1,
            dst: 5,
            sport: 3,
            dport: 6,
            next_hop: NEXT_HOP,
            state,
            last_seen: 9,
            ..Flow::default()
        };
        let twin = Flow { src: 2, dst: 1, sport: 4, dport: 3, flags: FlowFlags::REVERSE, ..flow };
        map.update(&key, &flow).unwrap();
        map.update(&flow.twin_key(TCP), &twin).unwrap();
        Some((map, key, flow))
    }

    #[test]
    fn both_entries_of_a_connection_are_marked_and_keep_all_else() {
        let Some((map, key, flow)) = table() else { return };
        assert!(reset_both(&map, &key, 50).unwrap());
        let next_hop = NextHop { generation: 0, ..NEXT_HOP };
        let marked = Flow { flags: FlowFlags::RESET, next_hop, last_seen: 50, ..flow };
        assert_eq!(map.lookup(&key).unwrap(), Some(marked));
        let twin: Flow<u32> = map.lookup(&flow.twin_key(TCP)).unwrap().unwrap();
        assert_eq!((twin.flags, twin.next_hop), (FlowFlags::REVERSE | FlowFlags::RESET, next_hop));
    }

    #[test]
    fn what_is_gone_is_not_made_again() {
        let Some((map, key, flow)) = table() else { return };
        assert!(remove_both(&map, &key, &flow).unwrap());
        assert!(!remove_both(&map, &key, &flow).unwrap());
        assert!(!reset_both(&map, &key, 50).unwrap());
        assert!(!map.replace(&key, &flow).unwrap());
        assert_eq!(map.entries::<FlowKey<u32>, Flow<u32>>().unwrap(), []);
    }

    #[test]
    fn the_entry_of_another_flow_in_the_twins_place_is_left_alone() {
        let Some((map, key, flow)) = table() else { return };
        let stranger = Flow::<u32> { src: 9, dst: 9, ..Flow::default() };
        map.update(&flow.twin_key(TCP), &stranger).unwrap();
        assert!(reset_both(&map, &key, 50).unwrap() && remove_both(&map, &key, &flow).unwrap());
        assert_eq!(map.lookup(&flow.twin_key(TCP)).unwrap(), Some(stranger));
    }
}
