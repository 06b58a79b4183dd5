//! Replication of flows.

use super::{
    Style,
    table::{number, table, text},
};
use crate::api::Replication;

/// `lbctl replication status`.
pub(in crate::cli) fn replication(status: &Replication, style: Style) -> String {
    if status.state == "off" {
        return "flows are not replicated: there is no [replication] in the configuration\n".to_owned();
    }
    let headers = [
        "STATE",
        "PEER",
        "PEER HAS ALL",
        "LAG",
        "WAITING",
        "SENT",
        "RECEIVED",
        "STORED",
        "UNKNOWN",
        "LOST",
        "REJECTED",
    ];
    let unknown = status.flows_unknown_service + status.flows_unknown_backend;
    let row = vec![
        text(&status.state),
        text(status.peer.as_deref().unwrap_or("-")),
        text(if status.peer_synced { "yes" } else { "no" }),
        text(format!("{:.0} ms", status.lag_seconds * 1000.0)),
        number(status.waiting),
        number(status.flows_sent),
        number(status.flows_received),
        number(status.flows_stored),
        number(unknown),
        number(status.flows_lost),
        number(status.rejected.values().sum::<u64>()),
    ];
    table(style, &headers, [row], "")
}
