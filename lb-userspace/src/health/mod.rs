//! Health checks: is a backend reachable?
//!
//! [`Checker`] decides when to probe and what the outcomes mean; it does no I/O and reads no clock. [`probe()`] does the I/O of
//! one probe.

mod checker;
mod outcome;
mod pool;
mod probe;
#[cfg(test)]
mod tests;

pub use checker::{Checker, Command, Policy, ProbeId, Target};
pub use outcome::Outcome;
pub use pool::{Change, Pools};
pub use probe::{close, probe};
