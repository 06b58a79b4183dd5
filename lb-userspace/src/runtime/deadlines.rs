//! Wakes control when a deadline is due.

use super::Clock;
use crate::control::{Event, Handle};

/// Wakes control until it ends. Without this it would notice deadlines with the next event, about a second later.
pub(super) async fn run(control: Handle, clock: Clock) {
    let mut snapshots = control.watch();
    loop {
        let due = snapshots.borrow_and_update().wake_at;
        let wait = due.map(|due| due.saturating_duration_since(clock.instant()));
        let wake = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = wake => {
                if control.report(Event::Tick).await.is_err() || snapshots.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
