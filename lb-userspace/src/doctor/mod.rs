//! `lbctl doctor`: what of the machine breaks balancing, and the command that puts it right.
//!
//! [`inspect`] gathers [`Facts`] from `/proc`, `/sys`, netlink and the daemon, and changes nothing. [`diagnose`] is a pure function from
//! facts to [`Finding`]s. What is looked at, and what it breaks, is in [`CHECKS`]; `docs/doctor.md` is made of that.

mod diagnose;
mod facts;
mod finding;
mod inspect;
#[cfg(test)]
mod tests;

pub use diagnose::diagnose;
pub use facts::{
    Answer, Daemon, Destination, Facts, Host, Interface, Link, LocalAddress, Mount, Neighbour, Offloads,
    Peer, Pins, Route, XdpFeatures, XdpProgram,
};
pub use finding::{CHECKS, Check, Finding, Severity};
pub use inspect::{Subject, inspect};
