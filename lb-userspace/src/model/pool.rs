//! What the backends of a service are to each other: who of them takes flows, and which share.

use super::keyword::keyword;

/// How the backends of a service are doing together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Enough of them are healthy.
    #[default]
    Normal,
    /// Backups take flows, as too few of the others are healthy.
    Backup,
    /// So few are healthy that all are used.
    Panic,
}

keyword!(Condition { Normal = "normal", Backup = "backup", Panic = "panic" });

/// What a backend is to its pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It takes flows.
    #[default]
    Serving,
    /// A backup that is not needed.
    Standby,
    /// It is unhealthy, and takes flows all the same: as many are out as may be.
    Kept,
    /// It is unhealthy, and takes flows all the same: too few are healthy.
    Panic,
    /// It is unhealthy and takes none.
    Ejected,
    /// The operator wants it to take none: it is draining or disabled, or its weight is 0.
    Idle,
}

keyword!(Standing {
    Serving = "serving",
    Standby = "standby",
    Kept = "kept",
    Panic = "panic",
    Ejected = "ejected",
    Idle = "idle",
});

impl Standing {
    /// Whether it takes new flows.
    #[must_use]
    pub const fn takes_flows(self) -> bool {
        matches!(self, Self::Serving | Self::Kept | Self::Panic)
    }
}

/// How a backend takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What it is to its pool.
    pub standing: Standing,
    /// Whether its state is `down` (unless it is disabled).
    pub down: bool,
    /// Its share of the new flows, in parts of [`Pool::scale`]; 0: none.
    pub weight: u32,
}

/// The backends of a service, as they are to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// How they are doing together.
    pub condition: Condition,
    /// How many of those that the operator wants to take flows are healthy.
    pub healthy: usize,
    /// How many the operator wants to take flows, backups included.
    pub wanted: usize,
    /// What all weights are multiplied by: more than 1 while one of them rises slowly.
    pub scale: u32,
    /// Each backend, in the order of the service.
    pub shares: Vec<Share>,
}

impl Pool {
    /// The weight of a backend in the operator's measure, rounded up.
    #[must_use]
    pub fn weight(&self, share: &Share) -> u32 {
        share.weight.div_ceil(self.scale.max(1))
    }
}
