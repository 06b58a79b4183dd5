//! Flows.

use super::{
    objects::duration,
    table::{Style, Value, number, table, text},
};
use crate::api::{Flow, FlowGroup, FlowTop, FlowTotals, Flows, KilledFlows, TableUse};

/// `lbctl flow list`.
pub(in crate::cli) fn flows(flows: &Flows, style: Style) -> String {
    let header =
        ["SERVICE", "BACKEND", "PROTOCOL", "CLIENT", "VIP", "SOURCE", "DESTINATION", "STATE", "IDLE"];
    let row = |flow: &Flow| {
        vec![
            text(&flow.service),
            text(&flow.backend),
            text(&flow.protocol),
            text(flow.client),
            text(flow.vip),
            text(flow.source),
            text(flow.destination),
            text(&flow.state),
            text(duration(flow.idle_seconds)),
        ]
    };
    let mut out = table(style, &header, flows.flows.iter().map(row), "no flows");
    if flows.truncated {
        out.push_str(&format!("... the first {} only; --limit shows more\n", flows.flows.len()));
    }
    out
}

/// `lbctl flow count`.
pub(in crate::cli) fn flow_totals(totals: &FlowTotals, style: Style) -> String {
    let header = ["SERVICE", "BACKEND", "ESTABLISHED", "EMBRYONIC"];
    let rows = totals.backends.iter().map(|row| {
        vec![text(&row.service), text(&row.backend), number(row.established), number(row.embryonic)]
    });
    let table = table(style, &header, rows, "no backends");
    format!("{table}\n{} flows, {} of them embryonic\n", totals.total, totals.embryonic)
}

/// `lbctl flow top`.
pub(in crate::cli) fn flow_top(top: &FlowTop, style: Style) -> String {
    let mut header = match top.by.as_str() {
        "service" => vec!["SERVICE"],
        "backend" => vec!["SERVICE", "BACKEND"],
        _ => vec!["CLIENT"],
    };
    header.extend(["FLOWS", "SHARE", "ESTABLISHED", "SHARE", "EMBRYONIC", "SHARE"]);
    let row = |group: &FlowGroup| {
        let FlowGroup { client, service, backend, established, embryonic } = group;
        let names = [client, service, backend].into_iter().flatten().map(text);
        let figures = [
            (established + embryonic, top.established + top.embryonic),
            (*established, top.established),
            (*embryonic, top.embryonic),
        ];
        let figures = figures.into_iter().flat_map(|(part, all)| [number(part), share(part, all)]);
        names.chain(figures).collect()
    };
    let mut out = table(style, &header, top.largest.iter().map(row), "no flows");
    let (flows, groups) = (top.established + top.embryonic, top.groups);
    out.push_str(&format!("\n{flows} flows, {} of them embryonic, in {groups} groups\n", top.embryonic));
    if !top.tables.is_empty() {
        let row = |table: &TableUse| {
            let TableUse { table, entries, capacity } = table;
            vec![text(table), number(*entries), number(*capacity), share(*entries, *capacity)]
        };
        let header = ["TABLE", "ENTRIES", "CAPACITY", "FULL"];
        out.push('\n');
        out.push_str(&table(style, &header, top.tables.iter().map(row), ""));
    }
    out
}

/// `lbctl flow kill`.
pub(in crate::cli) fn killed(killed: &KilledFlows) -> String {
    let KilledFlows { dry_run, reset, forgotten } = *killed;
    let verb = if dry_run { "would be" } else { "are" };
    format!("{reset} TCP connections {verb} reset, {forgotten} other flows {verb} forgotten\n")
}

/// A part in percent.
fn share(part: u64, all: u64) -> Value {
    let permille = (u128::from(part) * 1000 + u128::from(all) / 2).checked_div(all.into()).unwrap_or(0);
    Value::right(format!("{}.{} %", permille / 10, permille % 10))
}
