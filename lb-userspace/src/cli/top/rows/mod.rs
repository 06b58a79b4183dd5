//! The rows of each screen, made of what was read.

mod details;
mod drops;
mod flows;
mod routers;
mod traffic;

pub(super) use self::{details::details, flows::picked_by};
use super::{
    screen::Screen,
    state::State,
    table::{Sort, Table},
};

/// The rows of the screen, in no order that matters.
pub(super) fn table(state: &State) -> Table {
    let Some(seen) = &state.overview else {
        return Table { none: "nothing was read yet".to_owned(), ..Table::default() };
    };
    match state.screen {
        Screen::Overview => traffic::services(state, seen),
        Screen::Service => traffic::backends(state, seen),
        Screen::Interfaces => traffic::interfaces(state, seen),
        Screen::Flows => flows::table(state),
        Screen::Drops => drops::table(state, seen),
        Screen::Vrrp => routers::table(state, seen),
    }
}

/// How a screen is sorted until somebody wants it otherwise: what has most comes first.
pub(super) fn default_sort(screen: Screen) -> Sort {
    match screen {
        Screen::Overview => Sort { column: traffic::SERVICE_PACKETS, ascending: false },
        Screen::Service => Sort { column: traffic::BACKEND_NAME, ascending: true },
        Screen::Flows => flow_sort(false),
        Screen::Drops => Sort { column: drops::RATE, ascending: false },
        Screen::Vrrp | Screen::Interfaces => Sort { column: 0, ascending: true },
    }
}

/// The same for flows: groups by their flows, flows by how long nothing was heard of them.
pub(super) fn flow_sort(list: bool) -> Sort {
    if list {
        Sort { column: flows::IDLE, ascending: true }
    } else {
        Sort { column: flows::COUNT, ascending: false }
    }
}
