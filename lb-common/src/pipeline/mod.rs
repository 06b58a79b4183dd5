//! The packet pipeline.

use crate::abi::DropReason;

/// What the pipeline decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not for us: hand it to the host, untouched.
    Pass,
    /// Drop it.
    Drop(DropReason),
    /// Send it out of the interface it came from.
    Transmit,
    /// Send it out of another interface.
    Redirect(u32),
}
