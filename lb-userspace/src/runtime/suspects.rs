//! Which backends are suspect, between the health checks, which know, and those who show it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::health::Suspects;

/// What is known at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownSuspects(Arc<Mutex<Arc<Suspects>>>);

impl KnownSuspects {
    pub(super) fn latest(&self) -> Arc<Suspects> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Suspects)) {
        change(Arc::make_mut(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}
