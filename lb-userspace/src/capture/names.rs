//! Names of what the data path knows by numbers.

use std::collections::BTreeMap;

/// A name, and the number that the data path has for it.
pub type Known<N> = BTreeMap<N, String>;

/// Names of services, backends and interfaces at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Services by id.
    pub services: Known<u16>,
    /// Backends by id.
    pub backends: Known<u32>,
    /// Interfaces that the program is attached to, by ifindex.
    pub interfaces: Known<u32>,
}

/// A filter names something that is not there.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no {what} {name:?}; expected {expected}")]
pub struct UnknownName {
    /// What it would be.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// What there is.
    pub expected: String,
}

/// Names that a message lists.
const LISTED: usize = 8;

impl UnknownName {
    /// For a name that is none of these.
    pub(super) fn new<N>(what: &'static str, name: &str, known: &Known<N>) -> Self {
        let mut known: Vec<&str> = known.values().map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        let more = known.len().saturating_sub(LISTED);
        let mut expected = match known.len() {
            0 => "one that there is, and there is none".to_owned(),
            _ => format!("one of {}", known[..known.len() - more].join(", ")),
        };
        if more > 0 {
            expected += &format!(" and {more} more");
        }
        Self { what, name: name.to_owned(), expected }
    }
}

impl Names {
    /// A service's name; `#` and its id if it is gone.
    #[must_use]
    pub fn service(&self, id: u16) -> String {
        self.services.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }

    /// A backend's name, likewise.
    #[must_use]
    pub fn backend(&self, id: u32) -> String {
        self.backends.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }

    /// An interface's name, likewise.
    #[must_use]
    pub fn interface(&self, ifindex: u32) -> String {
        self.interfaces.get(&ifindex).cloned().unwrap_or_else(|| format!("#{ifindex}"))
    }
}
