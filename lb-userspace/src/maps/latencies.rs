//! How long the backends' handshakes took, in memory: to read it takes no system call.

use std::path::Path;
use std::sync::atomic::Ordering;

use lb_common::abi::{Histogram, Latencies};
use lb_common::maps;

use super::error::access;
use super::{MapError, shapes};
use crate::sys::bpf::{Map, Words};

/// Words of a histogram, and of an element.
const HISTOGRAM: usize = size_of::<Histogram>() / 8;
const WORDS: usize = size_of::<Latencies>() / 8;

/// The histograms of `BACKEND_LATENCIES`, as they are at each moment.
#[derive(Debug)]
pub struct BackendLatencies(Words);

impl BackendLatencies {
    /// Maps the histograms pinned in `directory` into memory.
    ///
    /// # Errors
    /// [`MapError::Open`], [`MapError::Shape`], [`MapError::Access`].
    pub fn open(directory: &Path) -> Result<Self, MapError> {
        Self::of_map(&shapes::open(directory, maps::BACKEND_LATENCIES)?)
    }

    pub(super) fn of_map(map: &Map) -> Result<Self, MapError> {
        Words::of(map).map(Self).map_err(access(maps::BACKEND_LATENCIES, "have it in memory"))
    }

    /// What was measured of a backend; nothing for an id that is none, nor where nothing is measured. They start from 0 when its id is given
    /// to another one.
    #[must_use]
    pub fn of(&self, id: u32) -> Latencies {
        let start = id as usize * WORDS;
        Latencies { handshake: self.histogram(start), rtt: self.histogram(start + HISTOGRAM) }
    }

    fn histogram(&self, start: usize) -> Histogram {
        let mut found = Histogram::default();
        if let Some([counts @ .., nanos]) = self.0.as_slice().get(start..start + HISTOGRAM) {
            for (count, word) in found.counts.iter_mut().zip(counts) {
                *count = word.load(Ordering::Relaxed);
            }
            found.nanos = nanos.load(Ordering::Relaxed);
        }
        found
    }
}
