//! One router, fed by hand.

mod conflict;
mod handover;
mod receipt;
mod stall;
mod states;
mod sync;
mod versions;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::vrrp::{
    Advert, Authentication, Ends, GROUP_V4, HOP_LIMIT, Interval, Preemption, Version, Versions, Vrid,
};

pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
pub(crate) const LOWER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const HIGHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

/// A number of milliseconds.
pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// VRID 51, priority 100, adverts each 100 ms, version 3, RFC checksums.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new(Vrid::new(51).unwrap(), Addresses::V4(vec![VIP]));
    settings.interval = Interval::from_centiseconds(10).unwrap();
    settings
}

/// A router with its clock, and what it has done.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) router: Router,
    pub(crate) now: Duration,
    /// The commands of the last step.
    pub(crate) done: Vec<Command>,
}

impl Fixture {
    /// A router that is not started.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut router = Router::new(settings).unwrap();
        router.set_source(ms(0), Some(OWN.into()));
        Self { router, now: ms(1000), done: Vec::new() }
    }

    pub(crate) fn started(settings: Settings) -> Self {
        let mut fixture = Self::new(settings);
        fixture.step(|router, now| router.start(now, false));
        fixture
    }

    /// Active, its first adverts sent.
    pub(crate) fn active(settings: Settings) -> Self {
        let mut fixture = Self::started(settings);
        fixture.run_until(|fixture| fixture.router.state() == State::Active);
        fixture
    }

    /// Does something to the router at the present moment.
    pub(crate) fn step<T>(&mut self, act: impl FnOnce(&mut Router, Duration) -> T) -> T {
        let result = act(&mut self.router, self.now);
        self.done = std::iter::from_fn(|| self.router.poll_command()).collect();
        result
    }

    /// Moves to the next moment that the router wants.
    pub(crate) fn next(&mut self) {
        self.now = self.router.poll_timeout().expect("the router waits for something");
        self.step(Router::handle_timeout);
    }

    pub(crate) fn run_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if is_over(self) {
                return;
            }
            self.next();
        }
        panic!("it does not happen: {self:?}");
    }

    /// Lets time pass, the router being woken whenever it wants; what it does in it.
    pub(crate) fn run_for(&mut self, time: Duration) -> Vec<Command> {
        let end = self.now + time;
        let mut done = Vec::new();
        while self.router.poll_timeout().is_some_and(|due| due <= end) {
            self.next();
            done.append(&mut self.done);
        }
        self.now = end;
        done
    }

    /// An advert of 100 ms arrives from another router.
    pub(crate) fn hear(&mut self, source: Ipv4Addr, priority: u8) -> Accepted {
        let mut advert = settings().advert(Version::V3, Priority::new(priority));
        advert.vrid = self.router.settings().vrid;
        self.hear_advert(source, &advert).expect("the advert is accepted")
    }

    pub(crate) fn hear_advert(&mut self, source: Ipv4Addr, advert: &Advert) -> Result<Accepted, Rejection> {
        let ends = Ends::V4(source, GROUP_V4);
        let message = advert.build(&ends, ChecksumForm::MessageOnly).unwrap();
        let envelope = Envelope { ends, hop_limit: HOP_LIMIT };
        self.step(|router, now| router.handle_packet(now, &envelope, &message))
    }

    /// How long until the router would claim the addresses, if nothing is heard.
    pub(crate) fn down_in(&self) -> Option<Duration> {
        match &self.router.phase {
            Phase::Backup(backup) => backup.down_at.map(|down_at| down_at - self.now),
            _ => None,
        }
    }

    pub(crate) fn changes(&self) -> Vec<(State, Cause)> {
        changes(&self.done)
    }
}

pub(crate) fn changes(commands: &[Command]) -> Vec<(State, Cause)> {
    let change = |command: &Command| match command {
        Command::Changed { state, cause } => Some((*state, *cause)),
        _ => None,
    };
    commands.iter().filter_map(change).collect()
}

/// The priorities of the adverts among commands.
pub(crate) fn adverts(commands: &[Command]) -> Vec<u8> {
    let priority = |command: &Command| match command {
        Command::Send { advert, .. } => Some(advert.priority.number()),
        _ => None,
    };
    commands.iter().filter_map(priority).collect()
}

pub(crate) fn announcements(commands: &[Command]) -> usize {
    commands.iter().filter(|command| **command == Command::Announce).count()
}
