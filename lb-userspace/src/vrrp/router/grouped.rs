//! What a virtual router does for its sync group: the members are active together, or none of them is.

use std::time::Duration;

use super::{Backup, Cause, Command, Phase, Router, Standby, State};

/// Part of an interval by which an advert may be early to go with another one's.
const SOON: u32 = 16;

/// What a router knows of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grouped {
    /// It has one: it becomes active when all members may.
    pub(super) is_member: bool,
    /// Another member has a fault.
    pub(super) fault: bool,
}

impl Router {
    /// Makes it a member of a group, before it is started: it waits to be told by [`Self::follow_claim`].
    pub(in crate::vrrp) fn join_group(&mut self) {
        self.grouped.is_member = true;
    }

    /// It is not configured any more, and goes on its own until it has stopped.
    pub(in crate::vrrp) fn leave_group(&mut self) {
        self.grouped = Grouped::default();
    }

    /// Whether it may be active as far as it is concerned: it is, or nobody is heard that is to be left active.
    pub(in crate::vrrp) fn may_be_active(&self) -> bool {
        match &self.phase {
            Phase::Active(_) => true,
            Phase::Backup(backup) => backup.down_at.is_none() && self.standby != Some(Standby::Forced),
            Phase::Initialize | Phase::Fault => false,
        }
    }

    /// Whether something is missing, other members' faults apart.
    pub(in crate::vrrp) fn has_fault_itself(&self) -> bool {
        self.state() != State::Initialize && self.has_own_fault()
    }

    /// Another member has a fault, or none has one any more.
    pub(in crate::vrrp) fn follow_group_fault(&mut self, now: Duration, fault: bool) {
        let was_faulty = self.is_faulty();
        self.grouped.fault = fault;
        self.follow_fault(now, was_faulty, Cause::Group);
    }

    /// All members may be active: becomes active.
    pub(in crate::vrrp) fn follow_claim(&mut self, now: Duration) {
        if let Phase::Backup(backup) = &self.phase {
            let cause = if backup.resigned { Cause::Resigned } else { Cause::Silence };
            self.claim(now, cause);
            self.sleep();
        }
    }

    /// When it advertises next, if it is active and does not hand over.
    pub(in crate::vrrp) fn advert_at(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Active(active) if active.handing.is_none() => Some(active.advert_at),
            _ => None,
        }
    }

    /// Another member advertises, and does so again at `next`: does the same, if its own time comes soon.
    pub(in crate::vrrp) fn join_advert(&mut self, now: Duration, next: Duration) {
        let soon = now + self.settings.interval.duration() / SOON;
        match &mut self.phase {
            Phase::Active(active) if active.handing.is_none() && active.advert_at <= soon => {
                active.advert_at = next;
                self.advertise(self.standing.priority);
                self.sleep();
            }
            _ => {}
        }
    }

    /// Another member may not be active: gives up what it holds, unless it is handing over, which ends by itself.
    pub(in crate::vrrp) fn follow_yield(&mut self, now: Duration) {
        match &mut self.phase {
            Phase::Active(active) if active.handing.is_none() => {
                self.resign();
                let version = self.settings.versions.sent()[0];
                let backup = Backup::new(now, self.settings.interval, version, self.standing.priority);
                self.go(Phase::Backup(backup), Cause::Group);
            }
            Phase::Backup(backup) if backup.holds => {
                backup.holds = false;
                self.commands.push_back(Command::Release);
            }
            _ => {}
        }
        self.sleep();
    }

    /// Whether it may be active, or has not found out yet: it holds the addresses from before a restart, or joined a moment ago, and
    /// nobody was heard so far.
    pub(in crate::vrrp) fn may_become_active(&self) -> bool {
        match &self.phase {
            Phase::Active(_) | Phase::Initialize => true,
            Phase::Fault => false,
            Phase::Backup(backup) => {
                backup.holds || self.standby != Some(Standby::Forced) && backup.active.is_none()
            }
        }
    }
}
