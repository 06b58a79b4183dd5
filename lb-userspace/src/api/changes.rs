//! What the API's JSON of a configuration's changes looks like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change of the configuration: of a backend, of a service outside its backends, or of what is outside the services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `added`, `removed` or `changed`.
    pub kind: String,
    /// The service; none: what is outside the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The backend; none: the service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The keys: of what is new those that are not left out, of what is changed those that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
}

/// A key that has another value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyChange {
    /// The key, such as `weight` or `health.interval`.
    pub key: String,
    /// The value before, as in the file; none: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value after; none: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What a change does to the flows that live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowImpact {
    /// Flows that have not ended.
    pub total: u64,
    /// Of them, those whose next packet goes to another backend: UDP goes on there, a TCP connection is reset by it.
    pub moves: u64,
    /// Those whose ends are both sent a RST.
    pub resets: u64,
    /// Those that nobody serves any more.
    pub ends: u64,
}

/// Answer of `POST /v1/config/apply`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// Whether it was done, or only tried (`dry_run`).
    pub applied: bool,
    /// What is different.
    pub changes: Vec<Change>,
    /// What that does to flows, predicted from those that lived just before.
    pub flows: FlowImpact,
    /// Until when it is to be confirmed, such as `2026-11-22T23:10:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_until: Option<String>,
}
