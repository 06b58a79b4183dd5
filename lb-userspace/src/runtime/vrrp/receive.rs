//! Hearing adverts.

use std::{collections::BTreeMap, time::Duration};

use super::machine::Machine;
use crate::{
    model::InterfaceName,
    vrrp::{Envelope, Rejection, RouterId},
};

/// Between two lines of the log about rejected packets of one kind.
const LOG_AGAIN: Duration = Duration::from_secs(1);
/// Where more packets are rejected than taken, they wait for so long: each time the processor is woken costs more than a packet. It is an
/// eighth of the shortest interval, but no more than this.
const LONGEST_NAP: Duration = Duration::from_millis(10);
const NAPS: u32 = 8;

impl Machine {
    /// Takes all adverts that wait.
    pub(super) fn receive(&mut self) {
        let now = self.clock.now();
        let (node, logged) = (&mut self.node, &mut self.logged);
        let (chronicles, teller) = (&mut self.chronicles, &self.teller);
        let (mut accepted, mut rejected, mut is_all) = (0_usize, 0_usize, true);
        for ((interface, _), socket) in &mut self.sockets {
            let result = socket.receive(|envelope, message| {
                match node.handle_packet(now, interface, &envelope, message) {
                    Ok((RouterId(index), advert)) => {
                        accepted += 1;
                        teller.tell(chronicles[index].heard(now, envelope.ends.source(), &advert));
                    }
                    Err(rejection) => {
                        rejected += 1;
                        log_rejection(logged, now, interface, &envelope, &rejection);
                    }
                }
            });
            match result {
                Ok(all) => is_all &= all,
                Err(error) => tracing::debug!(%interface, %error, "VRRP cannot receive"),
            }
        }
        let shortest = self.routers.iter().map(|router| router.advert_interval).min();
        self.nap = match shortest {
            _ if !is_all => Some(now),
            Some(shortest) if rejected > accepted => Some(now + (shortest / NAPS).min(LONGEST_NAP)),
            _ => None,
        };
    }
}

/// At most one line a second for each reason.
fn log_rejection(
    logged: &mut BTreeMap<&'static str, Duration>,
    now: Duration,
    interface: &InterfaceName,
    envelope: &Envelope,
    rejection: &Rejection,
) {
    let last = logged.entry(rejection.label()).or_insert(now);
    if *last <= now {
        *last = now + LOG_AGAIN;
        let source = envelope.ends.source();
        tracing::warn!(%interface, %source, reason = rejection.label(), %rejection, "VRRP: a packet was rejected");
    }
}
