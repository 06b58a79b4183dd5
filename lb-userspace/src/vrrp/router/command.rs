//! What a virtual router wants done, and what it says of itself.

use std::{fmt, net::IpAddr};

use crate::vrrp::{Advert, ChecksumForm, Ends, Interval, Priority};

/// Where a virtual router stands (RFC 9568 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started, or stopped.
    Initialize,
    /// Started, but something that it needs is missing: it takes part again when that is back.
    Fault,
    /// Another router is active, or is to be.
    Backup,
    /// This one holds the addresses.
    Active,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Initialize, Self::Fault, Self::Backup, Self::Active];

    /// The word for metrics, events and the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Fault => "fault",
            Self::Backup => "backup",
            Self::Active => "active",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The daemon started it.
    Started,
    /// The daemon stopped it.
    Stopped,
    /// No active router was heard for `Active_Down_Interval`.
    Silence,
    /// The active router said that it stops.
    Resigned,
    /// A better router is active.
    Better {
        /// Its address.
        router: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// The operator wanted another router to be active, and it is.
    HandedOver {
        /// Its address.
        router: IpAddr,
    },
    /// The operator wanted another router to be active, and there is none: this one remains.
    NoSuccessor,
    /// The operator wanted it to give the addresses up although no other router takes over.
    GivenUp,
    /// Something tracked is missing.
    Fault,
    /// What was missing is back.
    Recovered,
    /// So did the other members of its sync group.
    Group,
}

impl Cause {
    /// The word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Silence => "silence",
            Self::Resigned => "resigned",
            Self::Better { .. } => "better",
            Self::HandedOver { .. } => "handed-over",
            Self::NoSuccessor => "no-successor",
            Self::GivenUp => "given-up",
            Self::Fault => "fault",
            Self::Recovered => "recovered",
            Self::Group => "group",
        }
    }

    /// The other router that has to do with it.
    #[must_use]
    pub const fn router(&self) -> Option<IpAddr> {
        match self {
            Self::Better { router, .. } | Self::HandedOver { router } => Some(*router),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Stopped => f.write_str("stopped"),
            Self::Silence => f.write_str("no active router was heard"),
            Self::Resigned => f.write_str("the active router stopped"),
            Self::Better { router, priority } => write!(f, "{router} is active with priority {priority}"),
            Self::HandedOver { router } => write!(f, "handed over to {router}"),
            Self::NoSuccessor => f.write_str("no other router took over"),
            Self::GivenUp => f.write_str("given up although no other router took over"),
            Self::Fault => f.write_str("something tracked is missing"),
            Self::Recovered => f.write_str("what was missing is back"),
            Self::Group => f.write_str("its sync group did"),
        }
    }
}

/// What is to be done, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send [`Advert::build`] of these, with TTL or hop limit 255.
    Send {
        /// From where to where.
        ends: Ends,
        /// What.
        advert: Advert,
        /// With which checksum.
        form: ChecksumForm,
    },
    /// Make the addresses this machine's: on the interface and in the data path.
    Take {
        /// Whether the machine itself takes packets for them: it owns them, or accept mode is on (RFC 9568 section 6.4.3).
        accept: bool,
    },
    /// Give the addresses up: no answer for them any more. Packets that reach this machine's MAC all the same may be forwarded.
    Release,
    /// Tell the network where the addresses are: gratuitous ARP or unsolicited Neighbor Advertisement for each of them.
    Announce,
    /// Say it: log, event, hook.
    Changed {
        /// What it is from now on.
        state: State,
        /// Why.
        cause: Cause,
    },
}

/// An advert that was taken, and what was strange about it nevertheless: to be counted, and logged with a limit (RFC 9568 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What its sender advertised.
    pub priority: Priority,
    /// When its sender wants to say so again.
    pub interval: Interval,
    /// Another interval than here: the active one's counts.
    pub interval_differs: bool,
    /// Other addresses than here.
    pub addresses_differ: bool,
    /// Two routers say that they own the addresses.
    pub two_owners: bool,
    /// Another router was active beside this one, which goes on: the network may not know where the addresses are.
    pub is_conflict: bool,
}
