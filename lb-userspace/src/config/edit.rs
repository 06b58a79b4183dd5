//! Brings a document to a configuration and leaves the rest of the text alone.

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::render::{self, Entry, same};
use crate::model::{Backend, Draft, HealthCheck, Service};

/// Changes a document that means `old` into one that means `new`. Services and backends that stay keep their order.
pub(super) fn update(document: &mut DocumentMut, old: &Draft, new: &Draft) {
    let root = document.as_table_mut();
    change(root, &render::top(old), &render::top(new));
    if old.vrrp != new.vrrp
        && let Some(routers) = root.remove("vrrp")
    {
        // As people write it: [[vrrp]].
        root.insert("vrrp", routers.into_array_of_tables().map_or_else(|list| list, Item::ArrayOfTables));
    }
    if old.services == new.services {
        return;
    }
    let services = root.entry("services").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    for (index, before) in old.services.iter().enumerate().rev() {
        match new.service(&before.name) {
            None => remove(services, index),
            Some(after) if before != after => {
                if let Some(table) = table_at(services, index) {
                    change_service(table, before, after);
                }
            }
            Some(_) => {}
        }
    }
    for service in new.services.iter().filter(|service| old.service(&service.name).is_none()) {
        push(services, new_service(service));
    }
}

fn change_service(table: &mut dyn TableLike, old: &Service, new: &Service) {
    change(table, &render::service(old), &render::service(new));
    change_health(table, old.health.as_ref(), new.health.as_ref());
    if old.port != new.port {
        // Backends without a port have the service's.
        set_ports(table, old);
    }
    if old.backends == new.backends {
        return;
    }
    if table.get("backends").is_none() {
        table.insert("backends", Item::ArrayOfTables(ArrayOfTables::new()));
    }
    let Some(backends) = table.get_mut("backends") else { return };
    for (index, before) in old.backends.iter().enumerate().rev() {
        match new.backend(&before.name) {
            None => remove(backends, index),
            Some(after) => {
                if let Some(table) = table_at(backends, index) {
                    change(table, &render::backend(before), &render::backend(after));
                }
            }
        }
    }
    for backend in new.backends.iter().filter(|backend| old.backend(&backend.name).is_none()) {
        push(backends, new_backend(backend, new.port));
    }
}

fn change_health(table: &mut dyn TableLike, old: Option<&HealthCheck>, new: Option<&HealthCheck>) {
    match (old, new) {
        (Some(_), None) => drop(table.remove("health")),
        (None, Some(new)) => drop(table.insert("health", Item::Table(filled(render::new_health(new))))),
        (Some(old), Some(new)) => {
            if let Some(health) = table.get_mut("health").and_then(Item::as_table_like_mut) {
                change(health, &render::health(old), &render::health(new));
            }
        }
        (None, None) => {}
    }
}

fn set_ports(table: &mut dyn TableLike, service: &Service) {
    let Some(backends) = table.get_mut("backends") else { return };
    for (index, backend) in service.backends.iter().enumerate() {
        if let Some(table) = table_at(backends, index) {
            set(table, "port", i64::from(backend.port).into());
        }
    }
}

fn new_service(service: &Service) -> Table {
    let mut table = filled(render::new_service(service));
    if let Some(check) = &service.health {
        table.insert("health", Item::Table(filled(render::new_health(check))));
    }
    if !service.backends.is_empty() {
        let backends = service.backends.iter().map(|backend| new_backend(backend, service.port));
        table.insert("backends", Item::ArrayOfTables(backends.collect()));
    }
    table
}

fn new_backend(backend: &Backend, service_port: u16) -> Table {
    filled(render::new_backend(backend, service_port))
}

fn filled(entries: Vec<Entry>) -> Table {
    let mut table = Table::new();
    for (key, value) in entries {
        if let Some(value) = value {
            set(&mut table, key[0], value);
        }
    }
    table
}

/// Sets and removes the keys whose value is another.
fn change(table: &mut dyn TableLike, old: &[Entry], new: &[Entry]) {
    for ((key, before), (_, after)) in old.iter().zip(new) {
        if same(before, after) {
            continue;
        }
        match (key, after) {
            ([key], Some(after)) => set(table, key, after.clone()),
            ([key], None) => drop(table.remove(key)),
            ([outer, key], after) => {
                if table.get(outer).is_none() {
                    table.insert(outer, Item::Table(Table::new()));
                }
                let Some(inner) = table.get_mut(outer).and_then(Item::as_table_like_mut) else { continue };
                match after {
                    Some(after) => set(inner, key, after.clone()),
                    None => drop(inner.remove(key)),
                }
            }
            _ => {}
        }
    }
}

/// Sets a key; the space and comments around the old value stay.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            value.decor_mut().clone_from(old.decor());
            *old = value;
        }
        _ => {
            take_over_space(table, &mut value);
            table.insert(key, Item::Value(value));
        }
    }
}

/// Between the last value and the brace of `{ a = 1 }` is space that belongs behind what becomes the last value.
fn take_over_space(table: &mut dyn TableLike, value: &mut Value) {
    let Some((_, Item::Value(last))) = table.iter_mut().last() else { return };
    let space = last.decor().suffix().and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    if !space.is_empty() && space.trim().is_empty() {
        last.decor_mut().set_suffix("");
        value.decor_mut().set_suffix(space);
    }
}

/// Element `index` of a list of tables in either notation.
fn table_at(list: &mut Item, index: usize) -> Option<&mut dyn TableLike> {
    match list {
        Item::ArrayOfTables(tables) => tables.get_mut(index).map(|table| table as &mut dyn TableLike),
        Item::Value(Value::Array(array)) => {
            array.get_mut(index)?.as_inline_table_mut().map(|table| table as &mut dyn TableLike)
        }
        _ => None,
    }
}

fn remove(list: &mut Item, index: usize) {
    match list {
        Item::ArrayOfTables(tables) => drop(tables.remove(index)),
        Item::Value(Value::Array(array)) => drop(array.remove(index)),
        _ => {}
    }
}

fn push(list: &mut Item, table: Table) {
    match list {
        Item::ArrayOfTables(tables) => tables.push(table),
        Item::Value(Value::Array(array)) => {
            let mut inline: InlineTable = table.into_inline_table();
            inline.fmt();
            let mut value = Value::InlineTable(inline);
            // On a line of its own if the others are.
            let last = array.len().checked_sub(1).and_then(|last| array.get_mut(last));
            if let Some(last) = last {
                let text = |raw: Option<&toml_edit::RawString>| {
                    raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned()
                };
                let (prefix, suffix) = (text(last.decor().prefix()), text(last.decor().suffix()));
                let indent = prefix.rfind('\n').map_or("", |at| &prefix[at..]);
                value.decor_mut().set_prefix(if indent.is_empty() { " " } else { indent });
                if suffix.trim().is_empty() {
                    last.decor_mut().set_suffix("");
                    value.decor_mut().set_suffix(suffix);
                }
            }
            array.push_formatted(value);
        }
        _ => {}
    }
}
