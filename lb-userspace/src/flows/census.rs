//! Which flows are dead, and how many live ones there are.

use std::{collections::BTreeMap, ops::AddAssign};

use lb_common::abi::{Address, Backend, BackendState, Flow, FlowFlags, FlowState};

use super::ending::{ResetSince, is_reset};

/// Which table a flow stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// `EMBRYONIC_*`: no answer yet.
    Embryonic,
    /// `FLOWS_*`.
    Established,
}

/// What makes a flow dead.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The current tick.
    pub now: u32,
    /// Idle time in ticks after which a flow is dead, by state.
    pub timeouts: [u32; 16],
    /// `BACKENDS` by id.
    pub backends: Vec<Backend>,
    /// Since when connections are to be reset.
    pub(super) reset_since: ResetSince,
}

impl Rules {
    /// Whether a flow is to be forgotten: idle for too long, or its backend was removed, or it was to be reset and nobody answered.
    /// What was reset stays for its time-out, so that the data path answers what is still under way.
    #[must_use]
    pub fn is_dead<A: Address>(&self, flow: &Flow<A>) -> bool {
        let timeout = self.timeouts[usize::from(flow.state & 15)];
        self.idle(flow) > timeout
            || if self.is_reset(flow) {
                self.reset_since.is_over(self.now, flow) && flow.state != FlowState::Closed as u8
            } else {
                self.is_removed(flow.backend)
            }
    }

    /// Whether a connection is to be reset: itself, or with all of its backend.
    pub(super) fn is_reset<A>(&self, flow: &Flow<A>) -> bool {
        flow.flags & FlowFlags::RESET != 0 || self.backends.get(flow.backend as usize).is_some_and(is_reset)
    }

    /// Ticks since the last packet. One that came after the scan began counts as just now.
    #[must_use]
    pub fn idle<A: Address>(&self, flow: &Flow<A>) -> u32 {
        self.now.saturating_sub(flow.last_seen)
    }

    fn is_removed(&self, backend: u32) -> bool {
        self.backends.get(backend as usize).is_none_or(|backend| backend.state == BackendState::Unused as u8)
    }
}

/// Whether a FIN of both sides or a RST was seen.
pub(super) fn has_ended<A>(flow: &Flow<A>) -> bool {
    flow.state == FlowState::Closing as u8 || flow.state == FlowState::Closed as u8
}

/// Whether the flow was answered. Datagrams may be, and wait for their client's next one among those that were not.
pub(super) fn has_answer<A>(tier: Tier, flow: &Flow<A>) -> bool {
    tier == Tier::Established || flow.state == FlowState::UdpAnswered as u8
}

/// Whose flows are counted: service id, backend id.
pub type Owner = (u16, u32);

/// Numbers of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Flows with an answer.
    pub established: u64,
    /// Flows without an answer yet.
    pub embryonic: u64,
    /// Of both, flows that have ended: a FIN of both sides or a RST was seen.
    pub ended: u64,
}

impl Counts {
    /// Flows that have not ended.
    #[must_use]
    pub fn open(&self) -> u64 {
        (self.established + self.embryonic).saturating_sub(self.ended)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.established += more.established;
        self.embryonic += more.embryonic;
        self.ended += more.ended;
    }
}

/// The result of looking at every entry of every flow table.
#[derive(Clone, Debug)]
pub struct Census {
    /// Live flows by backend id.
    flows: Vec<Counts>,
    /// Whether some entry, dead or alive, belongs to a backend.
    seen: Vec<bool>,
}

impl Census {
    /// One that has seen nothing yet, to be judged by `rules`.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        let backends = rules.backends.len();
        Self { flows: vec![Counts::default(); backends], seen: vec![false; backends] }
    }

    /// Takes an entry in; whether it lives. Each flow has two entries and counts once.
    pub fn add<A: Address>(&mut self, rules: &Rules, tier: Tier, flow: &Flow<A>) -> bool {
        let id = flow.backend as usize;
        let (Some(counts), Some(seen)) = (self.flows.get_mut(id), self.seen.get_mut(id)) else {
            return false;
        };
        *seen = true;
        if rules.is_dead(flow) {
            return false;
        }
        counts.ended += u64::from(has_ended(flow) && !flow.is_reverse());
        if !flow.is_reverse() {
            let count = if has_answer(tier, flow) { &mut counts.established } else { &mut counts.embryonic };
            *count += 1;
        }
        true
    }

    /// Takes in what another one saw, of other entries.
    pub fn join(&mut self, other: &Self) {
        for (counts, more) in self.flows.iter_mut().zip(&other.flows) {
            *counts += *more;
        }
        for (seen, other) in self.seen.iter_mut().zip(&other.seen) {
            *seen |= other;
        }
    }

    /// Live flows by owner, for those that have some.
    #[must_use]
    pub fn by_owner(&self, rules: &Rules) -> BTreeMap<Owner, Counts> {
        (0..)
            .zip(rules.backends.iter().zip(&self.flows))
            .filter(|(_, (_, counts))| **counts != Counts::default())
            .map(|(id, (backend, counts))| ((backend.service, id), *counts))
            .collect()
    }

    /// Live flows of every backend id.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        (0..).zip(self.flows.iter().copied())
    }

    /// Live flows by backend, for all that are in use: what `BACKEND_FLOWS` is to hold.
    #[must_use]
    pub fn by_backend(&self, rules: &Rules) -> BTreeMap<u32, u64> {
        (0..)
            .zip(rules.backends.iter().zip(&self.flows))
            .filter(|(_, (backend, _))| backend.family != 0)
            .map(|(id, (_, counts))| (id, counts.established + counts.embryonic))
            .collect()
    }

    /// Removed backends of which no entry was seen: their ids may be given to others.
    #[must_use]
    pub fn released(&self, rules: &Rules) -> Vec<u32> {
        (0..)
            .zip(rules.backends.iter().zip(&self.seen))
            .filter(|(_, (backend, _))| backend.family != 0 && backend.state == BackendState::Unused as u8)
            .filter(|(_, (_, seen))| !**seen)
            .map(|(id, _)| id)
            .collect()
    }
}
