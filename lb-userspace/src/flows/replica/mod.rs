//! Flows of the other machine in this one's tables, and this one's flows for the other machine.
//!
//! What comes from the other machine is stored as both entries of a flow, without next hops: the data path looks them up when it needs them.
//! Until then the place of the next hop has a [`Stamp`], by which kept flows are told from own ones. Ports of pools, places of limits and
//! counts follow with the next scan: all of them go by what is in the tables.

mod convert;
mod index;
mod sweep;
#[cfg(test)]
mod tests;

use std::{io, ops::ControlFlow, sync::Arc};

use lb_common::{
    abi::{Abi, Address, Flow, FlowKey, NextHop},
    pipeline::{set_deltas, turn},
};

use self::index::Index;
use super::{FlowMaps, census::has_ended, tables::Table};
use crate::replication::{self, Decision, Kept, Mark, decide};
use crate::sys::bpf::is_full;

pub use convert::told;
pub use sweep::name_flows;

/// What became of a flow of the other machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It is in the tables as the other machine says.
    Stored,
    /// It was known already.
    Known,
    /// A later packet of it passed here, or it has ended.
    Left,
    /// There is no such service here. The next sweep names it again.
    UnknownService,
    /// There is no such backend here. The next sweep names it again.
    UnknownBackend,
    /// Another flow has its addresses and ports towards the backend.
    Conflict,
}

/// What is in the place of a next hop while a flow is kept for the other machine: as interface 0, generation 0, and in the MAC address when
/// it was named last and its last packet there. A packet that passes here changes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    mark: u16,
    last_seen: u32,
}

impl Stamp {
    fn next_hop(self) -> NextHop {
        let ([a, b], [c, d, e, f]) = (self.mark.to_le_bytes(), self.last_seen.to_le_bytes());
        NextHop { dmac: [a, b, c, d, e, f], ifindex: 0, generation: 0 }
    }

    /// That of a flow, if it is kept: no packet of it has passed here.
    fn of<A>(flow: &Flow<A>) -> Option<Self> {
        let NextHop { dmac: [a, b, c, d, e, f], ifindex, generation } = flow.next_hop;
        let stamp = Self { mark: u16::from_le_bytes([a, b]), last_seen: u32::from_le_bytes([c, d, e, f]) };
        (ifindex == 0 && generation == 0 && stamp.last_seen == flow.last_seen && flow.last_seen != 0)
            .then_some(stamp)
    }
}

/// The flow tables, as replication sees them.
#[derive(Debug)]
pub struct Replica {
    maps: Arc<FlowMaps>,
    index: Index,
}

impl Replica {
    /// Knows no service yet: [`Self::refresh`].
    #[must_use]
    pub fn new(maps: Arc<FlowMaps>) -> Self {
        Self { maps, index: Index::default() }
    }

    /// Reads which services and backends there are.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.index = Index::read(&self.maps)?;
        Ok(())
    }

    /// A number that names the tables: another one when they were made anew. Never 0.
    #[must_use]
    pub fn id(&self, boot: &[u8]) -> u64 {
        use std::hash::{DefaultHasher, Hasher as _};
        let mut hasher = DefaultHasher::new();
        hasher.write(boot);
        self.maps.tables.iter().for_each(|table| hasher.write_u32(table.map.info().id));
        hasher.finish().max(1)
    }

    /// Stores a flow that the other machine named, at the tick `now`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn store(&self, flow: &replication::Flow, mark: Mark, now: u32) -> io::Result<Outcome> {
        let found = match self.index.find(flow) {
            Ok(found) => found,
            Err(outcome) => return Ok(outcome),
        };
        if now.saturating_sub(flow.last_seen) > self.index.timeout(flow.phase) {
            return Ok(Outcome::Left);
        }
        let table = self.table(flow.client.0.is_ipv6());
        if flow.client.0.is_ipv6() {
            let (key, entry) = convert::entry::<[u32; 4]>(flow, found);
            store(table, &key, entry, mark.number())
        } else {
            let (key, entry) = convert::entry::<u32>(flow, found);
            store(table, &key, entry, mark.number())
        }
    }

    /// Forgets flows that are kept for the other machine and that its sweep did not name; how many.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn forget_unnamed(&self, mark: Mark) -> io::Result<u64> {
        Ok(forget::<u32>(self.table(false), mark)? + forget::<[u32; 4]>(self.table(true), mark)?)
    }

    /// Makes flows that are kept for the other machine, which may have lost them, this machine's own; how many.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn adopt(&self) -> io::Result<u64> {
        Ok(adopt::<u32>(self.table(false))? + adopt::<[u32; 4]>(self.table(true))?)
    }

    fn table(&self, is_v6: bool) -> &Table {
        &self.maps.tables[if is_v6 { 3 } else { 2 }]
    }
}

