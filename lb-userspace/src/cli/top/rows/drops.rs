//! Dropped packets.

use super::super::{
    meter::Meter,
    state::State,
    table::{Cell, Column, Row, Table, Tone},
};
use crate::api::{Drop, Overview};

const DROPS: &[Column] = &[
    Column::text("REASON", 22, 0),
    Column::number("PKT/S", 7, 0),
    Column::number("PACKETS", 12, 0),
    Column::text("USUAL", 5, 1),
    Column::text("MEANING", 20, 0),
    Column::text("PACKETS DROPPED", 15, 2),
];
/// The column by which the screen is sorted at first.
pub(super) const RATE: usize = 1;

pub(super) fn table(state: &State, seen: &Overview) -> Table {
    let row = |drop: &Drop| {
        let meter = state.meters.drops.get(&drop.reason);
        let rate = meter.and_then(Meter::rate);
        let is_bad = !drop.usual && rate.is_some_and(|rate| rate > 0.0);
        let cells = vec![
            Cell::text(&drop.reason),
            Cell::Rate(rate),
            Cell::Count(drop.packets),
            Cell::text(if drop.usual { "some" } else { "no" }),
            Cell::text(&drop.description),
            Cell::Trend(meter.map(Meter::trend).unwrap_or_default()),
        ];
        Row { key: drop.reason.clone(), tone: if is_bad { Tone::Bad } else { Tone::Good }, cells }
    };
    let none = "nothing was dropped since the maps were made".to_owned();
    Table { columns: DROPS, rows: seen.drops.iter().map(row).collect(), none }
}
