//! The thread of the virtual routers. It gets its priority while the process may still give it away, and its work when there is some.

use std::{io, sync::mpsc, thread};

use crate::{
    runtime::{Failure, privileges::Privileges},
    sys::process::{prefer_this_thread, run_this_thread_soon},
};

/// Is told why the thread has no real-time priority, unless it has.
type Work = Box<dyn FnOnce(Option<io::Error>) + Send>;

/// The thread, before it has its work. It ends if it gets none.
#[derive(Debug)]
pub(in crate::runtime) struct Seat {
    work: mpsc::Sender<Work>,
    thread: thread::JoinHandle<()>,
}

impl Seat {
    /// Starts the thread with the privileges of the calling one, of which it keeps those that it needs.
    ///
    /// # Errors
    /// [`Failure::System`]: there are no threads left.
    pub(in crate::runtime) fn take(privileges: &Privileges) -> Result<Self, Failure> {
        let (work, begin) = mpsc::channel::<Work>();
        let privileges = privileges.clone();
        let sit = move || {
            let unpreferred = prefer().err();
            privileges.limit_thread();
            if let Ok(work) = begin.recv() {
                work(unpreferred);
            }
        };
        let thread = thread::Builder::new().name("vrrp".to_owned()).spawn(sit);
        Ok(Self { work, thread: thread.map_err(Failure::system("start a thread for VRRP"))? })
    }

    /// Has the thread do its work; it ends with it.
    pub(super) fn begin(
        self,
        work: impl FnOnce(Option<io::Error>) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        // Refused only where the thread is gone, which shows when it is joined.
        let _ = self.work.send(Box::new(work));
        self.thread
    }
}

/// An error says why there is no real-time priority; it runs as soon as it may all the same.
fn prefer() -> io::Result<()> {
    let preferred = prefer_this_thread();
    if preferred.is_err()
        && let Err(error) = run_this_thread_soon()
    {
        tracing::debug!(%error, "nor does VRRP run sooner than others");
    }
    preferred
}