fn store<A>(table: &Table, key: &FlowKey<A>, mut wanted: Flow<A>, mark: u16) -> io::Result<Outcome>
where
    A: Address,
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let map = &table.map;
    let here: Option<Flow<A>> = map.lookup(key)?;
    let is_over = has_ended(&wanted);
    let kept = here.map(|here| Kept {
        last_seen: here.last_seen,
        is_over: has_ended(&here),
        is_own: Stamp::of(&here).is_none(),
        is_same: (here.src, here.dst, here.sport, here.dport)
            == (wanted.src, wanted.dst, wanted.sport, wanted.dport),
    });
    let stamp = |last_seen| Stamp { mark, last_seen }.next_hop();
    match (decide(kept, wanted.last_seen, is_over), here) {
        (Decision::Ignore, _) | (Decision::Remark, None) => Ok(Outcome::Left),
        (Decision::Remark, Some(here)) => {
            map.update(key, &Flow { next_hop: stamp(here.last_seen), ..here })?;
            Ok(Outcome::Known)
        }
        (Decision::Store, here) => {
            let twin_key = wanted.twin_key(key.proto);
            if kept.is_none_or(|kept| !kept.is_same) {
                let other: Option<Flow<A>> = map.lookup(&twin_key)?;
                if other.is_some_and(|other| other.twin_key(key.proto) != *key && !has_ended(&other)) {
                    return Ok(Outcome::Conflict);
                }
                if let Some(here) = here {
                    map.delete(&here.twin_key(key.proto))?;
                }
            }
            set_deltas(key, &mut wanted);
            let mut twin = wanted;
            turn(key, &mut twin);
            twin.next_hop = stamp(wanted.last_seen);
            wanted.next_hop = stamp(wanted.last_seen);
            // The client's entry comes last: without it, the other one is of no use to a sweep.
            let stored = map.update(&twin_key, &twin).and_then(|()| map.update(key, &wanted));
            match stored {
                // As a flow of this machine, it has to be established without an entry here.
                Err(error) if is_full(&error) => {
                    map.delete(&twin_key)?;
                    Ok(Outcome::Left)
                }
                stored => stored.map(|()| Outcome::Stored),
            }
        }
    }
}

fn forget<A>(table: &Table, mark: Mark) -> io::Result<u64>
where
    A: Address,
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let is_over = |flow: &Flow<A>| Stamp::of(flow).is_some_and(|stamp| stamp.mark != mark.number());
    let mut over = Vec::new();
    table.map.scan::<FlowKey<A>, Flow<A>>(|chunk| {
        let entries = chunk.iter::<FlowKey<A>, Flow<A>>();
        over.extend(entries.filter(|(_, flow)| !flow.is_reverse() && is_over(flow)));
        ControlFlow::Continue(())
    })?;
    let mut forgotten = 0;
    for (key, flow) in over {
        // A packet may have passed since.
        if table.map.lookup::<FlowKey<A>, Flow<A>>(&key)?.is_some_and(|flow| is_over(&flow)) {
            table.map.delete(&flow.twin_key(key.proto))?;
            forgotten += u64::from(table.map.delete(&key)?);
        }
    }
    Ok(forgotten)
}

fn adopt<A>(table: &Table) -> io::Result<u64>
where
    A: Address,
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let (mut adopted, mut done) = (0, Ok(()));
    table.map.scan::<FlowKey<A>, Flow<A>>(|chunk| {
        let kept = chunk.iter::<FlowKey<A>, Flow<A>>();
        let kept = kept.filter(|(_, flow)| !flow.is_reverse() && Stamp::of(flow).is_some());
        let own = kept.map(|(key, flow)| (key, Flow { next_hop: NextHop::default(), ..flow }));
        let (keys, flows): (Vec<FlowKey<A>>, Vec<Flow<A>>) = own.unzip();
        adopted += keys.len() as u64;
        if !keys.is_empty() {
            done = table.map.update_batch(&keys, &flows);
        }
        if done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    done.map(|()| adopted)
}
