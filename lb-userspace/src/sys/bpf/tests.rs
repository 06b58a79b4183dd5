//! Against the running kernel.

use std::io;
use std::ops::ControlFlow;

use lb_common::abi::BackendSignals;

use super::*;

pub(crate) const HASH: MapShape =
    MapShape { map_type: 1, key_size: 4, value_size: 8, max_entries: 20_000, flags: 0 };
const PER_CPU_ARRAY: MapShape = MapShape { map_type: 6, max_entries: 10_000, ..HASH };

/// A map, or `None` (said aloud) where this process may not make one and need not.
pub(crate) fn map(shape: &MapShape) -> Option<Map> {
    match Map::create(shape, "lb_test_map_of_ours") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            assert_ne!(std::env::var("LB_REQUIRE_PRIVILEGED").as_deref(), Ok("1"), "{error}");
            eprintln!("SKIPPED: needs CAP_BPF: {error}");
            None
        }
        made => Some(made.unwrap()),
    }
}

#[test]
fn an_element_is_stored_found_and_removed() {
    let Some(map) = map(&HASH) else { return };
    assert_eq!(map.info().shape, HASH);
    assert_eq!(map.lookup::<u32, u64>(&7).unwrap(), None);
    map.update(&7_u32, &70_u64).unwrap();
    assert_eq!(map.lookup(&7_u32).unwrap(), Some(70_u64));
    assert!(map.delete(&7_u32).unwrap());
    assert!(!map.delete(&7_u32).unwrap());
}

#[test]
fn the_words_of_an_array_are_its_elements() {
    let shape = MapShape { map_type: 2, key_size: 4, value_size: 8, max_entries: 3000, flags: 0x400 };
    let Some(map) = map(&shape) else { return };
    map.update(&2999_u32, &0b11_u64).unwrap();
    let words = Words::of(&map).unwrap();
    assert_eq!(words.as_slice().len(), 3000);
    assert_eq!(words.as_slice()[2999].fetch_and(!1, std::sync::atomic::Ordering::Relaxed), 0b11);
    assert_eq!(map.lookup(&2999_u32).unwrap(), Some(0b10_u64));
    let wide = Map::create(&MapShape { value_size: 64, ..shape }, "lb_test_wide").unwrap();
    let signals = BackendSignals { counts: [1, 2, 3, 4, 5, 6, 7, 8] };
    wide.update(&2999_u32, &signals).unwrap();
    let words = Words::of(&wide).unwrap();
    let last =
        words.as_slice()[2999 * 8..].iter().map(|word| word.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(last.collect::<Vec<_>>(), signals.counts);
    let plain = Map::create(&MapShape { flags: 0, ..shape }, "lb_test_plain").unwrap();
    assert_eq!(Words::of(&plain).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn an_insertion_does_not_overwrite() {
    let Some(map) = map(&HASH) else { return };
    assert!(map.insert(&7_u32, &70_u64).unwrap());
    assert!(!map.insert(&7_u32, &71_u64).unwrap());
    assert_eq!(map.lookup(&7_u32).unwrap(), Some(70_u64));
}

#[test]
fn types_of_another_size_than_the_maps_are_refused() {
    let Some(map) = map(&HASH) else { return };
    for error in [
        map.lookup::<u32, u32>(&1).unwrap_err(),
        map.lookup::<u64, u64>(&1).unwrap_err(),
        map.update(&1_u32, &[0_u32; 4]).unwrap_err(),
        map.delete(&1_u64).unwrap_err(),
        map.entries::<u64, u64>().unwrap_err(),
        map.update_batch(&[1_u32], &[1_u32]).unwrap_err(),
        map.update_batch(&[1_u32, 2], &[1_u64]).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn batches_write_read_and_delete_all() {
    let Some(map) = map(&HASH) else { return };
    let keys: Vec<u32> = (0..20_000).collect();
    let values: Vec<u64> = keys.iter().map(|key| u64::from(*key) * 3).collect();
    map.update_batch(&keys, &values).unwrap();
    let mut found = map.entries::<u32, u64>().unwrap();
    found.sort_unstable();
    assert!(found.iter().copied().eq(keys.iter().copied().zip(values)));

    map.delete(&5_u32).unwrap();
    map.delete_batch(&keys[..19_999]).unwrap();
    assert_eq!(map.entries::<u32, u64>().unwrap(), [(19_999, 59_997)]);
}

#[test]
fn a_scan_ends_when_told_to() {
    let Some(map) = map(&HASH) else { return };
    let keys: Vec<u32> = (0..20_000).collect();
    map.update_batch(&keys, &vec![1_u64; keys.len()]).unwrap();
    let mut chunks = 0;
    map.scan::<u32, u64>(|_| {
        chunks += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(chunks, 1);
}

#[test]
fn per_cpu_values_are_read_for_every_cpu() {
    let Some(map) = map(&PER_CPU_ARRAY) else { return };
    map.update(&3_u32, &9_u64).unwrap();
    let cpus = possible_cpus().unwrap();
    assert_eq!(map.lookup_per_cpu::<u32, u64>(&3).unwrap().unwrap(), vec![9; cpus]);
    let mut sum = 0;
    let mut elements = 0;
    map.scan::<u32, u64>(|chunk| {
        for (_, values) in chunk.per_cpu::<u32, u64>() {
            elements += 1;
            sum += values.iter().sum::<u64>();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((elements, sum), (10_000, 9 * cpus as u64));
}

#[test]
fn inner_maps_of_any_size_go_into_a_map_of_maps() {
    let inner = MapShape { map_type: 2, key_size: 4, value_size: 8, max_entries: 1, flags: 0x1000 };
    let Some(small) = map(&inner) else { return };
    let large = map(&MapShape { max_entries: 999, ..inner }).unwrap();
    assert!(small.update_inner(0, &large).is_err(), "not a map of maps");
    large.update(&998_u32, &[1_u32, 2]).unwrap();
    assert_eq!(large.lookup(&998_u32).unwrap(), Some([1_u32, 2]));
}

#[test]
fn parts_of_a_scan_see_every_element_once() {
    for entries in [0, 1, 3, 100, 5000, 19_999] {
        let Some(map) = map(&HASH) else { return };
        let keys: Vec<u32> = (0..entries).map(|number: u32| number.wrapping_mul(2_654_435_761)).collect();
        if !keys.is_empty() {
            map.update_batch(&keys, &vec![1_u64; keys.len()]).unwrap();
        }
        for parts in 1..=5 {
            let cuts = map.cuts::<u32, u64>(parts).unwrap();
            let begins = std::iter::once(None).chain(cuts.iter().map(Some));
            let ends = cuts.iter().map(Some).chain([None]);
            let mut seen = Vec::new();
            for part in begins.zip(ends) {
                map.scan_part::<u32, u64>(part, |chunk| {
                    seen.extend(chunk.iter::<u32, u64>().map(|(key, _)| key));
                    ControlFlow::Continue(())
                })
                .unwrap();
            }
            let mut expected = keys.clone();
            expected.sort_unstable();
            seen.sort_unstable();
            assert!(seen == expected, "{} instead of {entries} in {parts} parts", seen.len());
        }
    }
}

#[test]
fn an_array_has_no_cuts() {
    let Some(map) = map(&PER_CPU_ARRAY) else { return };
    assert!(map.cuts::<u32, u64>(4).unwrap().is_empty());
}
