//! The state machine.

use std::{sync::Arc, time::Instant};

use super::{Error, Event, Snapshot, Store};

/// The owner of the model, the maps and the file.
pub struct Control {
    store: Box<dyn Store>,
    snapshot: Arc<Snapshot>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

impl Control {
    /// The current state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// It was refused, and nothing changed.
    pub fn handle(&mut self, event: Event, now: Instant) -> Result<(), Error> {
        let _ = (event, now, self.store.load()?);
        Ok(())
    }
}
