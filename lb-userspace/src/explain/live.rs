//! The pinned maps, read only.

use std::{collections::HashMap, io, path::Path};

use lb_common::maps;

use crate::sys::bpf::Map;

/// All maps of the data path, open.
#[derive(Debug)]
pub struct Live {
    maps: HashMap<&'static str, Map>,
}

impl Live {
    /// Opens the maps pinned in `directory`.
    ///
    /// # Errors
    /// A pin is missing.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let open = |name: &&'static str| {
            let path = directory.join(name);
            let map = Map::open(&path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            Ok((*name, map))
        };
        Ok(Self { maps: maps::ALL.iter().map(open).collect::<io::Result<_>>()? })
    }

    pub(super) fn map(&self, name: &str) -> io::Result<&Map> {
        find(&self.maps, name)
    }

    /// Most elements of a map.
    pub(super) fn entries(&self, name: &str) -> u32 {
        self.maps.get(name).map_or(1, |map| map.info().shape.max_entries)
    }
}

pub(super) fn find<'a>(maps: &'a HashMap<&'static str, Map>, name: &str) -> io::Result<&'a Map> {
    maps.get(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no map {name}")))
}
