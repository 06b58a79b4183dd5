//! The time limit of a probe.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::Step;
use crate::health::Outcome;

/// The end of a probe's time.
#[derive(Debug)]
pub(super) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    limit: Duration,
}

impl Deadline {
    /// A limit that begins to run now.
    pub(super) fn after(limit: Duration) -> Self {
        Self { sleep: Box::pin(sleep(limit)), limit }
    }

    /// What work comes to, or a failure that says what was being done when the time was over.
    pub(super) async fn within<T>(&mut self, doing: &str, work: impl Future<Output = T>) -> Step<T> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = &mut self.sleep => Err(Outcome::Failed(format!("timed out after {:?}: {doing}", self.limit).into())),
        }
    }

    /// What work comes to before the time is over.
    pub(super) async fn if_in_time<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.within("", work).await.ok()
    }

    /// The whole limit.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }
}
