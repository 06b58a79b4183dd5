//! Hearing adverts.

use std::{collections::BTreeMap, time::Duration};

use super::machine::Machine;
use crate::{
    model::InterfaceName,
    vrrp::{Envelope, Rejection, RouterId},
};

/// Between two lines of the log about rejected packets of one kind.
const LOG_AGAIN: Duration = Duration::from_secs(1);
/// Who sends nothing but packets that are rejected is listened to so often: each time the processor is woken costs more than a packet.
const NAP: Duration = Duration::from_millis(2);

impl Machine {
    /// Takes all adverts that wait.
    pub(super) fn receive(&mut self) {
        let now = self.clock.now();
        let (node, logged) = (&mut self.node, &mut self.logged);
        let (chronicles, teller) = (&mut self.chronicles, &self.teller);
        let (mut accepted, mut rejected) = (false, false);
        for ((interface, _), socket) in &self.sockets {
            let result = socket.receive(|envelope, message| {
                match node.handle_packet(now, interface, &envelope, message) {
                    Ok((RouterId(index), advert)) => {
                        accepted = true;
                        teller.tell(chronicles[index].heard(now, envelope.ends.source(), &advert));
                    }
                    Err(rejection) => {
                        rejected = true;
                        log_rejection(logged, now, interface, &envelope, &rejection);
                    }
                }
            });
            if let Err(error) = result {
                tracing::debug!(%interface, %error, "VRRP cannot receive");
            }
        }
        self.nap = (rejected && !accepted).then_some(now + NAP);
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
