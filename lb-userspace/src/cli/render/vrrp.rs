//! Virtual routers.

use super::{
    Style,
    table::{number, state, table, text},
};
use crate::api::{Tracked, VirtualRouter};

/// `lbctl vrrp status`.
pub(in crate::cli) fn virtual_routers(routers: &[VirtualRouter], style: Style) -> String {
    let headers = [
        "NAME",
        "INTERFACE",
        "ID",
        "STATE",
        "PRIORITY",
        "ACTIVE",
        "SWITCHOVER",
        "VIPS",
        "CHANGES",
        "REJECTED",
    ];
    let row = |router: &VirtualRouter| {
        let active = match other(router) {
            Some(other) => other,
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
            text(router.switchover.as_deref().unwrap_or("-")),
            text(router.virtual_addresses.join(" ")),
            number(router.transitions),
            number(router.rejected.values().sum::<u64>()),
        ]
    };
    let mut shown = table(style, &headers, routers.iter().map(row), "no virtual routers");
    for router in routers {
        if let Some(mac) = &router.virtual_mac {
            let interface = router.virtual_interface.as_deref().unwrap_or("none: it cannot be made");
            shown.push_str(&format!("{}: virtual MAC address {mac}, interface {interface}\n", router.name));
        }
        for line in tracked(router) {
            shown.push_str(&format!("{}: {line}\n", router.name));
        }
        if router.notify_failures > 0 {
            shown.push_str(&format!("{}: notify failed {} times\n", router.name, router.notify_failures));
        }
    }
    shown
}

/// What a virtual router tracks and goes by at present, a line for each.
pub(in crate::cli) fn tracked(router: &VirtualRouter) -> Vec<String> {
    let tracked = router.tracked.iter().filter(|tracked| counts(tracked));
    tracked.map(|tracked| explanation(tracked, router.configured_priority)).collect()
}

fn counts(tracked: &Tracked) -> bool {
    tracked.fault || tracked.priority != 0 || tracked.state != "up"
}

/// What something tracked is, and does.
fn explanation(tracked: &Tracked, configured: u8) -> String {
    let Tracked { name, state, reason, value, held, fault, priority } = tracked;
    let mut text = format!("{name} is {state}");
    if let Some(value) = value {
        text = format!("{name} says {value}");
    }
    if let Some(reason) = reason {
        text.push_str(&format!(" ({reason})"));
    }
    if *held {
        text.push_str(", and was up too short");
    }
    match (fault, priority) {
        (true, _) => text.push_str(": fault"),
        (false, 0) => {}
        (false, amount) => text.push_str(&format!(": priority {amount:+} (of {configured})")),
    }
    text
}

/// `lbctl vrrp failover` and `release`: a line for each.
pub(in crate::cli) fn switched(routers: &[VirtualRouter]) -> String {
    routers.iter().map(|router| format!("{}: {}\n", router.name, standing(router))).collect()
}

/// Where a router stands after what was wanted of it.
fn standing(router: &VirtualRouter) -> String {
    let state = match other(router) {
        Some(other) => format!("{}, {other} is active", router.state),
        None => router.state.clone(),
    };
    match router.switchover.as_deref() {
        Some("handing-over") => "active until another machine is heard".to_owned(),
        Some("no-successor") => "active, as no other machine took over".to_owned(),
        Some("standby") => format!("{state}; it leaves others active until it is released"),
        Some("standby-forced") => {
            format!("{state}; it does not become active until another machine was, or it is released")
        }
        _ if router.taking_over => format!("{state}; it takes over if it hears no better one"),
        _ => state,
    }
}

/// The other machine that is active, with its priority.
fn other(router: &VirtualRouter) -> Option<String> {
    Some(format!("{} ({})", router.active_router.as_ref()?, router.active_priority?))
}
