//! Requests that do not begin all at once.

use std::{net::IpAddr, time::Duration};

use tokio::time::sleep;

use super::Request;
use crate::pattern::Pattern;

/// Of the sequence of waits.
const SEED: u64 = 2;
/// Waits that differ.
const STEPS: u32 = 1 << 10;

/// A request that waits before it begins, each as long as none is foreseen: a load without that waits for one answer as it waits for
/// all, so that its requests come in bursts.
#[derive(Clone, Debug)]
pub struct Spread<R> {
    /// What is asked for.
    pub request: R,
    /// The wait on average; the longest is twice as long.
    pub mean: Duration,
}

impl<R: Request> Request for Spread<R> {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let step = Pattern::new(SEED).word(number) % u64::from(STEPS);
        sleep(2 * self.mean * u32::try_from(step).unwrap_or(STEPS) / STEPS).await;
        self.request.make(source, number).await
    }
}
