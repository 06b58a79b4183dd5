//! The keys of `[services.health]` that belong to some types of probes, as a flat table.

use std::collections::BTreeMap;

use super::ProbeType::{self, Dns, Grpc, Http, Https, Script, Udp};

/// What a key's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A list of strings.
    List,
}

/// A key that belongs to some types of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeKey {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// The types it belongs to.
    pub types: &'static [ProbeType],
}

const fn key(name: &'static str, form: Form, types: &'static [ProbeType]) -> ProbeKey {
    ProbeKey { name, form, types }
}

/// Every key that belongs to some types only, in the order of the documentation.
pub const PROBE_KEYS: [ProbeKey; 27] = [
    key("method", Form::Text, &[Http, Https]),
    key("path", Form::Text, &[Http, Https]),
    key("host", Form::Text, &[Http, Https, Grpc]),
    key("expect_status", Form::Text, &[Http, Https]),
    key("expect_body", Form::Text, &[Http, Https]),
    key("expect_body_regex", Form::Text, &[Http, Https]),
    key("follow_redirects", Form::Flag, &[Http, Https]),
    key("grpc_service", Form::Text, &[Grpc]),
    key("tls", Form::Flag, &[Grpc]),
    key("tls_server_name", Form::Text, &[Https, Grpc]),
    key("tls_ca_file", Form::Text, &[Https, Grpc]),
    key("tls_cert_file", Form::Text, &[Https, Grpc]),
    key("tls_key_file", Form::Text, &[Https, Grpc]),
    key("tls_verify", Form::Flag, &[Https, Grpc]),
    key("query_name", Form::Text, &[Dns]),
    key("query_type", Form::Text, &[Dns]),
    key("expect_rcode", Form::Text, &[Dns]),
    key("expect_answer", Form::Text, &[Dns]),
    key("transport", Form::Text, &[Dns]),
    key("send", Form::Text, &[Udp]),
    key("send_hex", Form::Text, &[Udp]),
    key("expect", Form::Text, &[Udp]),
    key("expect_hex", Form::Text, &[Udp]),
    key("expect_regex", Form::Text, &[Udp]),
    key("script", Form::Text, &[Script]),
    key("args", Form::List, &[Script]),
    key("user", Form::Text, &[Script]),
];

/// A value, in the form of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A string.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A list of strings.
    List(Vec<String>),
}

/// Values of [`PROBE_KEYS`], those that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSettings(BTreeMap<&'static str, Setting>);

impl ProbeSettings {
    /// Sets a key. A name that is not in [`PROBE_KEYS`], or a value of another form, is a defect of the caller and ignored.
    pub fn set(&mut self, name: &str, value: Option<Setting>) {
        let Some(key) = PROBE_KEYS.iter().find(|key| key.name == name) else { return };
        let fits = |value: &Setting| {
            matches!(
                (key.form, value),
                (Form::Text, Setting::Text(_))
                    | (Form::Flag, Setting::Flag(_))
                    | (Form::List, Setting::List(_))
            )
        };
        match value.filter(fits) {
            Some(value) => drop(self.0.insert(key.name, value)),
            None => drop(self.0.remove(key.name)),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// The value of a key that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Setting::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key that is `true` or `false`.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Setting::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The value of a key that is a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&[String]> {
        match self.0.get(name)? {
            Setting::List(list) => Some(list),
            _ => None,
        }
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and those of `other` instead where it has a value; an empty text removes the key. Of keys that exclude each other, a value in `other` drops the
    /// ones that were here.
    #[must_use]
    pub fn overlaid(mut self, other: &Self) -> Self {
        for group in EXCLUSIVE {
            if group.iter().any(|key| other.0.contains_key(key)) {
                self.0.retain(|key, _| !group.contains(key));
            }
        }
        self.0.extend(other.0.iter().map(|(key, value)| (*key, value.clone())));
        // An empty datagram is one.
        let is_value = |name: &str| matches!(name, "send" | "send_hex");
        self.0
            .retain(|name, value| is_value(name) || !matches!(value, Setting::Text(text) if text.is_empty()));
        self
    }

    /// Those that belong to a type.
    #[must_use]
    pub fn of_type(mut self, probe_type: ProbeType) -> Self {
        self.0.retain(|name, _| {
            PROBE_KEYS.iter().any(|key| key.name == *name && key.types.contains(&probe_type))
        });
        self
    }

    /// Keys with a value that belong to other types.
    pub(super) fn foreign_to(
        &self,
        probe_type: ProbeType,
    ) -> impl Iterator<Item = (&'static ProbeKey, &Setting)> {
        PROBE_KEYS
            .iter()
            .filter(move |key| !key.types.contains(&probe_type))
            .filter_map(|key| Some((key, self.0.get(key.name)?)))
    }
}

/// Keys of which at most one can be given.
pub(super) const EXCLUSIVE: [&[&str]; 3] =
    [&["expect_body", "expect_body_regex"], &["send", "send_hex"], &["expect", "expect_hex", "expect_regex"]];
