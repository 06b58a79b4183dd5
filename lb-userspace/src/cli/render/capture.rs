//! Packets that were captured, a line each.

use super::table::{Style, number, table, text};
use crate::api::{CaptureList, CapturedPacket, PacketHeaders};

/// A packet with what became of it.
pub(in crate::cli) fn captured(packet: &CapturedPacket) -> String {
    // The time of day, to the microsecond.
    let time = packet.time.split_once('T').map_or(packet.time.as_str(), |(_, time)| time);
    let time = time.get(..15).unwrap_or(time);
    let arrived = packet.arrived.as_ref().map_or_else(|| "not copied".to_owned(), ends);
    let whose: Vec<&str> =
        [&packet.service, &packet.backend].into_iter().flatten().map(String::as_str).collect();
    let whose =
        if whose.is_empty() { String::new() } else { format!(" [{}, {}]", whose.join(" "), packet.flow) };
    let (egress, reason) = (packet.egress.as_deref().unwrap_or("?"), packet.reason.as_deref());
    let left = packet.left.as_ref().map(ends).unwrap_or_default();
    let fate = match (packet.verdict.as_str(), reason) {
        ("pass", _) => "to the host".to_owned(),
        ("drop", reason) => format!("dropped: {}", reason.unwrap_or("no reason")),
        (_, Some(reason)) => format!("dropped: {reason}; its sender is told: {left}"),
        _ => format!("{egress} {left}"),
    };
    format!("{time} {} {arrived} length {} => {fate}{whose}\n", packet.ingress, packet.length)
}

/// The captures under way.
pub(in crate::cli) fn captures(list: &CaptureList, style: Style) -> String {
    let rows = list.captures.iter().map(|one| {
        vec![
            number(one.capture),
            number(one.seconds),
            number(one.looked_at),
            number(one.wanted),
            number(one.snap.into()),
            text(&one.filter),
        ]
    });
    table(style, &["CAPTURE", "SECONDS", "LOOKED AT", "WANTED", "SNAP", "FILTER"], rows, "no captures")
}

fn ends(headers: &PacketHeaders) -> String {
    let (Some(source), Some(destination)) = (&headers.source, &headers.destination) else {
        return format!("{} > {}", headers.source_mac, headers.destination_mac);
    };
    let mut text = format!("{source} > {destination}");
    for part in [&headers.protocol, &headers.details].into_iter().flatten() {
        text += &format!(" {part}");
    }
    for vlan in &headers.vlans {
        text += &format!(" vlan {vlan}");
    }
    text
}
