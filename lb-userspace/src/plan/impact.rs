//! What a change of the maps does to flows.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{Backend, BackendFlags, BackendState};

use super::MapImage;

/// Flows that a change treats alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowGroup {
    /// Service id.
    pub service: u16,
    /// Backend id.
    pub backend: u32,
    /// The SNAT address, wire order, of flows of a `full-nat` service.
    pub source: Option<[u32; 4]>,
    /// Number of flows that have not ended.
    pub flows: u64,
}

/// What becomes of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They go on.
    Stays,
    /// The client's next packet goes to another backend. A TCP connection does not survive that.
    Moves,
    /// Both ends are sent a RST.
    Resets,
    /// Nobody serves them any more.
    Ends,
}

/// Numbers of flows by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// All.
    pub total: u64,
    /// [`Fate::Moves`].
    pub moves: u64,
    /// [`Fate::Resets`].
    pub resets: u64,
    /// [`Fate::Ends`].
    pub ends: u64,
}

/// What a change from one image to another does to flows.
#[must_use]
pub fn impact(before: &MapImage, after: &MapImage, groups: &[FlowGroup]) -> Impact {
    let world = World::new(before, after);
    let mut impact = Impact::default();
    for group in groups {
        impact.total += group.flows;
        match world.fate(group) {
            Fate::Stays => {}
            Fate::Moves => impact.moves += group.flows,
            Fate::Resets => impact.resets += group.flows,
            Fate::Ends => impact.ends += group.flows,
        }
    }
    impact
}

struct World<'a> {
    before: &'a MapImage,
    after: &'a MapImage,
    /// SNAT addresses by service, where it is there.
    snat: BTreeMap<u16, BTreeSet<[u32; 4]>>,
}

impl<'a> World<'a> {
    fn new(before: &'a MapImage, after: &'a MapImage) -> Self {
        let services = after.services.values().filter(|service| service.id != 0);
        let snat = services.map(|service| {
            let addresses = service.snat_base..service.snat_base + u32::from(service.snat_count);
            (service.id, addresses.filter_map(|index| after.snat_addresses.get(&index).copied()).collect())
        });
        Self { before, after, snat: snat.collect() }
    }

    fn fate(&self, group: &FlowGroup) -> Fate {
        let element = self.after.backends.get(&group.backend);
        let served = self.before.backends.get(&group.backend).is_some_and(takes_packets);
        let serves = element.is_some_and(takes_packets);
        let Some(snat) = self.snat.get(&group.service) else { return gone(element, Fate::Ends) };
        if serves {
            // Answers to an address that is not ours any more do not come back to the client.
            let answered = group.source.is_none_or(|source| snat.contains(&source));
            return if answered { Fate::Stays } else { Fate::Ends };
        }
        if !served {
            // So it is already; the change has no part in it.
            return Fate::Stays;
        }
        let others = self.after.slots.get(&group.service);
        let others = others.is_some_and(|slots| slots.iter().any(|id| *id != 0));
        gone(element, if others { Fate::Moves } else { Fate::Ends })
    }
}

/// What becomes of flows of a backend that takes no packets any more.
fn gone(element: Option<&Backend>, otherwise: Fate) -> Fate {
    let reset = element.is_some_and(|backend| backend.flags & BackendFlags::RESET != 0);
    if reset { Fate::Resets } else { otherwise }
}

fn takes_packets(backend: &Backend) -> bool {
    backend.state == BackendState::Active as u8 || backend.state == BackendState::Draining as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AdminState, HealthView, Mode, OnDown, Service};
    use crate::plan::tests::{backend, config, plan, service};
    use crate::plan::{Planner, address_words};

    fn web() -> Service {
        let mut web = service(
            "web",
            "203.0.113.10",
            80,
            vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1), backend("c", "10.0.0.3", 1)],
        );
        web.mode = Mode::FullNat;
        web.snat_addresses = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        web
    }

    /// Ten flows of each backend of `web` by each SNAT address, and five of another service's.
    fn groups() -> Vec<FlowGroup> {
        let source = |last| Some(address_words([192, 0, 2, last].into()));
        let of_web = (1..=3).flat_map(|backend| {
            [1, 2].map(|last| FlowGroup { service: 1, backend, source: source(last), flows: 10 })
        });
        of_web.chain([FlowGroup { service: 2, backend: 4, source: None, flows: 5 }]).collect()
    }

    /// The figures of a change of `web`; `None`: it goes.
    fn of(change: impl FnOnce(&mut Service) -> bool) -> (u64, u64, u64, u64) {
        let dns = service("dns", "203.0.113.10", 53, vec![backend("d", "10.0.0.9", 1)]);
        let mut planner = Planner::default();
        let before = plan(&mut planner, &config(vec![web(), dns.clone()]), &HealthView::default());
        let mut web = web();
        let stays = change(&mut web);
        let services = if stays { vec![web, dns] } else { vec![dns] };
        let after = plan(&mut planner, &config(services), &HealthView::default());
        let Impact { total, moves, resets, ends } = impact(&before, &after, &groups());
        (total, moves, resets, ends)
    }

    #[test]
    fn each_change_does_to_flows_what_it_does() {
        assert_eq!(of(|_| true), (65, 0, 0, 0));
        assert_eq!(of(|_| false), (65, 0, 0, 60));
        let add = |web: &mut Service| web.backends.push(backend("e", "10.0.0.4", 1));
        assert_eq!(of(|web| (add(web), true).1), (65, 0, 0, 0), "adding a backend breaks no flow");
        assert_eq!(of(|web| (web.backends.remove(1), true).1), (65, 20, 0, 0));
        assert_eq!(of(|web| (web.backends.clear(), true).1), (65, 0, 0, 60));
        let state = |state| move |web: &mut Service| (web.backends[0].state = state, true).1;
        assert_eq!(of(state(AdminState::Draining)), (65, 0, 0, 0));
        assert_eq!(of(state(AdminState::Disabled)), (65, 20, 0, 0));
        assert_eq!(of(|web| (web.backends[2].weight = 0, true).1), (65, 0, 0, 0));
        assert_eq!(of(|web| (web.snat_addresses.truncate(1), true).1), (65, 0, 0, 30));
        assert_eq!(of(|web| (web.backends[2].port += 1, true).1), (65, 20, 0, 0));
        let reset = |web: &mut Service| {
            web.on_down = OnDown::Reset;
            web.backends[0].state = AdminState::Disabled;
            true
        };
        assert_eq!(of(reset), (65, 0, 20, 0));
    }
}
