//! Services, backends and interfaces with their traffic.

use std::collections::HashMap;

use super::super::{
    meter::TrafficMeter,
    state::State,
    table::{Cell, Column, Row, Table, Tone},
};
use crate::api::{Backend, BackendFlows, Overview, Service, ServicePool};

const SERVICES: &[Column] = &[
    Column::text("", 1, 0),
    Column::text("SERVICE", 12, 0),
    Column::number("PKT-IN", 6, 0),
    Column::number("BIT-IN", 6, 1),
    Column::number("PKT-OUT", 7, 2),
    Column::number("BIT-OUT", 7, 0),
    Column::number("NEW/S", 6, 0),
    Column::number("ACTIVE", 7, 0),
    Column::number("HEALTHY", 7, 0),
    Column::text("PACKETS IN", 10, 3),
];
const BACKENDS: &[Column] = &[
    Column::text("", 1, 0),
    Column::text("BACKEND", 10, 0),
    Column::text("STATE", 8, 0),
    Column::text("HEALTH", 7, 0),
    Column::number("WEIGHT", 7, 1),
    Column::number("SHARE", 5, 1),
    Column::number("TOOK", 5, 2),
    Column::number("PKT-IN", 6, 0),
    Column::number("BIT-IN", 6, 4),
    Column::number("PKT-OUT", 7, 5),
    Column::number("BIT-OUT", 7, 0),
    Column::number("NEW/S", 6, 0),
    Column::number("ACTIVE", 7, 0),
    Column::text("PACKETS IN", 10, 3),
];
const INTERFACES: &[Column] = &[
    Column::text("INTERFACE", 10, 0),
    Column::number("PKT-RX", 6, 0),
    Column::number("BIT-RX", 6, 0),
    Column::number("PKT-TX", 6, 0),
    Column::number("BIT-TX", 6, 0),
    Column::number("PASSED/S", 8, 0),
    Column::number("DROPPED/S", 9, 0),
    Column::text("PACKETS RECEIVED", 16, 1),
];
/// Columns by which the screens are sorted at first.
pub(super) const SERVICE_PACKETS: usize = 2;
pub(super) const BACKEND_NAME: usize = 1;

pub(super) fn services(state: &State, seen: &Overview) -> Table {
    let unknown = TrafficMeter::default();
    let pools: HashMap<&str, &ServicePool> =
        seen.pools.iter().map(|pool| (pool.service.as_str(), pool)).collect();
    let row = |service: &Service| {
        let meter = state.meters.services.get(&service.name).unwrap_or(&unknown);
        let pool = pools.get(service.name.as_str()).copied().cloned().unwrap_or_default();
        let (mark, tone) = standing(service, &pool);
        let [packets_in, bits_in, packets_out, bits_out, new] = rates(meter);
        let cells = vec![
            Cell::text(mark),
            Cell::text(&service.name),
            packets_in,
            bits_in,
            packets_out,
            bits_out,
            new,
            Cell::Count(pool.established + pool.embryonic),
            healthy(&pool),
            Cell::Trend(meter.packets_in.trend()),
        ];
        Row { key: service.name.clone(), tone, cells }
    };
    let none = "no services; add one: `lbctl service add`, or write it into the configuration";
    Table { columns: SERVICES, rows: seen.services.iter().map(row).collect(), none: none.to_owned() }
}

/// The mark of a service, and how it is doing.
fn standing(service: &Service, pool: &ServicePool) -> (&'static str, Tone) {
    match service.condition.as_str() {
        "panic" => ("!", Tone::Bad),
        _ if pool.healthy == 0 => ("!", Tone::Bad),
        "backup" => ("~", Tone::Odd),
        _ if pool.healthy < pool.wanted => ("~", Tone::Odd),
        _ => ("", Tone::Good),
    }
}

fn healthy(pool: &ServicePool) -> Cell {
    let share = pool.healthy as f64 / pool.backends.max(1) as f64;
    Cell::Ranked(share, format!("{}/{}", pool.healthy, pool.backends))
}

