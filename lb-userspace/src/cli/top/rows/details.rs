//! What there is to say of the row that is marked, and of the screen as a whole.

use super::{
    super::{screen::Screen, state::State},
    routers,
};
use crate::{
    api::{Backend, Drop, Overview, Replication, Service, VirtualRouter},
    cli::render,
};

/// Events that are shown.
const EVENTS: usize = 6;

/// Lines about the row of a key.
pub(in crate::cli::top) fn details(state: &State, key: Option<&str>) -> Vec<String> {
    let Some(seen) = &state.overview else { return Vec::new() };
    match state.screen {
        Screen::Overview => {
            one(&seen.services, |service| Some(service.name.as_str()) == key, |it| of_service(seen, it))
        }
        Screen::Service => {
            let mut lines: Vec<String> =
                state.shown_service().map(|service| service_line(seen, service)).into_iter().collect();
            let backends =
                state.shown_service().map(|service| service.backends.as_slice()).unwrap_or_default();
            lines.extend(one(backends, |backend| Some(backend.name.as_str()) == key, of_backend));
            lines
        }
        Screen::Flows => of_flows(state),
        Screen::Drops => one(&seen.drops, |drop| Some(drop.reason.as_str()) == key, of_drop),
        Screen::Vrrp => {
            let mut lines = one(
                &seen.virtual_routers,
                |router| Some(router.name.as_str()) == key,
                |it| of_router(state, it),
            );
            lines.extend(state.vrrp.iter().flat_map(|(replication, _)| of_replication(replication)));
            lines.extend(events(state));
            lines
        }
        Screen::Interfaces => Vec::new(),
    }
}

fn one<T>(all: &[T], is_it: impl Fn(&T) -> bool, lines: impl Fn(&T) -> Vec<String>) -> Vec<String> {
    all.iter().find(|it| is_it(it)).map(lines).unwrap_or_default()
}

fn of_service(seen: &Overview, service: &Service) -> Vec<String> {
    vec![service_line(seen, service)]
}

fn service_line(seen: &Overview, service: &Service) -> String {
    let Service { name, address, port, protocol, mode, algorithm, condition, .. } = service;
    let endpoint = match port {
        0 => format!("{address}, every port"),
        port => std::net::SocketAddr::new(*address, *port).to_string(),
    };
    let mut line = format!("{name}: {endpoint} {protocol}, {mode}, {algorithm}");
    if let Some(pool) = seen.pools.iter().find(|pool| pool.service == *name) {
        let (healthy, wanted, backends) = (pool.healthy, pool.wanted, pool.backends);
        line.push_str(&format!("; {healthy} of {wanted} healthy, {backends} in all"));
        if pool.embryonic > 0 {
            line.push_str(&format!("; {} flows without an answer yet", pool.embryonic));
        }
    }
    match condition.as_str() {
        "panic" => line.push_str("; PANIC: so few are healthy that all are used"),
        "backup" => line.push_str("; too few are healthy: backups are used"),
        _ => {}
    }
    if let (Some(most), Some(connections)) = (service.max_connections, service.connections) {
        line.push_str(&format!("; {connections} of {most} connections"));
    }
    line
}

fn of_backend(backend: &Backend) -> Vec<String> {
    let Backend { name, address, port, .. } = backend;
    let mut line = match port {
        0 => format!("{name}: {address}"),
        port => format!("{name}: {}", std::net::SocketAddr::new(*address, *port)),
    };
    let note = render::note(backend);
    match (&note, backend.since_seconds) {
        (Some(note), _) => line.push_str(&format!("; {note}")),
        (None, Some(seconds)) => {
            line.push_str(&format!("; {} for {}", backend.health, render::duration(seconds)));
        }
        (None, None) => {}
    }
    if let Some(drain) = &backend.drain {
        let flows = drain
            .flows
            .map_or_else(|| "flows not counted yet".to_owned(), |flows| format!("{flows} flows left"));
        line.push_str(&format!("; draining, {flows}"));
        if let Some(until) = &drain.until {
            line.push_str(&format!(", until {until}"));
        }
    }
    vec![line]
}

fn of_flows(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(refusal) = &state.refusal {
        lines.push(refusal.clone());
    }
    if state.query.list {
        if let Some(flows) = state.flows.as_ref().filter(|flows| flows.truncated) {
            lines.push(format!("the first {} only; / picks others", flows.flows.len()));
        }
    } else if let Some(top) = &state.top {
        let flows = top.established + top.embryonic;
        lines.push(format!(
            "{flows} flows, {} of them without an answer yet, in {} groups",
            top.embryonic, top.groups
        ));
        let full = |table: &crate::api::TableUse| {
            let percent = table.entries as f64 * 100.0 / table.capacity.max(1) as f64;
            format!("{} {percent:.1} %", table.table)
        };
        let tables: Vec<String> = top.tables.iter().map(full).collect();
        if !tables.is_empty() {
            lines.push(format!("full: {}", tables.join(", ")));
        }
    }
    lines
}

fn of_drop(drop: &Drop) -> Vec<String> {
    let usual = if drop.usual { " Some of these are usual." } else { "" };
    let mut lines = vec![format!("{}: {}{usual}", drop.reason, drop.description)];
    lines.extend(drop.causes.iter().map(|cause| format!("- {cause}")));
    lines.extend(drop.look.iter().map(|command| format!("look further: {command}")));
    lines
}

fn of_router(state: &State, router: &VirtualRouter) -> Vec<String> {
    let mut first = format!("{}: {}", router.name, router.virtual_addresses.join(" "));
    if router.taking_over {
        first.push_str("; takes over if it hears no better one");
    }
    if router.notify_failures > 0 {
        first.push_str(&format!("; notify failed {} times", router.notify_failures));
    }
    let mut lines = vec![first];
    if let Some(event) =
        state.vrrp.as_ref().and_then(|(_, events)| routers::last_change(events, &router.name))
    {
        lines.push(format!("last change: {}", render::event(event).trim_end()));
    }
    lines.extend(render::tracked(router));
    if !router.rejected.is_empty() {
        let reasons = router.rejected.iter().map(|(reason, packets)| format!("{reason} {packets}"));
        lines.push(format!("rejected: {}", reasons.collect::<Vec<_>>().join(", ")));
    }
    lines
}

fn of_replication(status: &Replication) -> Vec<String> {
    if status.state == "off" {
        return vec!["replication: off, there is no [replication] in the configuration".to_owned()];
    }
    let Replication { state, waiting, flows_sent, flows_received, flows_stored, flows_lost, .. } = status;
    let peer = status.peer.as_deref().unwrap_or("nobody yet");
    let has = if status.peer_synced { "has all flows" } else { "does not have all flows" };
    let lag = status.lag_seconds * 1e3;
    let unknown = status.flows_unknown_service + status.flows_unknown_backend;
    vec![
        format!("replication: {state} with {peer}, which {has}; lag {lag:.0} ms, {waiting} wait"),
        format!(
            "  flows sent {flows_sent}, received {flows_received}, stored {flows_stored}, unknown {unknown}, lost {flows_lost}, rejected packets {}",
            status.rejected.values().sum::<u64>()
        ),
    ]
}

fn events(state: &State) -> Vec<String> {
    let Some((_, events)) = &state.vrrp else { return Vec::new() };
    let last = events.iter().rev().take(EVENTS);
    last.map(|event| render::event(event).trim_end().to_owned()).collect()
}
