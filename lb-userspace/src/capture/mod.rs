//! What the data path copied of packets, without I/O: which packets somebody wants, what is known of them, and files for Wireshark.
//!
//! A [`Filter`](crate::events::Filter) of [`Field`]s says which packets. [`Wanted::of`] makes the data path's part of it, which lets every packet
//! through that the filter wants, and as few others as it can; what comes is compared with the filter itself.

mod feed;
mod field;
mod names;
mod narrow;
mod packet;
pub mod pcapng;
#[cfg(test)]
mod tests;

pub use feed::{CaptureRefused, Counts, Feed, Outlet, Queue};
pub use field::Field;
pub use names::{Known, Names, UnknownName};
pub use narrow::Wanted;
pub use packet::Packet;
