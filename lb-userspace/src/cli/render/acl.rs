//! Lists of sources, and limits.

use super::table::{Style, Value, number, table, text};
use crate::api::{Acl, AclVerdict, AclVerdicts, Blocked, BlockedPrefix, ServiceAcl, ServiceLimits};

/// `lbctl acl list`.
pub(in crate::cli) fn acl(acl: &Acl, style: Style) -> String {
    let header = ["PREFIX", "BY", "SINCE", "UNTIL", "REASON"];
    let row = |blocked: &BlockedPrefix| {
        let BlockedPrefix { prefix, by, since, until, reason } = blocked;
        let or_none = |time: &Option<String>| text(time.as_deref().unwrap_or("-"));
        vec![text(prefix), text(by), or_none(since), or_none(until), text(reason)]
    };
    let mut out = table(style, &header, acl.prefixes.iter().map(row), "nobody is blocked for all services");
    if acl.prefixes.len() < acl.blocked {
        let (shown, all) = (acl.prefixes.len(), acl.blocked);
        out.push_str(&format!("... the first {shown} of {all} only; --limit shows more\n"));
    }
    if !acl.services.is_empty() {
        let row = |list: &ServiceAcl| {
            vec![text(&list.service), number(list.allow as u64), number(list.deny as u64)]
        };
        out.push('\n');
        out.push_str(&table(style, &["SERVICE", "ALLOW", "DENY"], acl.services.iter().map(row), ""));
    }
    out
}

/// What came of a block.
pub(in crate::cli) fn blocked(blocked: Blocked) -> String {
    let Blocked { blocked, ended } = blocked;
    let flows = if ended > 0 { format!("; {ended} flows are ended") } else { String::new() };
    format!("{blocked} prefixes are blocked by request{flows}\n")
}

/// `lbctl acl check`.
pub(in crate::cli) fn verdicts(verdicts: &AclVerdicts, style: Style) -> String {
    let mut out = String::new();
    if let Some(BlockedPrefix { prefix, by, until, reason, .. }) = &verdicts.blocked_by {
        out.push_str(&format!("{} is blocked for all services by {prefix} ({by})", verdicts.address));
        if let Some(until) = until {
            out.push_str(&format!(" until {until}"));
        }
        if !reason.is_empty() {
            out.push_str(&format!(": {reason}"));
        }
        out.push('\n');
    }
    let row = |verdict: &AclVerdict| {
        let AclVerdict { service, admitted, prefix } = verdict;
        let word = if *admitted { "admitted" } else { "refused" };
        vec![text(service), text(word), text(prefix.as_deref().unwrap_or("-"))]
    };
    let none = "no service has an address of this family";
    out.push_str(&table(style, &["SERVICE", "VERDICT", "BY"], verdicts.services.iter().map(row), none));
    out
}

/// `lbctl limit list`: of each service, of each of its sources, and what was refused.
pub(in crate::cli) fn limits(limits: &[ServiceLimits], style: Style) -> String {
    let header = ["SERVICE", "CONNECTIONS", "MAX", "FLOWS/S", "BURST", "PACKETS/S", "BURST"];
    let row = |limits: &ServiceLimits| {
        vec![
            text(&limits.service),
            limits.connections.map_or_else(|| Value::right("-".to_owned()), number),
            or_none(limits.max_connections),
            or_none(limits.flow_rate),
            or_none(limits.flow_burst),
            or_none(limits.packet_rate),
            or_none(limits.packet_burst),
        ]
    };
    let mut out = table(style, &header, limits.iter().map(row), "no services");
    out.push_str(&of_sources(limits, style));
    out.push_str(&refusals(limits, style));
    out
}

/// Limits of each source, where there are some.
fn of_sources(limits: &[ServiceLimits], style: Style) -> String {
    let header = ["SERVICE", "EACH SOURCE", "MAX", "EMBRYONIC", "FLOWS/S", "BURST", "PACKETS/S", "BURST"];
    let rows = limits.iter().filter_map(|limits| {
        let bits = limits.source_prefix?;
        Some(vec![
            text(&limits.service),
            text(format!("/{bits}")),
            or_none(limits.source_max_connections),
            or_none(limits.source_max_embryonic),
            or_none(limits.source_flow_rate),
            or_none(limits.source_flow_burst),
            or_none(limits.source_packet_rate),
            or_none(limits.source_packet_burst),
        ])
    });
    below(&header, rows.collect(), style)
}

/// Packets that were refused, where some were.
fn refusals(limits: &[ServiceLimits], style: Style) -> String {
    let rows = limits.iter().flat_map(|limits| {
        let refused = &limits.refused;
        let counts = [
            ("source-blocked", refused.source_blocked),
            ("source-denied", refused.source_denied),
            ("source-limited", refused.source_limited),
            ("service-limited", refused.service_limited),
            ("source-full", refused.source_full),
            ("source-embryonic", refused.source_embryonic),
            ("source-packets", refused.source_packets),
            ("service-packets", refused.service_packets),
        ];
        let some = counts.into_iter().filter(|(_, count)| *count > 0);
        some.map(|(reason, count)| vec![text(&limits.service), text(reason), number(count)])
    });
    below(&["SERVICE", "REFUSED", "PACKETS"], rows.collect(), style)
}

/// A table below another one, if it has rows.
fn below(header: &[&str], rows: Vec<Vec<Value>>, style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(style, header, rows.into_iter(), ""))
}

fn or_none(limit: Option<u32>) -> Value {
    limit.map_or_else(|| Value::right("-".to_owned()), |limit| number(limit.into()))
}
