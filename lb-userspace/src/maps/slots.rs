//! Slot tables as inner maps.

use std::collections::BTreeMap;
use std::io;

use lb_common::maps::{INNER_MAP_FLAG, SLOTS, slot_elements};

use super::MapError;
use super::error::access;
use super::shapes::ARRAY;
use crate::plan::{SlotTable, unknown_slots};
use crate::sys::bpf::{Map, MapShape};

/// "Operation is not supported", as BPF means it.
const ENOTSUPP: i32 = 524;

/// `SLOTS`, and what was put there.
#[derive(Debug)]
pub(super) struct Slots {
    outer: Map,
    /// By service id: id of the inner map and its content. The kernel tells the id of an inner map, but to open it by that takes
    /// CAP_SYS_ADMIN.
    written: BTreeMap<u16, (u32, SlotTable)>,
}

impl Slots {
    pub(super) fn new(outer: Map) -> Self {
        Self { outer, written: BTreeMap::new() }
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
        .map_err(access(SLOTS, format!("put {} slot tables in place", tables.len())))?;
        let ids = made.iter().map(|map| map.info().id);
        self.written.extend(
            tables.iter().zip(ids).map(|((service, table), id)| (*service, (id, SlotTable::clone(table)))),
        );
        Ok(())
    }

    pub(super) fn remove(&mut self, service: u16) -> Result<(), MapError> {
        self.written.remove(&service);
        let action = format!("take out the slot table of service {service}");
        self.outer.delete(&u32::from(service)).map(drop).map_err(access(SLOTS, action))
    }

    pub(super) fn dump(&self) -> Result<BTreeMap<u16, SlotTable>, MapError> {
        let mut found = BTreeMap::new();
        let entries = self.outer.info().shape.max_entries.min(1 << 16);
        for index in 0..entries {
            let inner: Option<u32> =
                self.outer.lookup(&index).map_err(access(SLOTS, format!("read element {index}")))?;
            let service = index as u16;
            if let Some(inner) = inner {
                let known = self.written.get(&service).filter(|(id, _)| *id == inner);
                found.insert(service, known.map_or_else(unknown_slots, |(_, table)| SlotTable::clone(table)));
            }
        }
        Ok(found)
    }
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
