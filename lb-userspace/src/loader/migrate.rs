//! Moves the contents of a map into one of another size.
//!
//! The pin of the old map is renamed, the loader makes the new one in its place, the contents are copied, and flows once more
//! after the links were switched to the new program: those that began meanwhile follow. Only then the old map goes. Killed in
//! between, the next start finds the renamed pin and goes on.

use std::{io, ops::ControlFlow, path::Path};

use lb_common::{
    abi::{Abi, Backend, Flow, FlowKey, Service, ServiceKey, Settings},
    maps,
};

use crate::sys::bpf::Map;

/// Maps that the data path goes on writing until it is switched over.
pub(super) const FLOW_TABLES: [&str; 4] =
    [maps::FLOWS_V4, maps::FLOWS_V6, maps::EMBRYONIC_V4, maps::EMBRYONIC_V6];

/// Copies what `to` does not have yet of the map `name`. What does not fit any more is left behind; the number of elements
/// copied.
pub(super) fn copy(name: &str, from: &Path, to: &Path) -> io::Result<usize> {
    let (from, to) = (Map::open(from)?, Map::open(to)?);
    match name {
        maps::FLOWS_V4 | maps::EMBRYONIC_V4 => copy_hash::<FlowKey<u32>, Flow<u32>>(&from, &to),
        maps::FLOWS_V6 | maps::EMBRYONIC_V6 => copy_hash::<FlowKey<[u32; 4]>, Flow<[u32; 4]>>(&from, &to),
        maps::SERVICES_V4 => copy_hash::<ServiceKey<u32>, Service>(&from, &to),
        maps::SERVICES_V6 => copy_hash::<ServiceKey<[u32; 4]>, Service>(&from, &to),
        maps::BACKENDS => copy_array::<Backend>(&from, &to),
        maps::SNAT_ADDRESSES => copy_array::<[u32; 4]>(&from, &to),
        maps::PORTS => copy_array::<u64>(&from, &to),
        maps::SETTINGS => copy_array::<Settings>(&from, &to),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "nobody said what its keys and values are")),
    }
}

fn copy_hash<K: Abi, V: Abi>(from: &Map, to: &Map) -> io::Result<usize> {
    let (mut copied, mut failure) = (0, None);
    from.scan::<K, V>(|chunk| {
        for (key, value) in chunk.iter::<K, V>() {
            match to.insert(&key, &value) {
                Ok(inserted) => copied += usize::from(inserted),
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    failure.map_or(Ok(copied), Err)
}

fn copy_array<V: Abi + Default + PartialEq>(from: &Map, to: &Map) -> io::Result<usize> {
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
    use super::*;
    use crate::sys::bpf::{
        MapShape,
        tests::{HASH, map},
    };

    const ARRAY: MapShape = MapShape { map_type: 2, ..HASH };

    #[test]
    fn a_hash_moves_without_overwriting_what_is_newer() {
        let (Some(from), Some(to)) = (map(&HASH), map(&MapShape { max_entries: 64, ..HASH })) else { return };
        for (key, value) in [(1_u32, 10_u64), (2, 20)] {
            from.update(&key, &value).unwrap();
        }
        to.update(&2_u32, &21_u64).unwrap();
        assert_eq!(copy_hash::<u32, u64>(&from, &to).unwrap(), 1);
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
        assert_eq!(copy_array::<u64>(&from, &to).unwrap(), 1);
        assert_eq!(to.entries::<u32, u64>().unwrap(), [(0, 0), (1, 10), (2, 21)]);
    }
}
