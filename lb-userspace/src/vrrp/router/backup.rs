//! A router that waits (RFC 9568 section 6.4.2).

use std::{net::IpAddr, time::Duration};

use crate::vrrp::{Advert, Interval, Preemption, Priority, Version};

/// The active router that is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its own address.
    pub address: IpAddr,
    /// What it advertised last.
    pub priority: Priority,
    /// When it last sent version 3.
    pub(super) v3_at: Option<Duration>,
}

/// Which active routers of lower priority are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacing {
    pub(super) preemption: Preemption,
    /// How long one is left alone at most while this machine does not have its flows.
    pub(super) sync_wait: Option<Duration>,
}

/// What a router knows while it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backup {
    /// `Active_Adver_Interval`.
    pub(super) interval: Interval,
    /// The version it was learned by: the skew depends on it.
    version: Version,
    pub(super) active: Option<Peer>,
    /// When `Active_Down_Timer` fires; `None`: it did, and the sync group has not followed yet.
    pub(super) down_at: Option<Duration>,
    /// The active router said that it stops.
    pub(super) resigned: bool,
    /// When an active router of lower priority is to be replaced.
    pub(super) preempt_at: Option<Duration>,
    /// When it is replaced although its flows are not here.
    sync_until: Option<Duration>,
    /// The addresses are still held, from before a restart of the daemon.
    pub(super) holds: bool,
    /// When to look whether this process still runs in time.
    pulse_at: Duration,
}

impl Backup {
    /// Waits for a whole `Active_Down_Interval`.
    pub(super) fn new(now: Duration, interval: Interval, version: Version, own: Priority) -> Self {
        let mut backup = Self {
            interval,
            version,
            active: None,
            down_at: None,
            resigned: false,
            preempt_at: None,
            sync_until: None,
            holds: false,
            pulse_at: now,
        };
        backup.listen(now, own);
        backup
    }

    /// After an advert: from an active router that steps down, or just after a start.
    pub(super) fn after(now: Duration, own: Priority, advert: &Advert, source: IpAddr) -> Self {
        let mut backup = Self::new(now, advert.interval, advert.version, own);
        backup.learn(now, own, advert, source);
        backup
    }

    /// Sets `Active_Down_Timer` to a whole `Active_Down_Interval`.
    pub(super) fn listen(&mut self, now: Duration, own: Priority) {
        self.resigned = false;
        self.down_at = Some(now + self.interval.active_down(self.version, own));
        self.awake(now);
    }

    /// An advert arrived; true: its sender is left to be active.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        own: Priority,
        replacing: Replacing,
        advert: &Advert,
        source: IpAddr,
    ) -> bool {
        self.awake(now);
        if self.is_repeated(now, advert, source) {
            return false;
        }
        if advert.priority == Priority::STOPS {
            self.resigned = true;
            self.down_at = Some(now + self.interval.skew(self.version, own));
            return false;
        }
        let is_left = advert.priority >= own || !self.replaces(now, replacing);
        if advert.priority >= own {
            self.preempt_at = None;
            self.sync_until = None;
        }
        if is_left {
            self.learn(now, own, advert, source);
        }
        is_left
    }

    /// The next thing to look at.
    pub(super) fn poll_timeout(&self) -> Duration {
        self.down_at.map_or(self.pulse_at, |down_at| down_at.min(self.pulse_at))
    }

    /// This process runs at `now`.
    pub(super) fn awake(&mut self, now: Duration) {
        self.pulse_at = now + self.interval.duration();
    }

    /// Whether an active router of lower priority is to be replaced.
    fn replaces(&mut self, now: Duration, replacing: Replacing) -> bool {
        self.sync_until = replacing.sync_wait.map(|wait| self.sync_until.unwrap_or(now + wait));
        let is_synced = self.sync_until.is_none_or(|until| now >= until);
        match replacing.preemption {
            Preemption::After(delay) => now >= *self.preempt_at.get_or_insert(now + delay) && is_synced,
            Preemption::Never => false,
        }
    }

    /// Whether it says in version 2 what was heard in version 3 (RFC 9568 section 8.4.2). A router that has gone back to
    /// version 2 is believed before it is missed.
    fn is_repeated(&self, now: Duration, advert: &Advert, source: IpAddr) -> bool {
        let fresh = self.interval.duration() * 2;
        advert.version == Version::V2
            && self.active.is_some_and(|active| {
                active.address == source && active.v3_at.is_some_and(|v3_at| now < v3_at + fresh)
            })
    }

    fn learn(&mut self, now: Duration, own: Priority, advert: &Advert, source: IpAddr) {
        self.interval = advert.interval;
        self.version = advert.version;
        let before = self.active.filter(|active| active.address == source);
        let v3_at = match advert.version {
            Version::V3 => Some(now),
            Version::V2 => before.and_then(|active| active.v3_at),
        };
        self.active = Some(Peer { address: source, priority: advert.priority, v3_at });
        self.listen(now, own);
    }
}
