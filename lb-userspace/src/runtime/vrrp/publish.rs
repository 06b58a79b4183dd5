//! What the virtual routers are doing, for all who want to know.

use super::{RouterStatus, Status, TrackedStatus, machine::Machine};
use crate::{
    model::VirtualRouter,
    vrrp::{Impact, Router, RouterId, Tracked},
};

impl Machine {
    /// Says what the routers are doing.
    pub(super) fn publish(&mut self) -> Vec<RouterStatus> {
        let of = |(index, ((_, router), wanted)): (usize, ((_, &Router), &VirtualRouter))| {
            let id = RouterId(index);
            let own = self.node.rejected().iter().filter(|((of, _), _)| *of == Some(id));
            RouterStatus {
                router: wanted.clone(),
                state: router.state(),
                priority: router.priority().number(),
                tracked: self.node.tracked(id).map(tracked_status).collect(),
                active: router.active_router(),
                switchover: router.switchover(),
                is_about_to_claim: self.node.is_about_to_claim(id),
                awaits_traffic: router.awaits_traffic(),
                device: self.device(wanted).filter(|_| wanted.virtual_mac).map(|link| link.name.clone()),
                transitions: self.chronicles[index].transitions(),
                figures: self.chronicles[index].figures.clone(),
                rejected: own.map(|((_, label), count)| (*label, *count)).collect(),
                hook_failures: self.bells.failures(wanted.name.as_str()),
            }
        };
        let configured = || self.node.routers().zip(&self.routers).take(self.configured);
        let status: Vec<_> = configured().enumerate().map(of).collect();
        for (chronicle, (_, router)) in self.chronicles.iter_mut().zip(self.node.routers()) {
            self.teller.tell(chronicle.switched(router.switchover()));
        }
        let unknown = self.node.rejected().iter().filter(|((of, _), _)| of.is_none());
        let unknown = unknown.map(|((_, label), count)| (*label, *count)).collect();
        self.board.set(Status { routers: status.clone(), unknown });
        let standby = |((_, router), wanted): ((_, &Router), &VirtualRouter)| {
            Some((wanted.name.clone(), router.standby()?))
        };
        self.remembered.set(configured().filter_map(standby).collect());
        status
    }
}

fn tracked_status((name, tracked, impact): (&str, &Tracked, Impact)) -> TrackedStatus {
    let (reading, held) = (tracked.reading().cloned(), tracked.is_held());
    TrackedStatus { name: name.to_owned(), reading, held, impact }
}
