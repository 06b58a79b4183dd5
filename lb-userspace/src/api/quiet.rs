//! Lines of the log that strangers cause: one a second at most.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// From one line to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets one line through, and then none for a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet(Arc<AtomicBool>);

impl Quiet {
    /// Says something unless something was said just now. Needs a tokio runtime.
    pub(super) fn say(&self, line: impl FnOnce()) {
        if self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        line();
        let said = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            said.store(false, Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_second_is_let_through() {
        let (quiet, mut said) = (Quiet::default(), 0);
        for _ in 0..100 {
            quiet.say(|| said += 1);
        }
        assert_eq!(said, 1);
        tokio::time::sleep(PAUSE * 2).await;
        quiet.say(|| said += 1);
        assert_eq!(said, 2);
    }
}
