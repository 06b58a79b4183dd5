//! A daemon in simulated time.

use std::time::Duration;

use super::*;
use crate::{control::Now, model::Timestamp};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A daemon whose clocks stand still unless they are moved.
pub(super) struct Life {
    pub(super) control: Control,
    pub(super) store: MemoryStore,
    pub(super) maps: SharedMaps,
    pub(super) now: Now,
    /// Flows of backend `b1` that a scan finds.
    pub(super) flows: u64,
}

impl Life {
    pub(super) fn begin() -> Self {
        let (store, maps) = (MemoryStore::new(example()), SharedMaps::default());
        let wall = Timestamp::since_epoch(Duration::from_secs(1_795_389_000));
        let now = Now { instant: moment(), wall, boot: 1000 * SECOND, monotonic: 1000 * SECOND };
        let control = start(&store, &maps, now);
        Self { control, store, maps, now, flows: 0 }
    }

    /// `kill -9`, and a start `pause` later.
    pub(super) fn restart(&mut self, pause: Duration) {
        self.sleep(pause);
        self.maps = self.maps.restarted();
        self.control = start(&self.store, &self.maps, self.now);
        self.control.settle(self.now);
    }

    /// Time passes that nobody uses.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.boot += time;
        self.now.wall = self.now.wall.after(time);
    }

    pub(super) fn tell(&mut self, event: Event) -> Result<(), Error> {
        let outcome = self.control.handle(event, self.now);
        self.control.settle(self.now);
        // What was put off to the next time is done.
        self.control.settle(self.now);
        outcome
    }
}

fn start(store: &MemoryStore, maps: &SharedMaps, now: Now) -> Control {
    Control::start(Box::new(store.clone()), Box::new(maps.clone()), [].into(), 7, now).unwrap()
}
