//! Moves the contents of a map into one of another size or form.
//!
//! The loader makes the new map and the contents are copied; once more right before the links are switched to the new program,
//! and a last time afterwards: flows that began or changed meanwhile follow. Only then the old map goes. Killed in between,
//! the next start finds both and goes on.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use lb_common::{
    abi::{
        Abi, Address, Affinity, AffinityKey, Backend, Cookie, Flow, FlowKey, Places, Service, ServiceKey,
        Settings, SynCookies,
    },
    maps,
};

use super::layout::Copy;
use crate::sys::bpf::{Map, is_full};

/// Maps that the data path goes on writing until it is switched over.
pub(super) const FLOW_TABLES: [&str; 4] =
    [maps::FLOWS_V4, maps::FLOWS_V6, maps::EMBRYONIC_V4, maps::EMBRYONIC_V6];

/// Whether a program works on the map that is copied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// None does: what is copied is the truth.
    Idle,
    /// What the map holds may be newer than what is copied.
    InUse,
}

/// A map whose contents move.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) name: &'static str,
    /// Where it is pinned.
    pub(super) from: PathBuf,
    /// How its elements become those of the new map.
    pub(super) copy: Copy,
}

impl Transfer {
    /// Of a map of another size.
    pub(super) fn resized(name: &'static str, from: PathBuf) -> Self {
        Self { name, from, copy: copy_of(name) }
    }

    /// Copies what `to` does not have yet. What does not fit any more is left behind; the number of elements written.
    pub(super) fn run(&self, to: &Path, target: Target) -> io::Result<usize> {
        (self.copy)(&Map::open(&self.from)?, &Map::open(to)?, target)
    }

    /// Whether the data path writes it.
    pub(super) fn is_flow_table(&self) -> bool {
        FLOW_TABLES.contains(&self.name)
    }
}

fn copy_of(name: &str) -> Copy {
    match name {
        maps::FLOWS_V4 | maps::EMBRYONIC_V4 => merge_flows::<FlowKey<u32>, Flow<u32>, Flow<u32>>,
        maps::FLOWS_V6 | maps::EMBRYONIC_V6 => {
            merge_flows::<FlowKey<[u32; 4]>, Flow<[u32; 4]>, Flow<[u32; 4]>>
        }
        maps::SERVICES_V4 => copy_hash::<ServiceKey<u32>, Service>,
        maps::SERVICES_V6 => copy_hash::<ServiceKey<[u32; 4]>, Service>,
        maps::BACKENDS => copy_array::<Backend>,
        maps::SNAT_ADDRESSES => copy_array::<[u32; 4]>,
        maps::PORTS => copy_array::<u64>,
        maps::SETTINGS => copy_array::<Settings>,
        maps::BACKEND_PLACES | maps::SERVICE_PLACES => copy_array::<Places>,
        maps::AFFINITY => copy_hash::<AffinityKey, Affinity>,
        maps::COOKIES_V4 => copy_hash::<FlowKey<u32>, Cookie>,
        maps::COOKIES_V6 => copy_hash::<FlowKey<[u32; 4]>, Cookie>,
        maps::SYN_COOKIES => copy_array::<SynCookies>,
        _ => |_, _, _| Err(io::Error::new(io::ErrorKind::Unsupported, "nobody said what its elements are")),
    }
}

/// A flow of the present form.
pub(super) trait Present: Abi + PartialEq {
    /// Whether it had a packet later than the other.
    fn is_newer(&self, other: &Self) -> bool;
}

impl<A: Address> Present for Flow<A>
where
    Self: Abi,
{
    fn is_newer(&self, other: &Self) -> bool {
        self.last_seen.wrapping_sub(other.last_seen).cast_signed() > 0
    }
}

