//! What arrives: batches in any order, taken in the order in which they were made.

use std::collections::BTreeMap;

/// Batches that may arrive before one that is missing.
pub(super) const REACH: u64 = 128;

/// The receiving end of a stream.
#[derive(Debug)]
pub(super) struct Inbox {
    next: u64,
    early: BTreeMap<u64, Vec<u8>>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is taken; so many before it are missing that were not missed before.
    New { gap: u64 },
    /// It came before.
    Duplicate,
    /// There is no room for it: the sender went further than it may.
    TooFar,
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self { next: 1, early: BTreeMap::new() }
    }

    pub(super) fn receive(&mut self, batch: u64, items: Vec<u8>) -> Arrival {
        if batch < self.next || self.early.contains_key(&batch) {
            return Arrival::Duplicate;
        }
        if batch - self.next > REACH {
            return Arrival::TooFar;
        }
        let highest = self.early.last_key_value().map_or(self.next - 1, |(highest, _)| *highest);
        self.early.insert(batch, items);
        Arrival::New { gap: batch.saturating_sub(highest + 1) }
    }

    /// The next batch in order, if it is there.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let items = self.early.remove(&self.next)?;
        self.next += 1;
        Some(items)
    }

    /// The batch that is expected next, and bits of those after it that are there.
    pub(super) fn state(&self) -> (u64, u128) {
        let came = self.early.keys().fold(0, |came, batch| came | 1 << (batch - self.next - 1));
        (self.next, came)
    }
}
