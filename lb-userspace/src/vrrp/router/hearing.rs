//! What an advert of another router does to a router (RFC 9568 sections 6.4.2 and 6.4.3).

use std::{net::IpAddr, time::Duration};

use super::{Backup, Cause, Command, Phase, Router, Standby, backup::Replacing};
use crate::vrrp::{Advert, Preemption, Priority};

impl Router {
    pub(super) fn hear_as_backup(&mut self, now: Duration, advert: &Advert, source: IpAddr) {
        let (own, late) = (self.standing.priority, self.late(now));
        let preemption = if self.standby.is_none() { self.settings.preemption } else { Preemption::Never };
        let Phase::Backup(backup) = &mut self.phase else { return };
        if late > backup.interval.duration() {
            backup.listen(now, own);
        }
        let replacing = Replacing { preemption, sync_wait: self.sync_wait };
        let is_left = backup.hear(now, own, replacing, advert, source);
        if is_left && std::mem::take(&mut backup.holds) {
            self.commands.push_back(Command::Release);
        }
        if advert.priority != Priority::STOPS && self.standby.is_some() {
            self.standby = Some(Standby::Yielding);
        }
    }

    /// True: there are two active routers, and this one goes on.
    pub(super) fn hear_as_active(&mut self, now: Duration, advert: &Advert, source: IpAddr) -> bool {
        let overslept = self.late(now) >= self.settings.interval.duration() * 3;
        let is_better = self.is_better(advert, source);
        let gives_way = is_better || overslept && self.settings.preemption == Preemption::Never;
        let Phase::Active(active) = &mut self.phase else { return false };
        let priority = advert.priority;
        if let Some(handing) = &active.handing {
            if priority != Priority::STOPS {
                let then = handing.then;
                self.handed_over(now, advert, source, then);
            }
            return false;
        }
        if priority == Priority::STOPS {
            // It was active until now, with the rest of its sync group.
            active.advertised(now, self.settings.interval);
            self.advertise(self.standing.priority);
            self.announce_again(now);
        } else if gives_way {
            self.commands.push_back(Command::Release);
            if is_better {
                // It may not know that there was another one: then it would not announce the addresses again, and who
                // learned of them from here would go astray. A lower priority does no harm.
                self.advertise(self.standing.priority);
            }
            let backup = Backup::after(now, self.standing.priority, advert, source);
            self.go(Phase::Backup(backup), Cause::Better { router: source, priority });
            return false;
        } else {
            if active.answers(now) {
                self.advertise(self.standing.priority);
            }
            self.announce_again(now);
        }
        true
    }

    /// Whether the sender is to be active rather than this router: by priority, then by address as an unsigned number.
    pub(super) fn is_better(&self, advert: &Advert, source: IpAddr) -> bool {
        let (theirs, own) = (advert.priority, self.standing.priority);
        theirs > own || theirs == own && Some(source) > self.source
    }
}
