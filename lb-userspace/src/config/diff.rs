//! Where two configurations differ, in the words of the file.

use std::collections::BTreeMap;

use toml_edit::Value;

use super::render::{self, Entry, same};
use crate::model::{Backend, BackendName, Draft, HealthCheck, Service, ServiceName};

/// What happens to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// Some of its keys have other values.
    Changed,
}

impl ChangeKind {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// A change of a backend, of a service outside its backends, or of what is outside the services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happens.
    pub kind: ChangeKind,
    /// The service; `None`: what is outside the services.
    pub service: Option<ServiceName>,
    /// The backend; `None`: the service itself.
    pub backend: Option<BackendName>,
    /// The keys: of what is new those that are not left out, of what is changed those that differ.
    pub keys: Vec<KeyChange>,
}

/// A key that has another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key, such as `weight` or `health.interval`.
    pub key: String,
    /// The value before, as in the file; `None`: there was none.
    pub from: Option<String>,
    /// The value after; `None`: there is none.
    pub to: Option<String>,
}

/// What leads from one configuration to another. An order of services or backends that differs is no change.
#[must_use]
pub fn diff(old: &Draft, new: &Draft) -> Vec<Change> {
    let mut changes = Vec::new();
    let keys = compare("", &render::top(old), &render::top(new));
    if !keys.is_empty() {
        changes.push(Change { kind: ChangeKind::Changed, service: None, backend: None, keys });
    }
    let by_name = |draft: &Draft| -> BTreeMap<ServiceName, crate::model::Shared<Service>> {
        draft.services.iter().map(|service| (service.name.clone(), service.clone())).collect()
    };
    let (before, after) = (by_name(old), by_name(new));
    for service in &old.services {
        match after.get(&service.name) {
            None => changes.push(of_service(ChangeKind::Removed, service, Vec::new())),
            Some(after) if service != after => change_service(service, after, &mut changes),
            Some(_) => {}
        }
    }
    for service in new.services.iter().filter(|service| !before.contains_key(&service.name)) {
        let mut keys = compare("", &[], &render::new_service(service));
        keys.extend(health(None, service.health.as_ref()));
        changes.push(of_service(ChangeKind::Added, service, keys));
        changes.extend(service.backends.iter().map(|backend| added(service, backend)));
    }
    changes
}

fn change_service(old: &Service, new: &Service, changes: &mut Vec<Change>) {
    let mut keys = compare("", &render::service(old), &render::service(new));
    keys.extend(health(old.health.as_ref(), new.health.as_ref()));
    if !keys.is_empty() {
        changes.push(of_service(ChangeKind::Changed, new, keys));
    }
    for backend in &old.backends {
        let keys = match new.backend(&backend.name) {
            None => {
                changes.push(of_backend(ChangeKind::Removed, new, backend, Vec::new()));
                continue;
            }
            Some(after) => compare("", &render::backend(backend), &render::backend(after)),
        };
        if !keys.is_empty() {
            changes.push(of_backend(ChangeKind::Changed, new, backend, keys));
        }
    }
    let fresh = new.backends.iter().filter(|backend| old.backend(&backend.name).is_none());
    changes.extend(fresh.map(|backend| added(new, backend)));
}

fn added(service: &Service, backend: &Backend) -> Change {
    let keys = compare("", &[], &render::new_backend(backend, service.port));
    of_backend(ChangeKind::Added, service, backend, keys)
}

fn health(old: Option<&HealthCheck>, new: Option<&HealthCheck>) -> Vec<KeyChange> {
    let entries = |check: Option<&HealthCheck>| check.map(render::health).unwrap_or_default();
    compare("health.", &entries(old), &entries(new))
}

fn of_service(kind: ChangeKind, service: &Service, keys: Vec<KeyChange>) -> Change {
    Change { kind, service: Some(service.name.clone()), backend: None, keys }
}

fn of_backend(kind: ChangeKind, service: &Service, backend: &Backend, keys: Vec<KeyChange>) -> Change {
    Change { kind, service: Some(service.name.clone()), backend: Some(backend.name.clone()), keys }
}

/// The keys whose values differ. What one of the lists lacks has no value there.
fn compare(prefix: &str, old: &[Entry], new: &[Entry]) -> Vec<KeyChange> {
    let value = |list: &'_ [Entry], key: &[&str]| -> Option<Value> {
        list.iter().find(|entry| entry.0 == key).and_then(|entry| entry.1.clone())
    };
    let keys = old.iter().chain(new.iter().filter(|entry| old.iter().all(|other| other.0 != entry.0)));
    let changed = keys.filter_map(|(key, _)| {
        let (from, to) = (value(old, key), value(new, key));
        let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
        let key = format!("{prefix}{}", key.join("."));
        (!same(&from, &to)).then(|| KeyChange { key, from: text(&from), to: text(&to) })
    });
    changed.filter(|change| change.key != "name").collect()
}
