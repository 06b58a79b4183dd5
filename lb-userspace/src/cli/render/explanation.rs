//! What would become of a packet.

use super::{
    objects::duration,
    table::{Style, facts},
    traffic::explained_drop,
};
use crate::api::{Explanation, FlowEntry, PacketHeaders};

/// `lbctl explain`.
pub(in crate::cli) fn explanation(explanation: &Explanation, style: Style) -> String {
    let Explanation { service, backend, direction, flow, .. } = explanation;
    let mut lines = vec![("verdict", verdict(explanation))];
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    lines.push(("service", name(service)));
    lines.push(("backend", name(backend)));
    lines.push(("direction", name(direction)));
    lines.push(("flow", flow.clone()));
    lines.extend(explanation.entry_before.as_ref().map(|entry| ("entry before", entry_text(entry))));
    lines.extend(explanation.entry_after.as_ref().map(|entry| ("entry after", entry_text(entry))));
    lines.push(("arrives", headers_text(&explanation.arrives)));
    lines.extend(explanation.leaves.as_ref().map(|headers| ("leaves", headers_text(headers))));
    if style.wide {
        lines.extend(explanation.frame.clone().map(|frame| ("frame", frame)));
    }
    let mut out = facts(&lines);
    if let Some(drop) = &explanation.drop {
        out.push('\n');
        out.push_str(&explained_drop(drop, false));
    }
    for note in &explanation.notes {
        out.push_str(&format!("\nnote: {note}\n"));
    }
    out
}

fn verdict(explanation: &Explanation) -> String {
    let Explanation { verdict, ingress, egress, drop, .. } = explanation;
    let egress = egress.as_deref().unwrap_or("?");
    match (verdict.as_str(), drop) {
        ("transmit" | "redirect", Some(drop)) => {
            format!("dropped ({}), and its sender is told out of {egress}", drop.reason)
        }
        ("transmit" | "redirect", None) => format!("sent out of {egress}"),
        ("drop", Some(drop)) => format!("dropped ({})", drop.reason),
        ("drop", None) => "dropped".to_owned(),
        ("pass", _) => format!("handed to the host, as if it had just arrived at {ingress}"),
        (other, _) => other.to_owned(),
    }
}

fn entry_text(entry: &FlowEntry) -> String {
    let FlowEntry { tier, state, idle_seconds, service, backend, source, destination } = entry;
    format!(
        "{service}/{backend} {tier} {state}, idle {}, to {source} -> {destination}",
        duration(*idle_seconds)
    )
}

fn headers_text(headers: &PacketHeaders) -> String {
    let PacketHeaders {
        source_mac,
        destination_mac,
        vlans,
        source,
        destination,
        protocol,
        ttl,
        length,
        details,
    } = headers;
    let mut text = format!("{source_mac} -> {destination_mac}");
    vlans.iter().for_each(|vlan| text.push_str(&format!(" vlan {vlan}")));
    if let (Some(source), Some(destination)) = (source, destination) {
        text.push_str(&format!(", {source} -> {destination}"));
    }
    let parts = [
        protocol.clone(),
        details.clone(),
        ttl.map(|ttl| format!("ttl {ttl}")),
        length.map(|length| format!("{length} bytes")),
    ];
    parts.into_iter().flatten().for_each(|part| text.push_str(&format!(", {part}")));
    text
}
