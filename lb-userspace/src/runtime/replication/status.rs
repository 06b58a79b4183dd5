//! How replication stands.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{api, flows::Outcome, model::Replication as Wanted, replication::Counters};

/// How it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicationStatus {
    /// The other machine is heard.
    pub(super) is_connected: bool,
    /// This machine has all its flows.
    pub(super) is_synced: bool,
    /// The other machine has all of this one's, but for those under way.
    pub(super) has_told_all: bool,
    /// How long the oldest that it does not have waits.
    pub(super) lag: Duration,
    /// Flows that wait to be sent.
    pub(super) waiting: usize,
    /// What there was.
    pub(super) counters: Counters,
    /// What became of flows that were received.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// Flows that the other machine did not name any more.
    pub(super) forgotten: u64,
}

/// How it stands, for all who want to know; nothing is there without `[replication]`.
#[derive(Clone, Debug, Default)]
pub(in crate::runtime) struct ReplicationBoard(Arc<Mutex<Option<(Wanted, ReplicationStatus)>>>);

impl ReplicationBoard {
    pub(super) fn set(&self, wanted: &Wanted, status: ReplicationStatus) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((wanted.clone(), status));
    }

    /// It as the metrics show it.
    pub(in crate::runtime) fn observed(&self) -> Option<api::Replication> {
        Some(self.shown()).filter(|shown| shown.state != "off")
    }

    /// It as the API shows it.
    pub(in crate::runtime) fn shown(&self) -> api::Replication {
        let Some((wanted, status)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return api::Replication::default();
        };
        let counters = &status.counters;
        let outcome = |outcome| status.outcomes.get(&outcome).copied().unwrap_or_default();
        let rejected = counters.rejected.iter();
        api::Replication {
            state: match (status.is_connected, status.is_synced) {
                (true, true) => "synced",
                (true, false) => "syncing",
                (false, _) => "disconnected",
            }
            .to_owned(),
            peer: Some(wanted.peer_address.to_string()),
            peer_synced: status.is_connected && status.has_told_all,
            lag_seconds: status.lag.as_secs_f64(),
            waiting: status.waiting as u64,
            sessions: counters.sessions,
            packets_sent: counters.packets_sent,
            packets_received: counters.packets_received,
            flows_sent: counters.flows_sent,
            flows_received: counters.flows_received,
            flows_stored: outcome(Outcome::Stored),
            flows_unknown_service: outcome(Outcome::UnknownService),
            flows_unknown_backend: outcome(Outcome::UnknownBackend),
            flows_conflicting: outcome(Outcome::Conflict),
            flows_forgotten: status.forgotten,
            flows_lost: counters.flows_lost,
            gaps: counters.gaps,
            resent: counters.resent,
            rejected: rejected.map(|(reason, count)| (reason.label().to_owned(), *count)).collect(),
        }
    }
}
