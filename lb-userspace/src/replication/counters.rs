//! What there was.

use std::collections::BTreeMap;

use super::Rejection;

/// Numbers since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were sent.
    pub packets_sent: u64,
    /// Packets that were taken.
    pub packets_received: u64,
    /// Flows that were sent, sweeps included.
    pub flows_sent: u64,
    /// Flows that were received, sweeps included.
    pub flows_received: u64,
    /// Flows that were not sent because too many waited; the next sweep brings them.
    pub flows_lost: u64,
    /// Batches that were missing when a later one arrived.
    pub gaps: u64,
    /// Batches that were sent again.
    pub resent: u64,
    /// Batches that came again.
    pub duplicates: u64,
    /// Sessions of the other machine.
    pub sessions: u64,
    /// Packets that were not taken, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
}
