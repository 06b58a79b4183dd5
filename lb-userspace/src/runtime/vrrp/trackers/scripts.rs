//! Scripts.

use std::time::Duration;

use super::Teller;
use crate::{
    health::{Outcome, Program},
    model::TrackedScript,
    runtime::Clock,
    vrrp::{Reading, RiseFall, tracked_script},
};

/// Between two lines of the log about a script that cannot be run.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// Runs a script again and again, one run at a time.
pub(super) async fn follow(tracked: TrackedScript, program: Program, clock: Clock, mut teller: Teller) {
    let name = tracked_script(&tracked.name);
    let environment = [("LB_SCRIPT", tracked.name.to_string())];
    let mut counts = RiseFall::new(tracked.rise, tracked.fall);
    let mut log_at = Duration::ZERO;
    loop {
        let next = clock.now() + tracked.interval;
        match program.run(&environment, tracked.timeout).await {
            Outcome::Healthy => {
                if counts.take(true) {
                    teller.tell(&name, Reading::There);
                }
            }
            Outcome::Failed(reason) => {
                if !counts.take(false) {
                    teller.tell(&name, Reading::Missing(reason));
                }
            }
            // It says nothing of what the script looks at.
            Outcome::NotTried(reason) if clock.now() >= log_at => {
                log_at = clock.now() + LOG_AGAIN;
                tracing::error!(script = %tracked.name, %reason, "VRRP cannot run a script that it tracks");
            }
            Outcome::NotTried(_) => {}
        }
        clock.sleep_until(Some(next)).await;
    }
}
