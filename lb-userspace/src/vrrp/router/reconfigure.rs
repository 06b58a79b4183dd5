//! Another configuration of a router that goes on.

use std::time::Duration;

use super::{Checksum, ChecksumForm, Command, Phase, Router, Settings};
use crate::vrrp::Afterwards;

impl Router {
    /// Goes on with other settings, which were [checked](Settings::check), and in or out of a sync group. What is active stays active: it says at
    /// once what is new, holds the addresses that there are, and announces them again if they are others; giving up those that are not
    /// there any more is up to the caller. A router that was stopping goes on, and one that has stopped may be started.
    pub(in crate::vrrp) fn reconfigure(&mut self, now: Duration, settings: Settings, in_group: bool) {
        let before = std::mem::replace(&mut self.settings, settings);
        self.grouped.is_member = in_group;
        self.grouped.fault &= in_group;
        if before.checksum != self.settings.checksum {
            self.form = match self.settings.checksum {
                Checksum::Rfc9568 => ChecksumForm::MessageOnly,
                Checksum::Rfc5798 => ChecksumForm::PseudoHeader,
                Checksum::Auto => self.form,
            };
        }
        match &mut self.phase {
            Phase::Active(active) => {
                let was_stopping =
                    active.handing.take_if(|handing| handing.then == Afterwards::Stop).is_some();
                if before != self.settings || was_stopping {
                    self.apply(now, &before);
                }
            }
            Phase::Backup(backup) => {
                backup.preempt_at = None;
                if backup.down_at.is_none() && !in_group {
                    backup.down_at = Some(now);
                }
            }
            Phase::Initialize | Phase::Fault => {}
        }
        self.sleep();
    }

    /// What an active router does with new settings.
    fn apply(&mut self, now: Duration, before: &Settings) {
        let Phase::Active(active) = &mut self.phase else { return };
        let is_handing = active.handing.is_some();
        active.advertised(now, self.settings.interval);
        if before.addresses != self.settings.addresses {
            self.commands.push_back(Command::Take { accept: self.settings.accept_mode });
            self.commands.push_back(Command::Announce);
        }
        if !is_handing {
            self.advertise(self.standing.priority);
        }
    }
}
