//! Metrics of the replication of flows.

use prometheus::Result;

use super::page::{Page, Samples};
use crate::api::Replication;

/// A metric: name, help text, value.
type Metric = (&'static str, &'static str, fn(&Replication) -> u64);

const METRICS: [Metric; 16] = [
    ("lb_replication_connected", "1 if the other machine is heard, else 0.", |all| {
        (all.state != "disconnected").into()
    }),
    ("lb_replication_synced", "1 if this machine has all flows of the other one, else 0.", |all| {
        (all.state == "synced").into()
    }),
    (
        "lb_replication_peer_synced",
        "1 if the other machine has all flows of this one but for those under way, else 0.",
        |all| all.peer_synced.into(),
    ),
    (
        "lb_replication_lag_milliseconds",
        "How long the oldest packet with flows is under way that the other machine has not confirmed.",
        |all| (all.lag_seconds * 1000.0) as u64,
    ),
    ("lb_replication_waiting_flows", "Flows that wait to be sent.", |all| all.waiting),
    ("lb_replication_sessions_total", "Sessions of the other machine.", |all| all.sessions),
    ("lb_replication_packets_sent_total", "Packets sent.", |all| all.packets_sent),
    ("lb_replication_packets_received_total", "Packets taken.", |all| all.packets_received),
    ("lb_replication_flows_sent_total", "Flows sent: begun, ended, and named again.", |all| all.flows_sent),
    ("lb_replication_flows_received_total", "Flows received, likewise.", |all| all.flows_received),
    ("lb_replication_flows_stored_total", "Flows received that changed the flow tables.", |all| {
        all.flows_stored
    }),
    (
        "lb_replication_flows_unknown_total",
        "Flows received of services or backends that are not here.",
        |all| all.flows_unknown_service + all.flows_unknown_backend,
    ),
    (
        "lb_replication_flows_conflicting_total",
        "Flows received that use addresses and ports of another flow here.",
        |all| all.flows_conflicting,
    ),
    ("lb_replication_flows_lost_total", "Flows that could not be sent in time.", |all| all.flows_lost),
    ("lb_replication_gaps_total", "Batches that were missing when a later one arrived.", |all| all.gaps),
    ("lb_replication_resent_total", "Batches sent again.", |all| all.resent),
];

/// Nothing if flows are not replicated.
pub(super) fn replication(page: &mut Page, replication: Option<&Replication>) -> Result<()> {
    let Some(all) = replication else { return Ok(()) };
    let samples = Samples::new([(all, [])]);
    for (name, help, value) in METRICS {
        samples.write(page, name, help, |all| value(all))?;
    }
    let rejected = all.rejected.iter().map(|(reason, count)| (*count, [("reason", reason.as_str())]));
    let help = "Packets rejected.";
    Samples::new(rejected).write(page, "lb_replication_rejected_total", help, |count| *count)
}