pub(super) fn backends(state: &State, seen: &Overview) -> Table {
    let Some(service) = state.shown_service() else {
        let none = match &state.service {
            Some(name) => format!("there is no service {name}; esc goes back to all of them"),
            None => "no services".to_owned(),
        };
        return Table { columns: BACKENDS, rows: Vec::new(), none };
    };
    let weights: u32 = service.backends.iter().map(|backend| backend.effective_weight).sum();
    let meters = &state.meters.backends;
    let key = |backend: &Backend| (service.name.clone(), backend.name.clone());
    let new = |backend: &Backend| meters.get(&key(backend)).and_then(|meter| meter.flows.rate());
    let all_new: f64 = service.backends.iter().filter_map(new).sum();
    let flows: HashMap<&str, &BackendFlows> = seen
        .flows
        .iter()
        .filter(|row| row.service == service.name)
        .map(|row| (row.backend.as_str(), row))
        .collect();
    let unknown = TrafficMeter::default();
    let row = |backend: &Backend| {
        let meter = meters.get(&key(backend)).unwrap_or(&unknown);
        let active = flows.get(backend.name.as_str()).map_or(0, |row| row.established + row.embryonic);
        let [packets_in, bits_in, packets_out, bits_out, new_flows] = rates(meter);
        let (mark, tone) = mark(backend);
        let cells = vec![
            Cell::text(mark),
            Cell::text(&backend.name),
            Cell::State(backend.effective.clone()),
            Cell::State(backend.health.clone()),
            weight(backend),
            Cell::Share(part(backend.effective_weight.into(), weights.into())),
            Cell::Share(new(backend).and_then(|new| part(new, all_new))),
            packets_in,
            bits_in,
            packets_out,
            bits_out,
            new_flows,
            Cell::Count(active),
            Cell::Trend(meter.packets_in.trend()),
        ];
        Row { key: backend.name.clone(), tone, cells }
    };
    let none = format!("no backends; add one: `lbctl backend add {} NAME ADDRESS:PORT`", service.name);
    Table { columns: BACKENDS, rows: service.backends.iter().map(row).collect(), none }
}

/// The mark of a backend, and how it is doing.
fn mark(backend: &Backend) -> (&'static str, Tone) {
    match (backend.effective.as_str(), backend.health.as_str()) {
        ("down", _) | (_, "down") => ("!", Tone::Bad),
        ("draining" | "disabled", _) => ("~", Tone::Odd),
        _ if backend.suspect.is_some() => ("?", Tone::Odd),
        _ => ("", Tone::Good),
    }
}

fn weight(backend: &Backend) -> Cell {
    let Backend { weight, effective_weight, .. } = backend;
    let text = if u32::from(*weight) == *effective_weight {
        weight.to_string()
    } else {
        format!("{effective_weight}/{weight}")
    };
    Cell::Ranked((*effective_weight).into(), text)
}

pub(super) fn interfaces(state: &State, seen: &Overview) -> Table {
    let unknown = super::super::meter::InterfaceMeter::default();
    let row = |row: &crate::api::InterfaceTraffic| {
        let meter = state.meters.interfaces.get(&row.name).unwrap_or(&unknown);
        let cells = vec![
            Cell::text(&row.name),
            Cell::Rate(meter.rx_packets.rate()),
            Cell::bits(meter.rx_bytes.rate()),
            Cell::Rate(meter.tx_packets.rate()),
            Cell::bits(meter.tx_bytes.rate()),
            Cell::Rate(meter.passed.rate()),
            Cell::Rate(meter.dropped.rate()),
            Cell::Trend(meter.rx_packets.trend()),
        ];
        Row { key: row.name.clone(), tone: Tone::Good, cells }
    };
    let none = "lbd is attached to no interface; `lbctl doctor` finds out why";
    let rows = seen.stats.interfaces.iter().map(row).collect();
    Table { columns: INTERFACES, rows, none: none.to_owned() }
}

fn rates(meter: &TrafficMeter) -> [Cell; 5] {
    [
        Cell::Rate(meter.packets_in.rate()),
        Cell::bits(meter.bytes_in.rate()),
        Cell::Rate(meter.packets_out.rate()),
        Cell::bits(meter.bytes_out.rate()),
        Cell::Rate(meter.flows.rate()),
    ]
}

fn part(part: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| part / all)
}
