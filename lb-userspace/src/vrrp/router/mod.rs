//! One virtual router: a state machine without I/O.
//!
//! Feed it with [`Router::start`], [`Router::handle_packet`], [`Router::handle_timeout`] and what it needs to know; after each, take
//! all of [`Router::poll_command`] and sleep until [`Router::poll_timeout`]. `now` is the time since any fixed moment and never
//! goes back: a wall clock that is set has no effect. After a sleep, packets that wait come before the timeout: what the
//! active router said in time must be heard in time.
//!
//! **A stall of this process** (stopped, starved, its machine paused) must not look like a silent peer. A backup wakes once in
//! each interval of the active router. If it wakes more than an interval late, adverts may have been missed, and it
//! listens for a whole `Active_Down_Interval` before it claims anything; a shorter stall can hide one advert of three. An active router that
//! slept so long that others may have taken over asserts itself and announces the addresses again; if it is configured never
//! to preempt, it leaves to be active whoever it hears first.

mod active;
mod admission;
mod announcer;
mod backup;
mod command;
mod grouped;
mod hearing;
mod reconfigure;
mod switchover;
#[cfg(test)]
mod tests;
mod transition;

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use self::{
    active::{Active, Due},
    backup::Backup,
};
use super::{
    Addresses, Checksum, ChecksumForm, Envelope, InvalidSettings, Parsed, Peers, Priority, Rejection,
    Settings, Version,
};

pub use active::Afterwards;
pub use backup::Peer;
pub use command::{Accepted, Cause, Command, State};
pub use switchover::{Standby, Switchover};

/// What tracking makes of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether something is missing without which it can't take part.
    pub fault: bool,
    /// Its priority, with everything counted in.
    pub priority: Priority,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Router {
    settings: Settings,
    /// The address that adverts come from.
    source: Option<IpAddr>,
    standing: Standing,
    /// What the operator wanted by a switchover.
    standby: Option<Standby>,
    grouped: grouped::Grouped,
    phase: Phase,
    /// The checksum of [`Checksum::Auto`].
    form: ChecksumForm,
    commands: VecDeque<Command>,
    /// When it wanted to be woken.
    due: Option<Duration>,
    /// How long an active router of lower priority is left alone while its flows are not here.
    sync_wait: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Initialize,
    Fault,
    Backup(Backup),
    Active(Active),
}

