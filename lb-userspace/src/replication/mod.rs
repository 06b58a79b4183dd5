//! Replication of flows to the other machine, without I/O: `docs/replication.md` has the format.
//!
//! From the bottom: `key` is what both machines share, `window` which packets came already, `seal` how packets are encrypted, `record`
//! what is said of a flow, `message` the bytes of it, `inbox` and `outbox` an ordered stream in each direction, [`Link`] all of it with
//! its handshake, and `merge` what becomes of a flow that arrives. Times are since any fixed moment and never go back; flows have the ticks of the data path
//! ([`lb_common::abi::TICK_SHIFT`]) of this machine, and are converted when they arrive.

mod counters;
mod inbox;
mod key;
mod link;
mod merge;
mod message;
mod outbox;
mod record;
mod seal;
#[cfg(test)]
mod tests;
mod window;

pub use counters::Counters;
pub use key::{InvalidKeys, Keys};
pub use link::{Event, Link, Seeds};
pub use merge::{Decision, Kept, Mark, decide};
pub use message::MOST_BYTES;
pub use record::{Flow, Phase};
pub use seal::Rejection;
