//! The balancing algorithms by name; [`crate::balance`] holds what they do.

use super::keyword::keyword;

/// How a new flow's backend is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Consistent hash of the 5-tuple; the same on every node with the same seed.
    #[default]
    Maglev,
    /// Weighted round robin.
    RoundRobin,
    /// Consistent hash of the client's address or prefix.
    SourceHash,
    /// Weighted random.
    Random,
    /// The one with fewer flows for its weight of two random choices.
    LeastConnections,
}

keyword!(Algorithm {
    Maglev = "maglev",
    RoundRobin = "round-robin",
    SourceHash = "source-hash",
    Random = "random",
    LeastConnections = "least-connections",
});
