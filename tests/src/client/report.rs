//! What a load has come to.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Counts of requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that were answered, and correctly.
    pub succeeded: u64,
    /// Requests that were not, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Answered requests by the name of the server.
    pub servers: BTreeMap<String, u64>,
    /// Time the slowest answered request took.
    pub slowest: Duration,
    /// When the last request began that failed.
    pub last_failure: Option<Instant>,
    /// When the last request began that a server answered.
    pub last_answers: BTreeMap<String, Instant>,
}

impl Report {
    /// Number of requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Number of requests made.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.succeeded + self.failed()
    }

    /// The share of a server in the answered requests, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn share(&self, server: &str) -> f64 {
        let count = self.servers.get(server).copied().unwrap_or_default();
        count as f64 / self.succeeded.max(1) as f64
    }

    /// Counts a request.
    pub(super) fn count(&mut self, outcome: Result<String, String>, start: Instant) {
        match outcome {
            Ok(server) => {
                self.succeeded += 1;
                self.slowest = self.slowest.max(start.elapsed());
                let last = self.last_answers.entry(server.clone()).or_insert(start);
                *last = start.max(*last);
                *self.servers.entry(server).or_default() += 1;
            }
            Err(reason) => {
                self.last_failure = self.last_failure.max(Some(start));
                *self.failures.entry(reason).or_default() += 1;
            }
        }
    }

    /// Counts since an earlier report of the same load.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let difference = |now: &BTreeMap<String, u64>, then: &BTreeMap<String, u64>| {
            now.iter()
                .map(|(key, count)| (key.clone(), count - then.get(key).copied().unwrap_or_default()))
                .filter(|(_, count)| *count > 0)
                .collect()
        };
        Self {
            succeeded: self.succeeded - earlier.succeeded,
            failures: difference(&self.failures, &earlier.failures),
            servers: difference(&self.servers, &earlier.servers),
            ..self.clone()
        }
    }
}
