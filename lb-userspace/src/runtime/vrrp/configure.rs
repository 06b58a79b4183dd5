//! Another configuration, without an outage of what it does not change.

use ipnet::IpNet;

use super::{chronicle::Chronicle, machine::Machine, network::place};
use crate::{
    model::VirtualRouter,
    vrrp::{Member, RouterId},
};

/// What virtual routers hold from before, by their numbers.
struct Remains {
    /// Addresses that are not theirs any more.
    stale: Vec<(usize, Vec<IpNet>)>,
    /// What those were that hold theirs on another interface than they are to be on.
    moved: Vec<(usize, VirtualRouter)>,
}

impl Machine {
    /// Goes on with these virtual routers.
    pub(super) async fn configure(&mut self, routers: Vec<VirtualRouter>) {
        if routers == self.routers[..self.configured] {
            return;
        }
        // The configuration was checked: what is refused here is a defect.
        let Some(members) = routers.iter().map(Member::of).collect::<Option<Vec<_>>>() else {
            return tracing::error!("VRRP cannot use [[vrrp]]: all is as it was");
        };
        let origins = match self.node.reconfigure(self.clock.now(), members) {
            Ok(origins) => origins,
            Err(error) => return tracing::error!(%error, "VRRP cannot use [[vrrp]]: all is as it was"),
        };
        let Remains { stale, moved } = self.renumber(routers, &origins);
        self.say_whether_preferred();
        self.make_devices().await;
        self.follow_network();
        self.follow_sync();
        for (name, reading) in &self.known {
            self.node.take_reading(self.clock.now(), name, reading);
        }
        self.node.start(self.clock.now(), |_| false);
        self.obey().await;
        for (index, before) in moved {
            self.move_addresses(index, &before).await;
        }
        for (index, addresses) in stale {
            let router = self.routers[index].clone();
            self.remove_addresses(index, &router, &addresses).await;
        }
        self.follow_devices().await;
        tracing::info!(routers = self.configured, "VRRP goes on with another configuration");
    }

    /// Forgets the routers that have left, and the sockets that nobody needs any more.
    pub(super) async fn forget_stopped(&mut self) {
        let remaining = self.node.forget_stopped();
        if remaining < self.routers.len() {
            self.routers.truncate(remaining);
            self.chronicles.truncate(remaining);
            self.follow_devices().await;
        }
        let routers = &self.routers;
        self.sockets.retain(|of, _| routers.iter().any(|router| place(router) == *of));
    }

    /// Brings what belongs to a router to its new number; returns what routers hold that they are not to hold, or not there.
    fn renumber(&mut self, routers: Vec<VirtualRouter>, origins: &[Option<RouterId>]) -> Remains {
        self.configured = routers.len();
        let before = std::mem::replace(&mut self.routers, routers);
        let mut chronicles: Vec<Option<Chronicle>> =
            std::mem::take(&mut self.chronicles).into_iter().map(Some).collect();
        let (mut stale, mut moved) = (Vec::new(), Vec::new());
        let holds: Vec<bool> = self.node.routers().map(|(_, router)| router.holds_addresses()).collect();
        for (index, origin) in origins.iter().enumerate() {
            let old = origin.map(|RouterId(old)| &before[old]);
            if let (true, Some(old)) = (index >= self.configured, old) {
                self.routers.push(old.clone());
            }
            let wanted = &self.routers[index];
            let own = &wanted.virtual_addresses;
            let gone = old
                .into_iter()
                .flat_map(|old| &old.virtual_addresses)
                .filter(|address| !own.contains(address));
            let gone: Vec<IpNet> = gone.copied().collect();
            match old.filter(|old| old.virtual_mac != wanted.virtual_mac) {
                Some(old) if holds[index] => moved.push((index, old.clone())),
                None if holds[index] && !gone.is_empty() => stale.push((index, gone)),
                _ => {}
            }
            let chronicle = origin.and_then(|RouterId(old)| chronicles[old].take());
            self.chronicles.push(match chronicle {
                Some(chronicle) => chronicle.named(wanted.name.clone()),
                None => Chronicle::new(wanted.name.clone()),
            });
        }
        Remains { stale, moved }
    }
}
