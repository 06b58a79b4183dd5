//! Planned switchovers: make before break.

use std::{fmt, net::IpAddr, time::Duration};

use super::{Afterwards, Backup, Cause, Command, Phase, Router, State};
use crate::vrrp::{Advert, Preemption, Priority};

/// What a router does after a switchover, until [`Router::resume`] or until it becomes active again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// It leaves whoever is active alone, whatever its priority. Where nobody is, it becomes active.
    Yielding,
    /// It does not become active where nobody is, either, until another router was heard: then it is [`Self::Yielding`].
    Forced,
}

/// Where a switchover stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switchover {
    /// Still active, until another router is heard.
    HandingOver,
    /// Nobody took over: this router remains active.
    NoSuccessor,
    /// Not active, and what it does until it is resumed.
    Standby(Standby),
}

impl fmt::Display for Switchover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::HandingOver => "handing-over",
            Self::NoSuccessor => "no-successor",
            Self::Standby(Standby::Yielding) => "standby",
            Self::Standby(Standby::Forced) => "standby-forced",
        })
    }
}

impl Router {
    /// Lets another router be active. This one says that it stops, and goes on holding the addresses until another one is heard, or
    /// would be: four intervals. False: it is not active, and has nothing to hand over. Where a switchover is under way, only what
    /// comes afterwards may change.
    pub fn hand_over(&mut self, now: Duration, then: Afterwards) -> bool {
        let was_standby = self.standby.is_some();
        if then != Afterwards::Stop {
            let is_forced = then == Afterwards::Leave && self.hears_nobody() && self.state() != State::Active;
            let wanted = if is_forced { Standby::Forced } else { Standby::Yielding };
            self.standby = Some(self.standby.filter(|_| !is_forced).unwrap_or(wanted));
        }
        match &mut self.phase {
            Phase::Active(active) => {
                let stops_already = match &mut active.handing {
                    Some(handing) if handing.then == Afterwards::Stop => true,
                    Some(handing) if then != Afterwards::Stop => {
                        handing.then = then;
                        true
                    }
                    _ => false,
                };
                if !stops_already {
                    active.hand_over(now, self.settings.interval, then);
                    self.advertise(Priority::STOPS);
                }
                self.sleep();
                return true;
            }
            Phase::Backup(backup) => {
                backup.preempt_at = None;
                if !was_standby && !backup.resigned && backup.down_at.is_some() {
                    // Adverts that were not heeded so far count from now on.
                    backup.listen(now, self.standing.priority);
                }
            }
            Phase::Initialize | Phase::Fault => {}
        }
        if then == Afterwards::Stop {
            self.stop();
        }
        self.sleep();
        false
    }

    /// Ends what [`Self::hand_over`] began: a switchover that is under way is taken back, and routers of lower priority are replaced
    /// again as the settings say. A router that stops goes on stopping.
    pub fn resume(&mut self, now: Duration) {
        self.standby = None;
        match &mut self.phase {
            Phase::Active(active) => {
                active.has_no_successor = false;
                if active.handing.as_ref().is_some_and(|handing| handing.then != Afterwards::Stop) {
                    active.handing = None;
                    active.advertised(now, self.settings.interval);
                    self.advertise(self.standing.priority);
                }
            }
            // Nobody was heard for a down interval.
            Phase::Backup(backup) if backup.down_at.is_none() && !self.grouped.is_member => {
                backup.down_at = Some(now);
            }
            Phase::Backup(_) | Phase::Initialize | Phase::Fault => {}
        }
        self.sleep();
    }

    /// Takes up what [`Self::standby`] said before a restart. To be called before [`Self::start`].
    pub fn restore(&mut self, standby: Standby) {
        self.standby = Some(standby);
    }

    /// What is to be remembered over a restart.
    #[must_use]
    pub fn standby(&self) -> Option<Standby> {
        self.standby
    }

    /// The last switchover, if it has an effect still.
    #[must_use]
    pub fn switchover(&self) -> Option<Switchover> {
        match &self.phase {
            Phase::Active(active) if active.has_no_successor => Some(Switchover::NoSuccessor),
            Phase::Active(active) => active.handing.as_ref().map(|_| Switchover::HandingOver),
            _ => self.standby.map(Switchover::Standby),
        }
    }

    /// Whether the addresses are this machine's.
    #[must_use]
    pub fn holds_addresses(&self) -> bool {
        match &self.phase {
            Phase::Active(_) => true,
            Phase::Backup(backup) => backup.holds,
            Phase::Initialize | Phase::Fault => false,
        }
    }

    /// Whether it waits only for its time to become active: nobody is heard whom it would leave active.
    #[must_use]
    pub fn is_about_to_claim(&self) -> bool {
        let Phase::Backup(backup) = &self.phase else { return false };
        let replaces = |priority: Priority| {
            self.settings.preemption != Preemption::Never && priority < self.standing.priority
        };
        self.standby.is_none()
            && (backup.resigned || backup.active.is_none_or(|active| replaces(active.priority)))
    }

    /// Another router is active.
    pub(super) fn handed_over(&mut self, now: Duration, advert: &Advert, source: IpAddr, then: Afterwards) {
        self.commands.push_back(Command::Release);
        let phase = match then {
            Afterwards::Stop => Phase::Initialize,
            Afterwards::Stay | Afterwards::Leave => {
                Phase::Backup(Backup::after(now, self.standing.priority, advert, source))
            }
        };
        self.go(phase, Cause::HandedOver { router: source });
    }

    /// Whoever there is would be active by now.
    pub(super) fn find_no_successor(&mut self, now: Duration, then: Afterwards) {
        let Phase::Active(active) = &mut self.phase else { return };
        match then {
            Afterwards::Stop => {
                self.commands.push_back(Command::Release);
                self.go(Phase::Initialize, Cause::Stopped);
            }
            Afterwards::Stay => {
                active.handing = None;
                active.has_no_successor = true;
                active.advertised(now, self.settings.interval);
                self.standby = None;
                self.advertise(self.standing.priority);
                self.commands.push_back(Command::Changed { state: State::Active, cause: Cause::NoSuccessor });
            }
            Afterwards::Leave => {
                self.standby = Some(Standby::Forced);
                self.commands.push_back(Command::Release);
                let version = self.settings.versions.sent()[0];
                let backup = Backup::new(now, self.settings.interval, version, self.standing.priority);
                self.go(Phase::Backup(backup), Cause::GivenUp);
            }
        }
    }

    fn hears_nobody(&self) -> bool {
        self.active_router().is_none()
    }
}
