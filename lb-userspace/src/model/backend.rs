//! Backends as the operator wants them.

use std::net::IpAddr;

use super::{BackendName, Timestamp, keyword::keyword};

/// Weight of a backend for which none is given.
pub const DEFAULT_WEIGHT: u16 = 100;

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// Takes flows while it is healthy.
    #[default]
    Enabled,
    /// Keeps its flows, takes none.
    Draining,
    /// Takes no packets.
    Disabled,
}

keyword!(AdminState { Enabled = "enabled", Draining = "draining", Disabled = "disabled" });

/// What becomes of the flows that are left at the deadline of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DrainEnd {
    /// They go on.
    #[default]
    Keep,
    /// Both ends are sent a RST; UDP flows are forgotten.
    Rst,
}

keyword!(DrainEnd { Keep = "keep", Rst = "rst" });

/// The deadline of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Drain {
    /// When it is.
    pub until: Timestamp,
    /// What happens then.
    pub then: DrainEnd,
}

/// A backend of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name, unique in the service.
    pub name: BackendName,
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0: the port the client used.
    pub port: u16,
    /// Its share of the new flows; 0: none.
    pub weight: u16,
    /// What the operator wants of it.
    pub state: AdminState,
    /// [`AdminState::Draining`]: its deadline; `None`: it has all the time that its flows take.
    pub drain: Option<Drain>,
    /// Whether it takes flows only while too few of the others are healthy.
    pub backup: bool,
    /// Most flows at once; 0: any number.
    pub max_connections: u32,
}
