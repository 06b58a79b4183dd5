//! VRRP without I/O: version 3 (RFC 9568) for IPv4 and IPv6, and version 2 (RFC 3768) for old peers.
//!
//! `values` are the numbers of the protocol and the times that follow from them, `packet` the bytes. Addresses, intervals and
//! lists are in host types; only `packet` knows about byte order.

mod packet;
mod values;

pub use packet::{
    Addresses, Advert, Authentication, ChecksumForm, Ends, Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, Mac,
    PROTOCOL, Parsed, Rejection, Unbuildable, announcement, open_v4,
};
pub use values::{Interval, Priority, Version, Vrid};
