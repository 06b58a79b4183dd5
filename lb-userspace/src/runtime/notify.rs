//! What systemd is told (`sd_notify(3)`), where it wants to know: outside of it all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use super::{Clock, attached::AttachedList};
use crate::{
    control::{Handle, Snapshot},
    model::Health,
};

/// Between two lines of status: health checks of many backends may change them often.
const PAUSE: Duration = Duration::from_secs(1);

/// Forwarding works, the maps hold the whole desired state, and the API answers; or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] follows, also when it was refused.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell systemd of the reload"),
    }
}

/// `lbd` is about to end; forwarding goes on.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending; forwarding goes on")]);
}

/// Keeps the status line up to date, and the watchdog quiet as long as control answers; until control ends.
pub(super) async fn run(control: Handle, attached: AttachedList, clock: Clock) {
    // Two pings may be late before systemd loses patience.
    let interval = sd_notify::watchdog_enabled().map(|limit| limit / 3);
    let mut changes = control.watch();
    let mut said = String::new();
    loop {
        let begin = clock.now();
        let status = describe(&changes.borrow_and_update(), &attached);
        if said != status {
            tell(&[NotifyState::Status(&status)]);
            said = status;
        }
        if interval.is_some() {
            if control.answers().await.is_err() {
                return;
            }
            tell(&[NotifyState::Watchdog]);
        }
        let due = interval.map(|interval| begin + interval);
        clock.sleep_until(Some(due.map_or(begin + PAUSE, |due| due.min(begin + PAUSE)))).await;
        tokio::select! {
            () = clock.sleep_until(due) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// The status line: where the program is, and what it is for.
fn describe(snapshot: &Snapshot, attached: &AttachedList) -> String {
    if attached.is_out_of_reach() {
        return "what is pinned is out of reach: forwarding ends with lbd".to_owned();
    }
    if let Some(problem) = &snapshot.problem {
        // A line is all that the protocol has room for.
        return format!("the maps do not hold the desired state: {}", problem.replace('\n', " "));
    }
    let attached = attached.snapshot();
    let interfaces: Vec<_> = attached.iter().map(|attached| &*attached.name).collect();
    let place = if interfaces.is_empty() { "no interface".to_owned() } else { interfaces.join(", ") };
    let (mut backends, mut down) = (0, 0);
    for (_, backend) in snapshot.backends() {
        backends += 1;
        down += u32::from(backend.health == Health::Down);
    }
    format!("on {place}; {} services; {down} of {backends} backends down", snapshot.services.len())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot talk to systemd");
    }
}
