//! Slot tables as inner maps.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use lb_common::maps::{INNER_MAP_FLAG, SLOTS, slot_elements};

use super::MapError;
use super::error::access;
use super::shapes::ARRAY;
use crate::plan::{SlotTable, unknown_slots};
use crate::sys::bpf::{Map, MapShape};
use crate::sys::kernel;

/// "Operation is not supported", as BPF means it.
const ENOTSUPP: i32 = 524;

/// Threads that take elements out of `SLOTS`, or read them: Linux waits for an RCU grace period, some 10 ms, with each element that goes, and
/// before [`READS_AT_ONCE`] with each that is read (`maybe_wait_bpf_programs`), but all that wait at once wait for the same one.
const THREADS: u32 = 64;

/// The first Linux that reads the elements of a map of maps without such a wait.
const READS_AT_ONCE: (u32, u32) = (6, 8);

/// What was put into `SLOTS`, by service id: id of the inner map and its content.
type Written = BTreeMap<u16, (u32, SlotTable)>;

/// The slot tables in `SLOTS`, for whoever wants to read them; the kernel gives them to nobody.
#[derive(Clone, Debug, Default)]
pub struct WrittenSlots(Arc<Mutex<Written>>);

impl WrittenSlots {
    /// The slot table of a service.
    #[must_use]
    pub fn of(&self, service: u16) -> Option<SlotTable> {
        self.lock().get(&service).map(|(_, table)| SlotTable::clone(table))
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `SLOTS`, and what was put there.
#[derive(Debug)]
pub(super) struct Slots {
    outer: Map,
    /// The kernel tells the id of an inner map, but to open it by that takes CAP_SYS_ADMIN.
    written: WrittenSlots,
}

impl Slots {
    pub(super) fn new(outer: Map) -> Self {
        Self { outer, written: WrittenSlots::default() }
    }

    pub(super) fn written(&self) -> &WrittenSlots {
        &self.written
    }

    #[cfg(test)]
    pub(super) fn outer(&self) -> &Map {
        &self.outer
    }

    /// Makes an inner map for each table and puts all of them in place.
    pub(super) fn replace(&mut self, tables: &[(u16, SlotTable)]) -> Result<(), MapError> {
        let mut made = Vec::with_capacity(tables.len());
        for (service, table) in tables {
            let action = || format!("make a slot table of {} slots for service {service}", table.len());
            made.push(inner_map(*service, table).map_err(|source| access(SLOTS, action())(source))?);
        }
        let entries: Vec<(u32, &Map)> =
            tables.iter().zip(&made).map(|((service, _), map)| (u32::from(*service), map)).collect();
        match self.outer.update_inner_batch(&entries) {
            // Linux before 5.14 has no batches here.
            Err(error) if matches!(error.raw_os_error(), Some(ENOTSUPP | libc::EOPNOTSUPP)) => {
                entries.iter().try_for_each(|(index, map)| self.outer.update_inner(*index, map))
            }
            result => result,
        }
        .map_err(access(SLOTS, format!("put the slot tables of {} in place", services(tables))))?;
        let ids = made.iter().map(|map| map.info().id);
        self.written.lock().extend(
            tables.iter().zip(ids).map(|((service, table), id)| (*service, (id, SlotTable::clone(table)))),
        );
        Ok(())
    }

    pub(super) fn remove(&mut self, services: &[u16]) -> Result<(), MapError> {
        self.written.lock().retain(|service, _| !services.contains(service));
        let delete = |service: &u16| {
            let action = format!("take out the slot table of service {service}");
            self.outer.delete(&u32::from(*service)).map(drop).map_err(access(SLOTS, action))
        };
        let shares = shares(services.len() as u32);
        let shares = shares.map(|share| &services[share.start as usize..share.end as usize]);
        at_once(shares, |share| share.iter().try_for_each(delete)).map(drop)
    }

    pub(super) fn dump(&self) -> Result<BTreeMap<u16, SlotTable>, MapError> {
        let entries = self.outer.info().shape.max_entries.min(1 << 16);
        let parts = if kernel::is_at_least(READS_AT_ONCE) {
            vec![self.inner_ids(0..entries)?]
        } else {
            at_once(shares(entries), |share| self.inner_ids(share))?
        };
        let written = self.written.lock();
        let table = |(service, inner): (u16, u32)| {
            let known = written.get(&service).filter(|(id, _)| *id == inner);
            (service, known.map_or_else(unknown_slots, |(_, table)| SlotTable::clone(table)))
        };
        Ok(parts.into_iter().flatten().map(table).collect())
    }

    /// Ids of the inner maps in a range of elements, by service id.
    fn inner_ids(&self, range: Range<u32>) -> Result<Vec<(u16, u32)>, MapError> {
        let mut found = Vec::new();
        for index in range {
            let inner: Option<u32> =
                self.outer.lookup(&index).map_err(access(SLOTS, format!("read element {index}")))?;
            found.extend(inner.map(|inner| (index as u16, inner)));
        }
        Ok(found)
    }
}

/// Does the work with each share on a thread of its own; what it gives, in their order.
fn at_once<S: Clone + Send, T: Send>(
    shares: impl Iterator<Item = S>,
    work: impl Fn(S) -> Result<T, MapError> + Sync,
) -> Result<Vec<T>, MapError> {
    let work = &work;
    thread::scope(|scope| {
        let begun: Vec<_> = shares
            .map(|share| {
                let own = share.clone();
                (share, thread::Builder::new().spawn_scoped(scope, move || work(own)))
            })
            .collect();
        let ended = begun.into_iter().map(|(share, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // No thread to be had: it only takes longer.
            Err(_) => work(share),
        });
        ended.collect()
    })
}

/// The services of some tables, the first ones by id.
fn services(tables: &[(u16, SlotTable)]) -> String {
    const NAMED: usize = 5;
    let ids: Vec<_> = tables.iter().take(NAMED).map(|(service, _)| service.to_string()).collect();
    let others = match tables.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    format!("services {}{others}", ids.join(", "))
}

/// The elements that each thread is given.
fn shares(entries: u32) -> impl Iterator<Item = Range<u32>> {
    let size = entries.div_ceil(THREADS).max(1);
    (0..entries).step_by(size as usize).map(move |start| start..entries.min(start + size))
}

/// A new inner map that holds the table, see [`lb_common::maps::slot_position`].
fn inner_map(service: u16, table: &SlotTable) -> io::Result<Map> {
    let elements = slot_elements(table.len() as u32);
    let shape = MapShape {
        map_type: ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: elements,
        flags: INNER_MAP_FLAG,
    };
    let map = Map::create(&shape, &format!("SLOTS.{service}"))?;
    let header = [table.len() as u32, 0];
    let pairs = table.chunks(2).map(|pair| [pair[0], pair.get(1).copied().unwrap_or_default()]);
    let values: Vec<[u32; 2]> = std::iter::once(header).chain(pairs).collect();
    map.update_batch(&(0..elements).collect::<Vec<u32>>(), &values)?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_services() {
        let tables: Vec<_> = (3..10).map(|service| (service, SlotTable::from([]))).collect();
        assert_eq!(services(&tables[..2]), "services 3, 4");
        assert_eq!(services(&tables), "services 3, 4, 5, 6, 7 and 2 others");
    }

    #[test]
    fn every_element_is_given_to_one_thread() {
        for entries in [0, 1, 63, 64, 65, 1024, 65_535, 65_536] {
            let all: Vec<Range<u32>> = shares(entries).collect();
            assert!(all.len() <= THREADS as usize, "{entries}");
            assert!(all.into_iter().flatten().eq(0..entries), "{entries}");
        }
    }
}
