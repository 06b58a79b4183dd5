//! What came of a probe.

use crate::model::Reason;

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend did what was expected.
    Healthy,
    /// It did not.
    Failed(Reason),
    /// This machine could not even try (no file descriptors, no memory, ...). Says nothing about the backend.
    NotTried(Reason),
}

impl Outcome {
    /// Why it did not succeed.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Healthy => None,
            Self::Failed(reason) | Self::NotTried(reason) => Some(reason),
        }
    }
}
