//! A thread that works for a client until it is told to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use crate::netns::Netns;

/// What tells the work that it is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Enough(Arc<AtomicBool>);

impl Enough {
    pub(super) fn is_said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread at work. It is stopped on drop.
#[derive(Debug)]
pub(super) struct Background<T> {
    enough: Enough,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Background<T> {
    /// Begins work in a namespace that looks at `enough` now and then.
    pub(super) fn start(netns: &Netns, enough: Enough, work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self { enough, thread: Some(netns.spawn_thread(work)) }
    }
}

impl<T> Background<T> {
    /// Tells the work that it is enough, and waits for its end; `None` if that was done before.
    ///
    /// # Panics
    ///
    /// As the work did.
    pub(super) fn stop(&mut self) -> Option<T> {
        self.enough.0.store(true, Ordering::Relaxed);
        let thread = self.thread.take()?;
        Some(thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.enough.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic was printed; another one while this thread panics would end the process.
            let _ = thread.join();
        }
    }
}
