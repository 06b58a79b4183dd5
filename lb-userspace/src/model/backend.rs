//! Backends as the operator wants them.

use std::net::IpAddr;

use super::{BackendName, keyword::keyword};

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
}
