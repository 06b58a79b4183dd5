//! What rtnetlink says, reduced to what matters here.

use std::net::IpAddr;

use crate::loader::AttachMode;

/// One thing that is so from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A link is there, or changed.
    Link(Link),
    /// A link is gone.
    LinkGone {
        /// Its index.
        ifindex: u32,
    },
    /// An address is there, or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A neighbour entry is there, or changed.
    Neighbour(Neighbour),
    /// A neighbour entry is gone; its last state.
    NeighbourGone(Neighbour),
    /// Routes or routing rules changed.
    Routing,
    /// Messages were lost: everything must be asked for again.
    Lost,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// MAC address; all 0: none.
    pub mac: [u8; 6],
    /// MTU in bytes, without the link-layer header.
    pub mtu: u32,
    /// Whether it is up and has a carrier.
    pub running: bool,
    /// The XDP hook in use.
    pub xdp: Option<AttachMode>,
    /// The index of the link that it is on, if it is a macvlan.
    pub below: Option<u32>,
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix in bits.
    pub prefix: u8,
    /// Valid beyond the link and ready for use: not link-local, tentative or a duplicate.
    pub global: bool,
}

/// A neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The link it is reached through.
    pub ifindex: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, if one is known.
    pub mac: Option<[u8; 6]>,
    /// How far the kernel trusts that.
    pub state: NeighbourState,
    /// Whether the kernel keeps it resolved by itself.
    pub managed: bool,
}

/// State of a neighbour entry (`NUD_*`), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Usable; found by the kernel: reachable, stale, delay, probe.
    Valid,
    /// Usable; set by the operator: permanent, noarp.
    Fixed,
    /// It was asked and did not answer, or was flushed.
    Failed,
    /// Not known yet: none, incomplete.
    Unknown,
}

impl NeighbourState {
    /// Whether packets can be sent.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Valid | Self::Fixed)
    }
}
