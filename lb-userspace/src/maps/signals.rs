//! What the data path saw of the backends' health, in memory: to read it takes no system call.

use std::path::Path;
use std::sync::atomic::Ordering;

use lb_common::abi::BackendSignals;
use lb_common::maps;

use super::error::access;
use super::{MapError, shapes};
use crate::sys::bpf::{Map, Words};

/// Words of an element.
const WORDS: usize = size_of::<BackendSignals>() / 8;

/// The counts of `BACKEND_SIGNALS`, as they are at each moment.
#[derive(Debug)]
pub struct Signals(Words);

impl Signals {
    /// Maps the counts pinned in `directory` into memory.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`], [`MapError::Access`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        Self::of_map(&shapes::open(directory, maps::BACKEND_SIGNALS)?)
    }

    pub(super) fn of_map(map: &Map) -> Result<Self, MapError> {
        Words::of(map).map(Self).map_err(access(maps::BACKEND_SIGNALS, "have it in memory"))
    }

    /// What was counted for a backend; nothing for an id that is none. They start from 0 when its id is given to another one.
    #[must_use]
    pub fn of(&self, id: u32) -> BackendSignals {
        let start = id as usize * WORDS;
        let mut found = BackendSignals::default();
        if let Some(words) = self.0.as_slice().get(start..start + WORDS) {
            for (count, word) in found.counts.iter_mut().zip(words) {
                *count = word.load(Ordering::Relaxed);
            }
        }
        found
    }
}
