//! How a router goes from one state to another, and what it says when it does (RFC 9568 section 6.4).

use std::time::Duration;

use super::{Active, Backup, Cause, Command, Phase, Router, Standby};
use crate::vrrp::Priority;

impl Router {
    /// `Active_Down_Timer` fires.
    pub(super) fn active_router_is_down(&mut self, now: Duration) {
        let Phase::Backup(backup) = &mut self.phase else { return };
        if self.grouped.is_member || self.standby == Some(Standby::Forced) {
            backup.down_at = None;
            backup.active = None;
            return;
        }
        let cause = if backup.resigned { Cause::Resigned } else { Cause::Silence };
        self.claim(now, cause);
    }

    /// Becomes active.
    pub(super) fn claim(&mut self, now: Duration, cause: Cause) {
        let priority = self.standing.priority;
        let accept = self.settings.accept_mode || priority == Priority::OWNER;
        self.commands.push_back(Command::Take { accept });
        self.commands.push_back(Command::Announce);
        self.advertise(priority);
        self.standby = None;
        let active = Active::new(now, self.settings.interval, self.settings.announcing);
        self.go(Phase::Active(active), cause);
    }

    /// What `Startup` leads to (RFC 9568 section 6.4.1).
    pub(super) fn enter(&mut self, now: Duration, holds: bool, cause: Cause) {
        let priority = self.standing.priority;
        if self.is_faulty() {
            if holds {
                self.commands.push_back(Command::Release);
            }
            return self.go(Phase::Fault, Cause::Fault);
        }
        let is_owner = priority == Priority::OWNER && self.standby.is_none();
        if is_owner && !self.grouped.is_member {
            return self.claim(now, cause);
        }
        let interval = self.settings.interval;
        let mut backup = Backup::new(now, interval, self.settings.versions.sent()[0], priority);
        if holds && self.standby == Some(Standby::Forced) {
            self.commands.push_back(Command::Release);
        } else if holds {
            backup.holds = true;
            backup.down_at = Some(now + interval.duration());
        }
        if is_owner {
            backup.down_at = None;
        }
        self.go(Phase::Backup(backup), cause);
    }

    /// Whether anything is missing.
    pub(super) fn is_faulty(&self) -> bool {
        self.has_own_fault() || self.grouped.fault
    }

    pub(super) fn has_own_fault(&self) -> bool {
        self.standing.fault || self.source.is_none()
    }

    /// Goes where a fault that came or went leads to.
    pub(super) fn follow_fault(&mut self, now: Duration, was_faulty: bool, cause: Cause) {
        match (was_faulty, self.is_faulty(), &self.phase) {
            (_, true, Phase::Backup(_) | Phase::Active(_)) => {
                self.resign();
                self.go(Phase::Fault, cause);
            }
            (true, false, Phase::Fault) => self.enter(now, false, Cause::Recovered),
            _ => {}
        }
        self.sleep();
    }

    /// Says that it stops, and gives up what it holds.
    pub(super) fn resign(&mut self) {
        if let Phase::Active(_) = self.phase {
            self.advertise(Priority::STOPS);
        }
        if self.holds_addresses() {
            self.commands.push_back(Command::Release);
        }
    }

    pub(super) fn announce_again(&mut self, now: Duration) {
        if let Phase::Active(active) = &mut self.phase
            && active.announcer.restart(now)
        {
            self.commands.push_back(Command::Announce);
        }
    }

    /// Sends an advert to everybody, in each version.
    pub(super) fn advertise(&mut self, priority: Priority) {
        let Some(source) = self.source else { return };
        let form = self.form;
        for ends in self.settings.ends(source) {
            for version in self.settings.versions.sent() {
                let advert = self.settings.advert(*version, priority);
                self.commands.push_back(Command::Send { ends, advert, form });
            }
        }
    }

    pub(super) fn go(&mut self, phase: Phase, cause: Cause) {
        self.phase = phase;
        self.commands.push_back(Command::Changed { state: self.state(), cause });
    }
}
