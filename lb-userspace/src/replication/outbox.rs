//! What is sent: items in batches, which are sent again until the other machine has them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    inbox::REACH,
    message::{Item, MOST_ITEM_BYTES},
};

/// Items that may wait. Beyond that, flows are left to the next sweep.
const MOST_WAITING: usize = 1 << 16;
/// Items of a sweep that may wait: room is left for what happens meanwhile.
const MOST_SWEPT: usize = 1 << 12;
/// Batches a second at most, and at once.
const RATE: f64 = 20_000.0;
const BURST: f64 = REACH as f64;
/// After this time a batch is sent again if a later one arrived.
const OVERTAKEN: Duration = Duration::from_millis(10);
/// After this time a batch is sent again anyway; doubled each time.
const UNANSWERED: Duration = Duration::from_millis(50);
const MOST_DOUBLINGS: u32 = 4;

/// The sending end of a stream.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Batches that are full, and behind them the one that items are written to.
    full: VecDeque<Filled>,
    open: Filled,
    /// Items in both.
    waiting: usize,
    /// Sent, and not known to have arrived.
    sent: BTreeMap<u64, Sent>,
    last: u64,
    tokens: f64,
    tokens_at: Duration,
}

/// Items that make a batch.
#[derive(Debug, Default)]
struct Filled {
    bytes: Vec<u8>,
    items: usize,
    flows: u64,
}

#[derive(Debug)]
struct Sent {
    items: Vec<u8>,
    first_at: Duration,
    again_at: Duration,
    times: u32,
}

/// A batch to be sent.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) number: u64,
    pub(super) items: &'a [u8],
    /// Flows that are sent for the first time.
    pub(super) flows: u64,
    pub(super) is_again: bool,
}

impl Outbox {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            full: VecDeque::new(),
            open: Filled::default(),
            waiting: 0,
            sent: BTreeMap::new(),
            last: 0,
            tokens: BURST,
            tokens_at: now,
        }
    }

    /// Adds an item; false: there is no room.
    pub(super) fn push(&mut self, item: &Item) -> bool {
        if self.waiting >= MOST_WAITING {
            return false;
        }
        if self.open.bytes.len() + item.bytes() > MOST_ITEM_BYTES {
            self.full.push_back(std::mem::take(&mut self.open));
        }
        if self.open.bytes.capacity() == 0 {
            self.open.bytes.reserve_exact(MOST_ITEM_BYTES);
        }
        item.write(&mut self.open.bytes);
        self.open.items += 1;
        self.open.flows += u64::from(matches!(item, Item::Flow(_)));
        self.waiting += 1;
        true
    }

    /// How many flows of a sweep may be added.
    pub(super) fn room(&self) -> usize {
        MOST_SWEPT.saturating_sub(self.waiting)
    }

    /// Items that were not sent yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Since when the oldest batch is under way.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.sent.values().map(|sent| sent.first_at).min()
    }

    /// The other machine has everything before `next`, and the batches after it whose bits are set.
    pub(super) fn acknowledge(&mut self, now: Duration, next: u64, came: u128) {
        self.sent = self.sent.split_off(&next);
        let highest = next.saturating_add(u64::from(u128::BITS - came.leading_zeros()));
        self.sent.retain(|number, sent| {
            let came = *number > next && came >> (number - next - 1).min(127) & 1 == 1;
            if !came && *number < highest {
                sent.again_at = sent.again_at.min(now.max(sent.first_at + OVERTAKEN));
            }
            !came
        });
    }

    /// The next batch that is to be sent now.
    pub(super) fn next_batch(&mut self, now: Duration) -> Option<Batch<'_>> {
        let gained = now.saturating_sub(self.tokens_at).as_secs_f64() * RATE;
        self.tokens = (self.tokens + gained).min(BURST);
        self.tokens_at = now;
        if self.tokens < 1.0 {
            return None;
        }
        let again = self.sent.iter().find(|(_, sent)| sent.again_at <= now).map(|(number, _)| *number);
        let (number, flows) = match again {
            Some(number) => (number, 0),
            None => self.fill(now)?,
        };
        self.tokens -= 1.0;
        let sent = self.sent.get_mut(&number)?;
        sent.again_at = now + UNANSWERED * 2_u32.pow(sent.times.min(MOST_DOUBLINGS));
        sent.times += 1;
        Some(Batch { number, items: &sent.items, flows, is_again: again.is_some() })
    }

    /// Makes a batch of what waits.
    fn fill(&mut self, now: Duration) -> Option<(u64, u64)> {
        let first = self.sent.first_key_value().map_or(self.last + 1, |(first, _)| *first);
        if self.last + 1 - first >= REACH || self.waiting == 0 {
            return None;
        }
        let Filled { bytes: items, items: count, flows } =
            self.full.pop_front().unwrap_or_else(|| std::mem::take(&mut self.open));
        self.waiting -= count;
        self.last += 1;
        self.sent.insert(self.last, Sent { items, first_at: now, again_at: now, times: 0 });
        Some((self.last, flows))
    }

    /// When [`Self::next_batch`] may have something.
    pub(super) fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        let due = self.sent.values().map(|sent| sent.again_at).min();
        let first = self.sent.first_key_value().map_or(self.last + 1, |(first, _)| *first);
        let may_fill = self.waiting > 0 && self.last + 1 - first < REACH;
        let due = if may_fill { Some(now) } else { due };
        let ready =
            if self.tokens < 1.0 { self.tokens_at + Duration::from_secs_f64(1.0 / RATE) } else { now };
        due.map(|due| due.max(ready))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_beyond_all_numbers_can_be_acknowledged() {
        let mut outbox = Outbox::new(Duration::ZERO);
        assert!(outbox.push(&Item::End { sweep: 1, is_intact: true }));
        assert!(outbox.next_batch(Duration::from_secs(1)).is_some());
        outbox.acknowledge(Duration::from_secs(1), u64::MAX, u128::MAX);
        assert_eq!(outbox.oldest(), None);
    }
}
