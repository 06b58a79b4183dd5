//! Virtual routers.

use super::{
    Style,
    table::{number, state, table, text},
};
use crate::api::VirtualRouter;

/// `lbctl vrrp status`.
pub(in crate::cli) fn virtual_routers(routers: &[VirtualRouter], style: Style) -> String {
    let headers = ["NAME", "INTERFACE", "ID", "STATE", "PRIORITY", "ACTIVE", "VIPS", "CHANGES", "REJECTED"];
    let row = |router: &VirtualRouter| {
        let active = match (&router.active_router, router.active_priority) {
            (Some(address), Some(priority)) => format!("{address} ({priority})"),
            _ if router.state == "active" => "this machine".to_owned(),
            _ => "-".to_owned(),
        };
        vec![
            text(&router.name),
            text(&router.interface),
            number(router.virtual_router_id.into()),
            state(&router.state),
            number(router.priority.into()),
            text(active),
            text(router.virtual_addresses.join(" ")),
            number(router.transitions),
            number(router.rejected.values().sum::<u64>()),
        ]
    };
    table(style, &headers, routers.iter().map(row), "no virtual routers")
}
