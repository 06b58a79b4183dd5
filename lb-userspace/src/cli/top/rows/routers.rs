//! Virtual routers.

use super::super::{
    state::State,
    table::{Cell, Column, Row, Table, Tone},
};
use crate::api::{AttributeValue, Event, Overview, VirtualRouter};

const ROUTERS: &[Column] = &[
    Column::text("ROUTER", 10, 0),
    Column::text("INTERFACE", 9, 2),
    Column::number("ID", 3, 3),
    Column::text("STATE", 10, 0),
    Column::number("PRIORITY", 8, 0),
    Column::text("ACTIVE MACHINE", 15, 0),
    Column::text("SWITCHOVER", 14, 4),
    Column::number("CHANGES", 7, 0),
    Column::text("LAST", 8, 1),
    Column::number("REJECTED", 8, 5),
    Column::text("VIPS", 15, 6),
];

pub(super) fn table(state: &State, seen: &Overview) -> Table {
    let row = |router: &VirtualRouter| {
        let last = state.vrrp.as_ref().and_then(|(_, events)| last_change(events, &router.name));
        let tone = match router.state.as_str() {
            "fault" | "initialize" => Tone::Bad,
            _ if router.switchover.is_some() || router.taking_over => Tone::Odd,
            _ => Tone::Good,
        };
        let cells = vec![
            Cell::text(&router.name),
            Cell::text(&router.interface),
            Cell::Count(router.virtual_router_id.into()),
            Cell::State(router.state.clone()),
            priority(router),
            Cell::text(active_machine(router)),
            Cell::text(router.switchover.as_deref().unwrap_or("-")),
            Cell::Count(router.transitions),
            Cell::text(last.map_or_else(|| "-".to_owned(), |event| clock(&event.time).to_owned())),
            Cell::Count(router.rejected.values().sum()),
            Cell::text(router.virtual_addresses.join(" ")),
        ];
        Row { key: router.name.clone(), tone, cells }
    };
    let none = "no virtual routers: nothing is said of [vrrp] in the configuration".to_owned();
    Table { columns: ROUTERS, rows: seen.virtual_routers.iter().map(row).collect(), none }
}

fn priority(router: &VirtualRouter) -> Cell {
    let VirtualRouter { priority, configured_priority, .. } = router;
    let text = if priority == configured_priority {
        priority.to_string()
    } else {
        format!("{priority}/{configured_priority}")
    };
    Cell::Ranked((*priority).into(), text)
}

fn active_machine(router: &VirtualRouter) -> String {
    match (&router.active_router, router.active_priority) {
        (Some(address), Some(priority)) => format!("{address} ({priority})"),
        (Some(address), None) => address.clone(),
        (None, _) if router.state == "active" => "this one".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

/// The last event that tells of another state of a virtual router.
pub(super) fn last_change<'a>(events: &'a [Event], router: &str) -> Option<&'a Event> {
    let is_it = |event: &&Event| {
        let name = event.attributes.get("router");
        event.kind == "vrrp-state" && name == Some(&AttributeValue::Text(router.to_owned()))
    };
    events.iter().rev().find(is_it)
}

/// The time of the day in a moment such as `2026-11-22T23:10:00.250Z`.
pub(super) fn clock(moment: &str) -> &str {
    let time = moment.split_once('T').map_or(moment, |(_, time)| time);
    time.get(..8).unwrap_or(time)
}
