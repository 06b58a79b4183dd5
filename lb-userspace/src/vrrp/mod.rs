//! VRRP without I/O: version 3 (RFC 9568) for IPv4 and IPv6, and version 2 (RFC 3768) for old peers.
//!
//! From the bottom: `values` are the numbers of the protocol and the times that follow from them, `packet` the bytes, `settings` how
//! a virtual router is configured, [`Router`] its state machine, `tracking` what its priority depends on, and [`Node`] all virtual
//! routers of a machine with their sync groups. Addresses, intervals and lists are in host types; only `packet` knows about byte
//! order.

mod member;
mod node;
mod packet;
mod rise_fall;
mod roster;
mod router;
mod settings;
#[cfg(test)]
mod tests;
mod tracking;
mod values;

pub use member::{DATA_PATH, tracked_file, tracked_interface, tracked_script, tracked_service};
pub use node::{InvalidNode, Member, Node, RouterId};
pub use packet::{
    Addresses, Advert, Authentication, ChecksumForm, Ends, Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, Mac,
    PROTOCOL, Parsed, Rejection, TRAFFIC_CLASS, Unbuildable, announcement, group_frame, open_v4,
};
pub use rise_fall::RiseFall;
pub use roster::{Roster, Sighting};
pub use router::{Accepted, Afterwards, Cause, Command, Peer, Router, Standby, Standing, State, Switchover};
pub use settings::{Announcing, Checksum, InvalidSettings, Peers, Preemption, Settings, Versions};
pub use tracking::{Effect, Impact, Reading, Tracked, Tracking, number_in};
pub use values::{Interval, Priority, Version, Vrid};
