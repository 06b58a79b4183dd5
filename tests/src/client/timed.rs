//! Requests whose times are kept.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use super::Request;
use crate::clock;

/// A request that fails if it takes too long; else its time is kept.
#[derive(Clone, Debug)]
pub struct Timed<R> {
    request: R,
    limit: Duration,
    times: Arc<Mutex<Vec<Duration>>>,
}

impl<R> Timed<R> {
    /// No time is known yet.
    #[must_use]
    pub fn new(request: R, limit: Duration) -> Self {
        Self { request, limit, times: Arc::default() }
    }

    /// The time that a part (0 to 1) of the successful requests did not exceed; `None` if there was none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are far less than 2^52")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the list")]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.sort_unstable();
        let place = (times.len() as f64 * part) as usize;
        times.get(place.min(times.len().saturating_sub(1))).copied()
    }
}

impl<R: Request> Request for Timed<R> {
    async fn make(&self, source: IpAddr, number: u64) -> Result<String, String> {
        let start = clock::now();
        let Ok(outcome) = timeout(self.limit, self.request.make(source, number)).await else {
            return Err(format!("no answer within {:?}", self.limit));
        };
        let server = outcome?;
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_time_that_a_part_did_not_exceed() {
        let timed = Timed::new((), Duration::ZERO);
        assert_eq!(timed.quantile(0.5), None);
        timed.times.lock().unwrap().extend((0..100).rev().map(Duration::from_millis));
        assert_eq!(timed.quantile(0.99), Some(Duration::from_millis(99)));
        assert_eq!(timed.quantile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(timed.quantile(1.0), Some(Duration::from_millis(99)));
    }
}
