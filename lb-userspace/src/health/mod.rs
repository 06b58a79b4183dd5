//! Health checks: is a backend reachable?
//!
//! [`Checker`] decides when to probe and what the outcomes mean; it does no I/O and reads no clock. [`probe()`] does the I/O of
//! one probe.

mod checker;
mod probe;
#[cfg(test)]
mod tests;

pub use checker::{Checker, Command, Policy, ProbeId, Target};
pub use probe::{Outcome, close, probe};

/// What the checks say about a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not enough outcomes yet; taken to be up, so that a restart never scales a service down.
    #[default]
    Unknown,
    /// `rise` probes in a row succeeded.
    Up,
    /// `fall` probes in a row failed.
    Down,
}

impl Health {
    /// Whether the backend may take flows.
    #[must_use]
    pub const fn is_up(self) -> bool {
        !matches!(self, Self::Down)
    }

    /// The name in the API, the CLI and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}
