//! Backends: where flows go.

/// A backend as the data path sees it; element of `BACKENDS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// Address in wire order; IPv4 in the first word.
    pub addr: [u32; 4],
    /// Port, wire order; 0: the port the client used.
    pub port: u16,
    /// A [`BackendState`].
    pub state: u8,
    /// 4 or 6; 0: unused element.
    pub family: u8,
    /// Weight, for [`super::Selector::LeastFlows`]; at least 1.
    pub weight: u32,
    /// Index of its first port pool (`full-nat`): the pool of SNAT address `i` of the service is `pool_base + i`.
    pub pool_base: u32,
    /// Id of the service it belongs to.
    pub service: u16,
    /// [`BackendFlags`] bits.
    pub flags: u16,
}

/// Bits of [`Backend::flags`].
#[derive(Debug)]
pub struct BackendFlags;

impl BackendFlags {
    /// Its `ORIGINS` entry names this backend and its service: no other service of mode `nat` has a backend with the same address, port
    /// and protocol. What it sends to a client can be translated without a flow entry, so a SYN needs none.
    pub const EXCLUSIVE: u16 = 1;
    /// While it takes no packets (down, disabled, removed), TCP packets of its flows are answered by a RST, whichever end they come
    /// from. Without this bit, those of clients select another backend.
    pub const RESET: u16 = 2;
    /// It or its service has a limit of connections: its flows take places, see [`super::BackendLimits`].
    pub const LIMITED: u16 = 4;
}

/// State of a backend.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// The element is free, or its backend was removed: flows to it are dead.
    Unused = 0,
    /// Takes flows.
    Active = 1,
    /// Keeps its flows, takes none but those of clients that have an [`super::Affinity`] to it.
    Draining = 2,
    /// Unhealthy: takes no flows; packets of its flows select another backend.
    Down = 3,
    /// Taken out by the operator: as `Down`.
    Disabled = 4,
}

impl BackendState {
    /// The name in the API and the CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Disabled => "disabled",
        }
    }
}
