//! Counters and drops.

use std::time::Duration;

use super::table::{Style, Value, number, table, text};
use crate::api::{Drop, InterfaceTraffic, Signals, Stats, Traffic};

/// What the numbers of `lbctl stats` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Figures {
    /// Totals since the maps were made.
    Totals,
    /// Per second.
    Rates,
}

/// `lbctl stats`.
pub(in crate::cli) fn stats(stats: &Stats, figures: Figures, style: Style) -> String {
    let unit = if figures == Figures::Rates { "/S" } else { "" };
    let titles = |names: &[&str], figures: &[&str]| -> Vec<String> {
        let names = names.iter().map(|&name| name.to_owned());
        names.chain(figures.iter().map(|figure| format!("{figure}{unit}"))).collect()
    };
    let traffic = ["PACKETS-IN", "BYTES-IN", "PACKETS-OUT", "BYTES-OUT", "FLOWS"];
    let services = stats.services.iter().map(|row| with_traffic(vec![text(&row.service)], &row.traffic));
    let backends = stats.backends.iter().map(|row| {
        let mut cells = with_traffic(vec![text(&row.service), text(&row.backend)], &row.traffic);
        if style.wide {
            let Signals { syns, syn_acks, syn_resets, unreachable, unreachable_by_routers } = row.signals;
            cells.extend([syns, syn_acks, syn_resets, unreachable + unreachable_by_routers].map(number));
        }
        cells
    });
    let mut of_backends = traffic.to_vec();
    if style.wide {
        of_backends.extend(["SYNS", "SYN-ACKS", "REFUSED", "UNREACHABLE"]);
    }
    let interfaces = stats.interfaces.iter().map(interface_row);
    [
        section(style, &titles(&["SERVICE"], &traffic), services, "no services"),
        section(style, &titles(&["SERVICE", "BACKEND"], &of_backends), backends, "no backends"),
        section(
            style,
            &titles(
                &["INTERFACE"],
                &["RX-PACKETS", "RX-BYTES", "TX-PACKETS", "TX-BYTES", "PASSED", "DROPPED"],
            ),
            interfaces,
            "no interfaces",
        ),
    ]
    .join("\n")
}

fn section(
    style: Style,
    titles: &[String],
    rows: impl IntoIterator<Item = Vec<Value>>,
    none: &str,
) -> String {
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    table(style, &titles, rows, none)
}

fn with_traffic(mut row: Vec<Value>, traffic: &Traffic) -> Vec<Value> {
    let Traffic { packets_in, bytes_in, packets_out, bytes_out, flows } = *traffic;
    row.extend([packets_in, bytes_in, packets_out, bytes_out, flows].map(number));
    row
}

fn interface_row(row: &InterfaceTraffic) -> Vec<Value> {
    let figures = [row.rx_packets, row.rx_bytes, row.tx_packets, row.tx_bytes, row.passed, row.dropped];
    std::iter::once(text(&row.name)).chain(figures.map(number)).collect()
}

/// `lbctl drops`.
pub(in crate::cli) fn drops(drops: &[Drop], style: Style) -> String {
    let row = |drop: &Drop| vec![text(&drop.reason), number(drop.packets), text(&drop.description)];
    table(style, &["REASON", "PACKETS", "MEANING"], drops.iter().map(row), "no reasons")
}

/// What was counted between two samples, per second, rounded to whole numbers. Rows that are only in one of them (added or
/// removed meanwhile) are left out.
pub(in crate::cli) fn rates(first: &Stats, second: &Stats, elapsed: Duration) -> Stats {
    let rate = |before: u64, after: u64| {
        // More than 2^52 in one interval does not happen; the precision is enough.
        (after.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(0.001)).round() as u64
    };
    let traffic = |before: &Traffic, after: &Traffic| Traffic {
        packets_in: rate(before.packets_in, after.packets_in),
        bytes_in: rate(before.bytes_in, after.bytes_in),
        packets_out: rate(before.packets_out, after.packets_out),
        bytes_out: rate(before.bytes_out, after.bytes_out),
        flows: rate(before.flows, after.flows),
    };
    let signals = |before: &Signals, after: &Signals| Signals {
        syns: rate(before.syns, after.syns),
        syn_acks: rate(before.syn_acks, after.syn_acks),
        syn_resets: rate(before.syn_resets, after.syn_resets),
        unreachable: rate(before.unreachable, after.unreachable),
        unreachable_by_routers: rate(before.unreachable_by_routers, after.unreachable_by_routers),
    };
    let mut rates = second.clone();
    rates.services.retain_mut(|row| {
        let before = first.services.iter().find(|before| before.service == row.service);
        before.map(|before| row.traffic = traffic(&before.traffic, &row.traffic)).is_some()
    });
    rates.backends.retain_mut(|row| {
        let same = |before: &&_| same_backend(before, row);
        let before = first.backends.iter().find(same).cloned();
        before
            .map(|before| {
                row.traffic = traffic(&before.traffic, &row.traffic);
                row.signals = signals(&before.signals, &row.signals);
            })
            .is_some()
    });
    rates.interfaces.retain_mut(|row| {
        let before = first.interfaces.iter().find(|before| before.ifindex == row.ifindex);
        before
            .map(|before| {
                row.rx_packets = rate(before.rx_packets, row.rx_packets);
                row.rx_bytes = rate(before.rx_bytes, row.rx_bytes);
                row.tx_packets = rate(before.tx_packets, row.tx_packets);
                row.tx_bytes = rate(before.tx_bytes, row.tx_bytes);
                row.passed = rate(before.passed, row.passed);
                row.dropped = rate(before.dropped, row.dropped);
            })
            .is_some()
    });
    rates
}

fn same_backend(left: &crate::api::BackendStats, right: &crate::api::BackendStats) -> bool {
    left.service == right.service && left.backend == right.backend
}
