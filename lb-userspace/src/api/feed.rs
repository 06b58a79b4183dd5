//! Events as the API shows them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::{Attribute, Batch, Event as Happened, Lost as Loss, Value};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number: greater than that of every event before it, those of earlier runs of `lbd` included.
    pub sequence: u64,
    /// When: RFC 3339, UTC.
    pub time: String,
    /// What it is about.
    pub topic: String,
    /// What happened.
    pub kind: String,
    /// Attributes of this kind, numbers among them as numbers; docs/events.md lists them.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AttributeValue {
    /// A number.
    Number(u64),
    /// A text, or an address.
    Text(String),
}

/// Events that were asked for, and are not there any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// At most so many; left out: not known, as they are of an earlier run of `lbd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
}

/// Events that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// In their order.
    pub events: Vec<Event>,
    /// What is missing before the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// `after` of the next request.
    pub last: u64,
}

impl From<&Happened> for Event {
    fn from(event: &Happened) -> Self {
        let given = event.notice.attributes();
        let own = given.filter(|(attribute, _)| !matches!(attribute, Attribute::Topic | Attribute::Kind));
        Self {
            sequence: event.sequence,
            time: event.at.to_string(),
            topic: event.notice.kind.topic().to_string(),
            kind: event.notice.kind.to_string(),
            attributes: own.map(|(attribute, value)| (attribute.to_string(), value.into())).collect(),
        }
    }
}

impl From<&Value> for AttributeValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Number(number) => Self::Number(*number),
            Value::Text(_) | Value::Address(_) => Self::Text(value.to_string()),
        }
    }
}

impl Lost {
    /// What a batch lost, if anything.
    pub(super) fn before(batch: &Batch) -> Option<Self> {
        match batch.lost {
            Loss::Nothing => None,
            Loss::Wanted(count) | Loss::AtMost(count) => Some(Self { at_most: Some(count) }),
            Loss::Unknown => Some(Self { at_most: None }),
        }
    }
}
