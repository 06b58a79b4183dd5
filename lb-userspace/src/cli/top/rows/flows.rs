//! Flows, and groups of them.

use super::super::{
    state::State,
    table::{Cell, Column, Row, Table, Tone},
};
use crate::{
    api::{Flow, FlowGroup, TopBy},
    cli::render,
};

const GROUPS: &[Column] = &[
    Column::text("WHO", 30, 0),
    Column::number("FLOWS", 9, 0),
    Column::number("SHARE", 6, 0),
    Column::number("ANSWERED", 9, 0),
    Column::number("EMBRYONIC", 9, 0),
];
const FLOWS: &[Column] = &[
    Column::text("CLIENT", 21, 0),
    Column::text("VIP", 18, 1),
    Column::text("SERVICE", 10, 2),
    Column::text("BACKEND", 10, 0),
    Column::text("PROTO", 5, 4),
    Column::text("STATE", 11, 0),
    Column::number("IDLE", 7, 0),
    Column::text("SOURCE", 21, 5),
    Column::text("DESTINATION", 21, 3),
];
/// Columns by which the screens are sorted at first.
pub(super) const COUNT: usize = 1;
pub(super) const IDLE: usize = 6;
/// Between the names of a service and a backend.
const SLASH: &str = "/";

pub(super) fn table(state: &State) -> Table {
    if state.query.list { list(state) } else { groups(state) }
}

fn groups(state: &State) -> Table {
    let Some(top) = &state.top else { return reading(state, GROUPS) };
    let all = top.established + top.embryonic;
    let row = |group: &FlowGroup| {
        let flows = group.established + group.embryonic;
        let key = who(group);
        let cells = vec![
            Cell::text(&key),
            Cell::Count(flows),
            Cell::Share((all > 0).then(|| flows as f64 / all as f64)),
            Cell::Count(group.established),
            Cell::Count(group.embryonic),
        ];
        Row { key, tone: Tone::Good, cells }
    };
    Table { columns: GROUPS, rows: top.largest.iter().map(row).collect(), none: none(state) }
}

fn who(group: &FlowGroup) -> String {
    let names = [&group.client, &group.service, &group.backend];
    names.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(SLASH)
}

fn list(state: &State) -> Table {
    let Some(flows) = &state.flows else { return reading(state, FLOWS) };
    let row = |flow: &Flow| {
        let cells = vec![
            Cell::text(flow.client.to_string()),
            Cell::text(flow.vip.to_string()),
            Cell::text(&flow.service),
            Cell::text(&flow.backend),
            Cell::text(&flow.protocol),
            Cell::State(flow.state.clone()),
            Cell::Ranked(flow.idle_seconds as f64, render::duration(flow.idle_seconds)),
            Cell::text(flow.source.to_string()),
            Cell::text(flow.destination.to_string()),
        ];
        Row { key: format!("{} {} {}", flow.protocol, flow.client, flow.vip), tone: Tone::Good, cells }
    };
    Table { columns: FLOWS, rows: flows.flows.iter().map(row).collect(), none: none(state) }
}

fn reading(state: &State, columns: &'static [Column]) -> Table {
    let none = state.refusal.clone().unwrap_or_else(|| "flows are read".to_owned());
    Table { columns, rows: Vec::new(), none }
}

fn none(state: &State) -> String {
    let filter = state.filter_text();
    if filter.is_empty() { "no flows".to_owned() } else { format!("no flows of {filter}") }
}

/// What picks the flows of a group.
pub(in crate::cli::top) fn picked_by(state: &State, key: &str) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match state.query.by {
        TopBy::Client | TopBy::ClientPrefix => vec![pair("client", key)],
        TopBy::Service => vec![pair("service", key)],
        TopBy::Backend => {
            let (service, backend) = key.split_once(SLASH).unwrap_or((key, ""));
            vec![pair("service", service), pair("backend", backend)]
        }
    }
}
