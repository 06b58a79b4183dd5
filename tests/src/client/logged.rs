//! Requests whose failures are kept, with their times.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::Request;
use crate::clock;

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it began.
    pub begun: Instant,
    /// When it had failed.
    pub ended: Instant,
    /// Why.
    pub reason: String,
}

/// A kind of request whose failures are added to a list that it shares with others.
#[derive(Clone, Debug)]
pub struct Logged<R> {
    /// The requests.
    pub request: R,
    /// Those that failed.
    pub failures: Arc<Mutex<Vec<Failure>>>,
}

impl<R: Request> Request for Logged<R> {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let begun = clock::now();
        let outcome = self.request.make(source, number).await;
        if let Err(reason) = &outcome {
            let failure = Failure { begun, ended: clock::now(), reason: reason.clone() };
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        }
        outcome
    }
}
