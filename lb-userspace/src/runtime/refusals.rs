//! Tells when services begin to refuse packets or to send SYN cookies, and when that is over.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{Clock, data::Data};
use crate::{
    control::Handle,
    events::{Bus, CookieWatch, RefusalWatch},
    model::SynCookies,
};

/// Between two looks at the counters.
const EVERY: Duration = Duration::from_secs(2);

/// Looks until it is ended.
pub(super) async fn run(control: Handle, bus: Bus, data: Arc<Data>, clock: Clock) {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut watch = RefusalWatch::default();
    let mut cookies = CookieWatch::default();
    loop {
        turns.tick().await;
        let read = Arc::clone(&data);
        let refusals = match tokio::task::spawn_blocking(move || read.counters.read_refusals()).await {
            Ok(Ok(refusals)) => refusals,
            Ok(Err(error)) => {
                tracing::debug!(%error, "refused packets are not known");
                continue;
            }
            Err(_) => return,
        };
        let snapshot = control.snapshot();
        let services = snapshot.services.iter().map(|service| {
            let counts = refusals.get(usize::from(service.id)).copied().unwrap_or_default();
            (service.id, service.desired.name.clone(), counts)
        });
        bus.publish(clock.moment().wall, watch.update(clock.now(), services));
        let report = data.last.latest();
        let services = snapshot.services.iter().map(|service| {
            let found = report.cookies.get(&service.id).copied().unwrap_or_default();
            let active = found.active && service.desired.syn_cookies == SynCookies::Auto;
            (service.id, service.desired.name.clone(), active, found.sent)
        });
        bus.publish(clock.moment().wall, cookies.update(services));
    }
}
