//! What the kernel knows of the network: links, addresses, routes, neighbours.
//!
//! [`View`] and [`KeepResolved`] decide, without I/O: which messages change something that the data path relies on, and
//! which neighbours are to be resolved. [`Requests`] and [`Notices`] talk to the kernel.

mod adverts;
mod debounce;
mod decode;
mod keep;
mod neighbours;
mod netlink;
mod notice;
mod room;
mod view;
mod virtual_link;

pub use adverts::AdvertSocket;
pub use debounce::Debounce;
pub use keep::{Action, KeepResolved, NeighbourKey};
pub use neighbours::NeighbourTable;
pub use netlink::{NetError, NextHop, Notices, Requests};
pub use notice::{Address, Link, Neighbour, NeighbourState, Notice};
pub use room::{DEFAULT_LIMIT, NeighbourRoom};
pub use view::{Effect, View};
pub use virtual_link::{VirtualLink, VirtualLinkError};
