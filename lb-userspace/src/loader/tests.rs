//! Cases of the decisions; the kernel's part is tested end to end.

use std::path::Path;

use lb_common::maps;

use super::{
    LoaderError, PinDirectory, Sizes,
    shape::{Fate, fate},
};
use crate::{
    model::{Limits, TableFull},
    sys::bpf::MapShape,
};

const SHAPE: MapShape = MapShape { map_type: 9, key_size: 16, value_size: 48, max_entries: 1024, flags: 0 };

#[test]
fn a_map_that_fits_is_reused() {
    for name in maps::ALL {
        assert_eq!(fate(name, SHAPE, SHAPE), Fate::Reuse, "{name}");
    }
}

#[test]
fn flows_and_ids_move_into_a_map_of_another_size_and_the_rest_is_made_anew() {
    let larger = MapShape { max_entries: 4096, ..SHAPE };
    for name in maps::ALL {
        let moves = matches!(
            *name,
            maps::FLOWS_V4
                | maps::FLOWS_V6
                | maps::EMBRYONIC_V4
                | maps::EMBRYONIC_V6
                | maps::SERVICES_V4
                | maps::SERVICES_V6
                | maps::BACKENDS
                | maps::SNAT_ADDRESSES
                | maps::PORTS
                | maps::SETTINGS
                | maps::BACKEND_PLACES
                | maps::SERVICE_PLACES
                | maps::AFFINITY
                | maps::COOKIES_V4
                | maps::COOKIES_V6
                | maps::SYN_COOKIES
        );
        assert_eq!(fate(name, SHAPE, larger), if moves { Fate::Move } else { Fate::Remake }, "{name}");
    }
}

#[test]
fn a_map_that_cannot_be_read_is_refused_unless_it_can_be_made_again() {
    for other in [
        MapShape { key_size: 12, ..SHAPE },
        MapShape { value_size: 64, ..SHAPE },
        MapShape { map_type: 2, ..SHAPE },
    ] {
        assert_eq!(fate(maps::FLOWS_V4, other, SHAPE), Fate::Refuse);
        assert_eq!(fate(maps::BACKENDS, other, SHAPE), Fate::Refuse);
        assert_eq!(fate(maps::INTERFACES, other, SHAPE), Fate::Remake);
    }
}

#[test]
fn established_flows_move_into_a_table_that_forgets_none_and_back() {
    let other = MapShape { map_type: 1, ..SHAPE };
    for (pinned, defined) in [(SHAPE, other), (other, SHAPE)] {
        assert_eq!(fate(maps::FLOWS_V6, pinned, defined), Fate::Move);
        assert_eq!(fate(maps::EMBRYONIC_V6, pinned, defined), Fate::Refuse);
    }
    for (table_full, expected) in [
        (None, 1),
        (Some(TableFull::EvictIdle), 9),
        (Some(TableFull::EvictEmbryonic), 1),
        (Some(TableFull::Reject), 1),
    ] {
        let sizes = Sizes::new(&Limits { table_full, ..Limits::default() }, 5, false, true);
        assert_eq!(sizes.map_type(maps::FLOWS_V4, 9), expected, "{table_full:?}");
        assert_eq!(sizes.map_type(maps::EMBRYONIC_V4, 9), 9);
    }
}

#[test]
fn a_connection_takes_two_entries_and_id_0_is_spare() {
    let sizes = Sizes::new(&Limits::default(), 5, false, true);
    assert_eq!(sizes.of(maps::FLOWS_V4), Some(131_072));
    assert_eq!(sizes.of(maps::BACKENDS), Some(8193));
    assert_eq!((sizes.of(maps::ORIGINS_V4), sizes.of(maps::ORIGINS_V6)), (Some(8193), Some(8193)));
    assert_eq!(sizes.of(maps::PORTS), Some(256 * maps::PORT_WORDS));
    assert_eq!(sizes.of(maps::EVENTS), None);
}

#[test]
fn the_interface_table_reaches_up_to_the_highest_index() {
    assert_eq!(
        Sizes::new(&Limits::default(), 5, false, true).of(maps::INTERFACES),
        Some(maps::DEFAULT_INTERFACES)
    );
    assert_eq!(Sizes::new(&Limits::default(), 1024, false, true).of(maps::INTERFACES), Some(2048));
    assert_eq!(Sizes::new(&Limits::default(), u32::MAX, false, true).of(maps::INTERFACES), Some(65_536));
}

#[test]
fn a_link_is_pinned_under_a_name_without_a_dot() {
    let directory = PinDirectory::new(Path::new("/sys/fs/bpf/lb"));
    assert_eq!(directory.link("eth0.100"), Path::new("/sys/fs/bpf/lb/v2/link-eth0:100"));
}

#[test]
fn a_directory_elsewhere_than_on_a_bpf_file_system_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let error = PinDirectory::new(&place.path().join("lb")).create().unwrap_err();
    assert!(matches!(&error, LoaderError::NotBpfFs { .. }), "{error}");
    assert!(!place.path().join("lb").exists());
}

#[test]
fn one_lbd_at_a_time_uses_a_directory() {
    let place = tempfile::tempdir().unwrap();
    let directory = PinDirectory::new(place.path());
    let lock = directory.lock().unwrap();
    let error = directory.lock().unwrap_err();
    assert!(matches!(&error, LoaderError::Locked { .. }));
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    drop(lock);
    drop(directory.lock().unwrap());
}
