//! What control reacts to.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use lb_common::abi::Interface;

use super::{Edit, NewBlocks};
use crate::model::{BackendName, Health, Reason, ServiceName};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operator wants a change.
    Request(Request),
    /// Read the configuration file again.
    Reload,
    /// A backend's checks came to a result.
    Health {
        /// Its service.
        service: ServiceName,
        /// Its name.
        backend: BackendName,
        /// Its id when it was checked ([`super::BackendView::id`]): a result that comes after its removal is not taken for that of
        /// another backend of this name.
        id: u32,
        /// Its health.
        health: Health,
        /// Why it is not healthy, or cannot be checked.
        reason: Option<Reason>,
        /// For how long it stays down even if its checks succeed.
        held: Option<Duration>,
    },
    /// The interfaces the program is attached to, by ifindex: all of them, whenever something of one changed.
    Interfaces(BTreeMap<u32, Interface>),
    /// A route, a neighbour, a link or an address changed: next hops are to be looked up again.
    RoutesChanged,
    /// The flows of a removed backend are gone: its id may be given to another.
    BackendReleased {
        /// The id.
        id: u32,
    },
    /// Make a text the configuration file and the desired state.
    Apply {
        /// The text.
        text: String,
        /// The time in which it is to be confirmed, if it is; else what was before comes back.
        confirm: Option<Duration>,
    },
    /// Block sources for all services.
    Block(NewBlocks),
    /// Block sources no more.
    Unblock(Vec<IpNet>),
    /// Keep what was applied.
    Confirm,
    /// Bring back what was there before the last apply.
    RollBack,
    /// How many flows that have not ended a scan found for the backends that are drained.
    Census {
        /// When the scan began.
        began: Instant,
        /// By id; a backend that is missing has none.
        flows: BTreeMap<u32, u64>,
    },
    /// Look now whether somebody else changed the maps, and put them right.
    Repair,
    /// About once a second: what failed is tried again, and the maps are compared with the model, a part of them at a
    /// time, every 30 seconds.
    Tick,
}

/// A change, and whether it is to last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The change.
    pub edit: Edit,
    /// Whether it goes into the file.
    pub persist: Persist,
}

/// Whether a change outlives `lbd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persist {
    /// It is written into the configuration file.
    #[default]
    File,
    /// It lasts until the file is read again.
    Runtime,
}
