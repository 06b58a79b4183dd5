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

/// `lbctl drops`; `rates` are per second, in tenths.
pub(in crate::cli) fn drops(drops: &[Drop], rates: Option<&[u64]>, style: Style) -> String {
    let mut header = vec!["REASON", "PACKETS"];
    header.extend(rates.map(|_| "PACKETS/S"));
    header.push("MEANING");
    if style.wide {
        header.push("LIKELY CAUSE");
        header.push("LOOK FURTHER");
    }
    let row = |(index, drop): (usize, &Drop)| {
        let mut row = vec![text(&drop.reason), number(drop.packets)];
        let rate = rates.map(|rates| rates.get(index).copied().unwrap_or_default());
        row.extend(rate.map(|rate| Value::right(format!("{}.{}", rate / 10, rate % 10))));
        row.push(text(&drop.description));
        if style.wide {
            row.push(text(drop.causes.first().map_or("-", String::as_str)));
            row.push(text(drop.look.first().map_or("-", String::as_str)));
        }
        row
    };
    table(style, &header, drops.iter().enumerate().map(row), "no reasons")
}

/// `lbctl drops --explain`, of all that are given (`all`) or of those that were counted.
pub(in crate::cli) fn explained_drops(drops: &[Drop], all: bool) -> String {
    let shown: Vec<String> =
        drops.iter().filter(|drop| all || drop.packets > 0).map(|drop| explained_drop(drop, true)).collect();
    if shown.is_empty() { "nothing was dropped\n".to_owned() } else { shown.join("\n") }
}

/// What is behind a reason.
pub(super) fn explained_drop(drop: &Drop, counted: bool) -> String {
    let Drop { reason, packets, description, usual, causes, look } = drop;
    let mut out = if counted { format!("{reason}: {packets} packets\n") } else { format!("{reason}\n") };
    let usual = if *usual { " Some of these are usual." } else { "" };
    out.push_str(&format!("  {description}{usual}\n  likely causes:\n"));
    causes.iter().for_each(|cause| out.push_str(&format!("    - {cause}\n")));
    out.push_str("  look further:\n");
    look.iter().for_each(|command| out.push_str(&format!("    {command}\n")));
    out
}

/// Drops per second, in tenths, since others that are so much older; in the order of `after`.
pub(in crate::cli) fn drop_rates(before: &[Drop], after: &[Drop], elapsed: Duration) -> Vec<u64> {
    let rate = |drop: &Drop| {
        let known = before.iter().find(|before| before.reason == drop.reason);
        let more = drop.packets.saturating_sub(known.map_or(drop.packets, |before| before.packets));
        more.saturating_mul(10_000) / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1)
    };
    after.iter().map(rate).collect()
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
