//! Former layouts of the pinned maps, and how this version reads them: one entry for each.
//!
//! A map whose layout did not change is not copied: it is pinned in the directory of this version as well, and programs of both
//! versions work on it until the links are switched. Flows of another form are converted. All other maps can be made
//! again. When `ABI_VERSION` is raised, the version before gets an entry here, and those of older ones are looked through.

use std::{
    io,
    path::{Path, PathBuf},
};

use lb_common::{
    abi::{Backend, BackendFlags, Flow, FlowKey, former},
    maps,
};

use super::{
    LoaderError, PinDirectory,
    error::OtherVersion,
    migrate::{FLOW_TABLES, Target, merge_flows},
    shape::{describe, kind, pinned_shape},
};
use crate::sys::bpf::{Map, MapShape};

/// A former layout.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) version: u32,
    /// Maps that have the layout they have now.
    same: &'static [&'static [&'static str]],
    /// Maps whose elements have another form now.
    pub(super) converted: &'static [Converted],
    /// Bits of [`Backend::flags`] that the program of that version does not know, and this one can do without.
    pub(super) new_flags: u16,
    /// Whether there is a way back to it: no map may have another form.
    pub(super) downgrade: bool,
}

/// A map whose elements had another form.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) name: &'static str,
    /// Bytes of a key and a value, by which the form is recognised.
    pub(super) sizes: (u32, u32),
    pub(super) copy: Copy,
}

/// Copies from a map of the former form to one of the present; the number of elements written.
pub(super) type Copy = fn(&Map, &Map, Target) -> io::Result<usize>;

/// What versions 1 and 2 have in common, beside the flows.
const ALIKE_1_2: &[&str] = &[
    maps::FRAGMENTS_V4,
    maps::FRAGMENTS_V6,
    maps::SERVICES_V4,
    maps::SERVICES_V6,
    maps::SLOTS,
    maps::ROTATION,
    maps::BACKENDS,
    maps::BACKEND_FLOWS,
    maps::SNAT_ADDRESSES,
    maps::PORTS,
    maps::SETTINGS,
    maps::SERVICE_COUNTERS,
    maps::BACKEND_COUNTERS,
    maps::INTERFACE_COUNTERS,
    maps::DROPS,
];

/// Layouts that this version migrates from.
pub(super) const FORMER: &[Layout] = &[
    Layout {
        version: 1,
        same: &[&FLOW_TABLES, ALIKE_1_2],
        converted: &[],
        new_flags: BackendFlags::EXCLUSIVE,
        downgrade: true,
    },
    // The first form of version 1: flows with the source MAC address.
    Layout {
        version: 1,
        same: &[ALIKE_1_2],
        converted: &[
            Converted { name: maps::FLOWS_V4, sizes: (16, 48), copy: former_v4 },
            Converted { name: maps::EMBRYONIC_V4, sizes: (16, 48), copy: former_v4 },
            Converted { name: maps::FLOWS_V6, sizes: (40, 72), copy: former_v6 },
            Converted { name: maps::EMBRYONIC_V6, sizes: (40, 72), copy: former_v6 },
        ],
        new_flags: BackendFlags::EXCLUSIVE,
        downgrade: false,
    },
];

fn former_v4(from: &Map, to: &Map, target: Target) -> io::Result<usize> {
    merge_flows::<FlowKey<u32>, former::Flow<u32>, Flow<u32>>(from, to, target)
}

fn former_v6(from: &Map, to: &Map, target: Target) -> io::Result<usize> {
    merge_flows::<FlowKey<[u32; 4]>, former::Flow<[u32; 4]>, Flow<[u32; 4]>>(from, to, target)
}

/// The layout of what is pinned by another `version`, if it is one that this version reads: all maps have to look like it.
/// `defined` is what the present maps look like. An error says which map does not fit.
pub(super) fn identify(
    directory: &PinDirectory,
    version: u32,
    defined: &[(&'static str, MapShape)],
) -> Result<&'static Layout, LoaderError> {
    let candidates: Vec<_> = FORMER.iter().filter(|layout| layout.version == version).collect();
    let place = directory.version(version);
    if candidates.is_empty() {
        return Err(LoaderError::OtherVersion(OtherVersion { place, version, misfit: None }));
    }
    let mut misfit = None;
    for layout in candidates {
        match layout.misfit(directory, defined)? {
            None => return Ok(layout),
            found => misfit = misfit.or(found),
        }
    }
    Err(LoaderError::OtherVersion(OtherVersion { place, version, misfit }))
}

impl Layout {
    /// The maps that have the layout they have now.
    pub(super) fn same(&self) -> impl Iterator<Item = &'static str> {
        self.same.iter().copied().flatten().copied()
    }

    /// The first map that does not look as in this layout, and what it looks like.
    fn misfit(
        &self,
        directory: &PinDirectory,
        defined: &[(&'static str, MapShape)],
    ) -> Result<Option<(PathBuf, String)>, LoaderError> {
        for (name, shape) in defined {
            let path = directory.version(self.version).join(name);
            let Some(found) = pinned_shape(&path)? else { continue };
            let sizes = self.sizes(name, shape);
            if sizes.is_some_and(|sizes| sizes != (kind(found.map_type), found.key_size, found.value_size)) {
                return Ok(Some((path, describe(&found))));
            }
        }
        Ok(None)
    }

    /// Type, and bytes of keys and values that a map has in this layout; `None`: it does not matter.
    fn sizes(&self, name: &str, now: &MapShape) -> Option<(u32, u32, u32)> {
        if self.same().any(|same| same == name) {
            return Some((kind(now.map_type), now.key_size, now.value_size));
        }
        let converted = self.converted.iter().find(|converted| converted.name == name)?;
        Some((kind(now.map_type), converted.sizes.0, converted.sizes.1))
    }
}

/// Clears flags of the backends in the map at `path`, if there is one; the backends as they were.
pub(super) fn clear_flags(path: &Path, flags: u16) -> io::Result<Vec<(u32, Backend)>> {
    if flags == 0 || !path.exists() {
        return Ok(Vec::new());
    }
    let map = Map::open(path)?;
    let mut found = map.entries::<u32, Backend>()?;
    found.retain(|(_, backend)| backend.flags & flags != 0);
    let cleared =
        |(id, backend): &(u32, Backend)| (*id, Backend { flags: backend.flags & !flags, ..*backend });
    let (ids, backends): (Vec<u32>, Vec<Backend>) = found.iter().map(cleared).unzip();
    map.update_batch(&ids, &backends)?;
    Ok(found)
}

/// Writes backends as they were into the map at `path`.
pub(super) fn restore_backends(path: &Path, backends: &[(u32, Backend)]) -> io::Result<()> {
    if backends.is_empty() {
        return Ok(());
    }
    let (ids, backends): (Vec<u32>, Vec<Backend>) = backends.iter().copied().unzip();
    Map::open(path)?.update_batch(&ids, &backends)
}
