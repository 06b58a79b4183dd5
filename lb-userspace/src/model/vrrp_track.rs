//! What a virtual router tracks: things whose loss lowers its priority, or keeps it from taking part.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{InterfaceName, RouterName, ScriptProbe, ServiceName};

/// All that one virtual router tracks beside its own interface.
///
/// Weights are keepalived's: 0: without the thing the router does not take part; below 0: so much less priority while it is missing;
/// above 0: so much more while it is there. -253 to 253.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Other interfaces: up, with a carrier.
    pub interfaces: Vec<TrackedInterface>,
    /// Services: enough healthy backends.
    pub services: Vec<TrackedService>,
    /// Programs of the operator: exit status 0.
    pub scripts: Vec<TrackedScript>,
    /// Files that hold a number.
    pub files: Vec<TrackedFile>,
    /// Whether this machine does not take part while its data path does not work.
    pub data_path: bool,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            services: Vec::new(),
            scripts: Vec::new(),
            files: Vec::new(),
            data_path: true,
        }
    }
}

/// An interface that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedInterface {
    /// Its name.
    pub interface: InterfaceName,
    /// See [`Track`].
    pub weight: i16,
}

/// A service that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedService {
    /// Its name.
    pub service: ServiceName,
    /// How many backends have to be healthy.
    pub quorum: Quorum,
    /// See [`Track`].
    pub weight: i16,
}

/// How many of the backends that are to take flows (enabled, with a weight; backups count) have to be healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quorum {
    /// So many, at least 1.
    Backends(u32),
    /// So many in a hundred, 1 to 100; of a service without any such backend never.
    Percent(u8),
}

impl Quorum {
    /// Whether `healthy` of `wanted` backends are enough.
    #[must_use]
    pub fn is_met(self, healthy: usize, wanted: usize) -> bool {
        match self {
            Self::Backends(least) => healthy as u64 >= u64::from(least),
            Self::Percent(percent) => wanted > 0 && healthy * 100 >= wanted * usize::from(percent),
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backends(least) => write!(f, "{least} healthy"),
            Self::Percent(percent) => write!(f, "{percent} % healthy"),
        }
    }
}

/// A script that is tracked. Virtual routers that track one of the same name have it run once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedScript {
    /// Its name.
    pub name: RouterName,
    /// What is run, and as whom.
    pub program: ScriptProbe,
    /// Between the starts of two runs.
    pub interval: Duration,
    /// After which a run is ended, and has failed; at most `interval`.
    pub timeout: Duration,
    /// Successes in a row after which it counts as well again.
    pub rise: u32,
    /// Failures in a row after which it counts as failed.
    pub fall: u32,
    /// See [`Track`].
    pub weight: i16,
}

impl TrackedScript {
    /// Whether both run the same in the same way; their weights may differ.
    #[must_use]
    pub fn runs_as(&self, other: &Self) -> bool {
        Self { weight: other.weight, ..self.clone() } == *other
    }
}

/// A file that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedFile {
    /// Absolute path.
    pub path: PathBuf,
    /// What the number in the file is multiplied by before it is added to the priority; 0: with a number other than 0 the router
    /// does not take part. -254 to 254.
    pub weight: i16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_a_number_or_a_share_of_those_that_are_to_take_flows() {
        for (quorum, healthy, wanted, expected) in [
            (Quorum::Backends(1), 1, 4, true),
            (Quorum::Backends(2), 1, 4, false),
            (Quorum::Percent(50), 2, 4, true),
            (Quorum::Percent(50), 1, 3, false),
            (Quorum::Percent(1), 0, 3, false),
            (Quorum::Percent(100), 3, 3, true),
            (Quorum::Percent(1), 0, 0, false),
        ] {
            assert_eq!(quorum.is_met(healthy, wanted), expected, "{quorum:?}: {healthy} of {wanted}");
        }
    }
}