/// Brings flows to a table that may have them already, as an earlier copy or as the program changed them since.
pub(super) fn merge_flows<K: Abi, F: Abi + Into<P>, P: Present>(
    from: &Map,
    to: &Map,
    target: Target,
) -> io::Result<usize> {
    each::<K, F>(from, |key, former| {
        let flow: P = former.into();
        match to.insert(&key, &flow) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if is_full(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        let stale = |present: P| match target {
            Target::Idle => present != flow,
            Target::InUse => flow.is_newer(&present),
        };
        let write = to.lookup::<K, P>(&key)?.is_none_or(stale);
        if write {
            to.update(&key, &flow)?;
        }
        Ok(write)
    })
}

fn copy_hash<K: Abi, V: Abi>(from: &Map, to: &Map, _: Target) -> io::Result<usize> {
    each::<K, V>(from, |key, value| to.insert(&key, &value))
}

/// Calls `write` for every element, until it fails; how often it said that it wrote.
fn each<K: Abi, V: Abi>(from: &Map, mut write: impl FnMut(K, V) -> io::Result<bool>) -> io::Result<usize> {
    let (mut written, mut failure) = (0, None);
    from.scan::<K, V>(|chunk| {
        for (key, value) in chunk.iter::<K, V>() {
            match write(key, value) {
                Ok(wrote) => written += usize::from(wrote),
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    failure.map_or(Ok(written), Err)
}

fn copy_array<V: Abi + Default + PartialEq>(from: &Map, to: &Map, _: Target) -> io::Result<usize> {
    let present = to.entries::<u32, V>()?;
    let is_free = |index: u32| present.get(index as usize).is_some_and(|(_, value)| *value == V::default());
    let (indexes, values): (Vec<u32>, Vec<V>) = from
        .entries::<u32, V>()?
        .into_iter()
        .filter(|(index, value)| *value != V::default() && is_free(*index))
        .unzip();
    to.update_batch(&indexes, &values)?;
    Ok(indexes.len())
}

#[cfg(test)]
mod tests {
    use lb_common::abi::former;

    use super::*;
    use crate::sys::bpf::{
        MapShape,
        tests::{HASH, map},
    };

    const ARRAY: MapShape = MapShape { map_type: 2, ..HASH };
    /// Flows as they are, and as they were in the first form of layout 1.
    const FLOWS: MapShape = MapShape { key_size: 16, value_size: 40, ..HASH };
    const FORMER: MapShape = MapShape { value_size: 48, ..FLOWS };

    #[test]
    fn a_hash_moves_without_overwriting_what_is_newer() {
        let (Some(from), Some(to)) = (map(&HASH), map(&MapShape { max_entries: 64, ..HASH })) else { return };
        for (key, value) in [(1_u32, 10_u64), (2, 20)] {
            from.update(&key, &value).unwrap();
        }
        to.update(&2_u32, &21_u64).unwrap();
        assert_eq!(copy_hash::<u32, u64>(&from, &to, Target::InUse).unwrap(), 1);
        assert_eq!(to.lookup(&1_u32).unwrap(), Some(10_u64));
        assert_eq!(to.lookup(&2_u32).unwrap(), Some(21_u64));
    }

    #[test]
    fn an_array_moves_as_far_as_it_fits_without_overwriting_what_is_newer() {
        let (Some(from), Some(to)) = (map(&ARRAY), map(&MapShape { max_entries: 3, ..ARRAY })) else {
            return;
        };
        for (index, value) in [(1_u32, 10_u64), (2, 20), (3, 30)] {
            from.update(&index, &value).unwrap();
        }
        to.update(&2_u32, &21_u64).unwrap();
        assert_eq!(copy_array::<u64>(&from, &to, Target::InUse).unwrap(), 1);
        assert_eq!(to.entries::<u32, u64>().unwrap(), [(0, 0), (1, 10), (2, 21)]);
    }

    fn key(sport: u16) -> FlowKey<u32> {
        FlowKey { src: 1, dst: 2, sport, dport: 80, proto: 6, pad: [0; 3] }
    }

    #[test]
    fn a_flow_of_a_former_form_keeps_all_that_forwarding_needs() {
        let (Some(from), Some(to)) = (map(&FORMER), map(&FLOWS)) else { return };
        let hop = former::NextHop { dmac: [2; 6], smac: [4; 6], ifindex: 7, generation: 9 };
        let flow = former::Flow::<u32> {
            src: 1,
            dst: 3,
            sport: 4,
            dport: 5,
            l3_delta: 6,
            l4_delta: 7,
            next_hop: hop,
            backend: 8,
            last_seen: 9,
            service: 10,
            state: 5,
            flags: 3,
        };
        from.update(&key(1), &flow).unwrap();
        let lost = former::NextHop { ifindex: 70_000, ..hop };
        from.update(&key(2), &former::Flow { next_hop: lost, ..flow }).unwrap();
        let copied = merge_flows::<FlowKey<u32>, former::Flow<u32>, Flow<u32>>(&from, &to, Target::Idle);
        assert_eq!(copied.unwrap(), 2);
        let next_hop = lb_common::abi::NextHop { dmac: [2; 6], ifindex: 7, generation: 9 };
        let expected = Flow::<u32> {
            src: 1,
            dst: 3,
            sport: 4,
            dport: 5,
            l3_delta: 6,
            l4_delta: 7,
            next_hop,
            backend: 8,
            last_seen: 9,
            service: 10,
            state: 5,
            flags: 3,
        };
        assert_eq!(to.lookup(&key(1)).unwrap(), Some(expected));
        let unknown = Flow { next_hop: lb_common::abi::NextHop::default(), ..expected };
        assert_eq!(to.lookup(&key(2)).unwrap(), Some(unknown));
    }

    #[test]
    fn a_later_copy_brings_what_changed_and_keeps_what_the_new_program_changed() {
        let merge = merge_flows::<FlowKey<u32>, Flow<u32>, Flow<u32>>;
        let (Some(from), Some(to)) = (map(&FLOWS), map(&FLOWS)) else { return };
        let flow = |backend, last_seen| Flow::<u32> { backend, last_seen, ..Flow::default() };
        // The tick wraps.
        let (early, late) = (u32::MAX, 1);
        for sport in [1, 2] {
            from.update(&key(sport), &flow(1, early)).unwrap();
        }
        assert_eq!(merge(&from, &to, Target::Idle).unwrap(), 2);
        assert_eq!(merge(&from, &to, Target::Idle).unwrap(), 0);
        from.update(&key(1), &flow(2, early)).unwrap();
        assert_eq!(merge(&from, &to, Target::Idle).unwrap(), 1, "a changed flow while nobody uses the table");

        from.update(&key(1), &flow(3, late)).unwrap();
        to.update(&key(2), &flow(4, late)).unwrap();
        from.update(&key(3), &flow(5, early)).unwrap();
        assert_eq!(merge(&from, &to, Target::InUse).unwrap(), 2);
        let backend = |sport| to.lookup::<_, Flow<u32>>(&key(sport)).unwrap().unwrap().backend;
        assert_eq!([backend(1), backend(2), backend(3)], [3, 4, 5]);
    }
}