impl Router {
    /// A virtual router that is not started.
    ///
    /// # Errors
    /// No advert can be made of the settings.
    pub fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let standing = Standing { fault: false, priority: settings.priority };
        Ok(Self {
            form: match settings.checksum {
                Checksum::Rfc9568 => ChecksumForm::MessageOnly,
                Checksum::Rfc5798 | Checksum::Auto => ChecksumForm::PseudoHeader,
            },
            settings,
            source: None,
            standing,
            standby: None,
            grouped: grouped::Grouped::default(),
            phase: Phase::Initialize,
            commands: VecDeque::new(),
            due: None,
            sync_wait: None,
        })
    }

    /// Begins to take part. With `holds`, the addresses are held already, as the daemon was restarted: they are kept unless a
    /// router is heard within an interval that is to be left active.
    pub fn start(&mut self, now: Duration, holds: bool) {
        if self.phase == Phase::Initialize {
            self.enter(now, holds, Cause::Started);
        }
        self.sleep();
    }

    /// Stops at once: if it is active, the others are told and the addresses given up (RFC 9568 section 6.4.3).
    /// [`Self::hand_over`] loses no packets.
    pub fn stop(&mut self) {
        if self.phase != Phase::Initialize {
            self.resign();
            self.go(Phase::Initialize, Cause::Stopped);
        }
        self.sleep();
    }

    /// The address that adverts come from: the primary one of the interface, or its link-local one. Without it the router can't
    /// take part.
    pub fn set_source(&mut self, now: Duration, source: Option<IpAddr>) {
        let was_faulty = self.is_faulty();
        self.source = source.filter(|source| match (&self.settings.addresses, source) {
            (Addresses::V4(_), IpAddr::V4(_)) => true,
            // Peers that are not on the link are not reached from a link-local address.
            (Addresses::V6(_), IpAddr::V6(source)) => {
                source.is_unicast_link_local() || self.settings.peers != Peers::Multicast
            }
            _ => false,
        });
        self.follow_fault(now, was_faulty, Cause::Fault);
    }

    /// What tracking makes of it from now on.
    pub fn set_standing(&mut self, now: Duration, standing: Standing) {
        if self.standing == standing {
            return;
        }
        let (before, was_faulty) = (self.standing.priority, self.is_faulty());
        self.standing = standing;
        self.follow_fault(now, was_faulty, Cause::Fault);
        if before != standing.priority
            && let Phase::Active(active) = &mut self.phase
            && active.handing.is_none()
        {
            // Who is better now need not wait for the next one.
            active.advertised(now, self.settings.interval);
            self.advertise(standing.priority);
            self.sleep();
        }
    }

    /// While this machine does not have the flows of the others: an active router of lower priority is left alone for so long, from when
    /// it is heard first. `None`: this machine has them. A router that is silent, or stops, is replaced in any case.
    pub fn set_sync_wait(&mut self, wait: Option<Duration>) {
        self.sync_wait = wait;
    }

    /// A packet arrived. One that is rejected changes nothing.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn handle_packet(
        &mut self,
        now: Duration,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<Accepted, Rejection> {
        let Parsed { advert, form } = admission::admit(&self.settings, self.source, envelope, message)?;
        if self.settings.checksum == Checksum::Auto && advert.version == Version::V3 {
            self.form = form;
        }
        let mut accepted = Accepted {
            priority: advert.priority,
            interval: advert.interval,
            is_conflict: false,
            interval_differs: advert.interval != self.settings.interval,
            addresses_differ: !advert.addresses.same_set(&self.settings.addresses),
            two_owners: [advert.priority, self.standing.priority] == [Priority::OWNER; 2],
        };
        let source = envelope.ends.source();
        match self.phase {
            Phase::Backup(_) => self.hear_as_backup(now, &advert, source),
            Phase::Active(_) => accepted.is_conflict = self.hear_as_active(now, &advert, source),
            Phase::Initialize | Phase::Fault => {}
        }
        self.sleep();
        Ok(accepted)
    }

    /// Does what is due; too early it does nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        let late = self.late(now);
        match &mut self.phase {
            Phase::Initialize | Phase::Fault => {}
            Phase::Backup(backup) if late > backup.interval.duration() => {
                backup.listen(now, self.standing.priority);
            }
            Phase::Backup(backup) => {
                backup.awake(now);
                if backup.down_at.is_some_and(|down_at| down_at <= now) {
                    self.active_router_is_down(now);
                }
            }
            Phase::Active(active) => {
                let due = active.handle_timeout(now, self.settings.interval);
                self.act(now, due);
            }
        }
        self.sleep();
    }

    /// Packets for the addresses arrive: the network knows where they are.
    pub fn traffic_seen(&mut self) {
        if let Phase::Active(active) = &mut self.phase {
            active.announcer.traffic_seen();
        }
        self.sleep();
    }

    /// Whether it is to be told when packets for the addresses arrive ([`Self::traffic_seen`]): another number each time that it begins to
    /// announce them.
    #[must_use]
    pub fn awaits_traffic(&self) -> Option<u64> {
        match &self.phase {
            Phase::Active(active) => active.announcer.awaits_traffic(),
            Phase::Initialize | Phase::Fault | Phase::Backup(_) => None,
        }
    }

    /// Another machine said that one of the addresses is there.
    pub fn address_claimed(&mut self, now: Duration) {
        // Its successor is to have them.
        if self.switchover() != Some(Switchover::HandingOver) {
            self.announce_again(now);
        }
        self.sleep();
    }

    /// What [`Self::poll_command`] gives next.
    pub(in crate::vrrp) fn next_command(&self) -> Option<&Command> {
        self.commands.front()
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Initialize | Phase::Fault => None,
            Phase::Backup(backup) => Some(backup.poll_timeout()),
            Phase::Active(active) => Some(active.poll_timeout()),
        }
    }

    /// The next thing to do; `None`: nothing for now.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Initialize => State::Initialize,
            Phase::Fault => State::Fault,
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) => State::Active,
        }
    }

    /// Its priority, with everything counted in.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.standing.priority
    }

    /// The other router that is active, as far as this one knows.
    #[must_use]
    pub fn active_router(&self) -> Option<Peer> {
        match &self.phase {
            Phase::Backup(backup) => backup.active,
            Phase::Initialize | Phase::Fault | Phase::Active(_) => None,
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What an active router has to do in time.
    fn act(&mut self, now: Duration, due: Due) {
        if due.announcement {
            self.commands.push_back(Command::Announce);
        }
        if self.late(now) >= self.settings.interval.duration() * 3 {
            self.announce_again(now);
        }
        if due.advert {
            self.advertise(self.standing.priority);
        }
        if due.resignation {
            self.advertise(Priority::STOPS);
        }
        if let Some(then) = due.end {
            self.find_no_successor(now, then);
        }
    }

    /// How long after it wanted to be woken it is.
    fn late(&self, now: Duration) -> Duration {
        self.due.map_or(Duration::ZERO, |due| now.saturating_sub(due))
    }

    /// Remembers when it wants to be woken.
    fn sleep(&mut self) {
        self.due = self.poll_timeout();
    }
}
