//! Schemas of texts that become model types: they say in the OpenAPI document what [`super::convert`] accepts.
//!
//! A field of a JSON type names one of these by `#[schemars(with = "Word<Mode>")]`.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::Keyword;

/// One of a set of words.
pub(super) struct Word<T>(PhantomData<T>);

impl<T: Keyword> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = T::ALL.iter().map(|value| value.as_str()).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

macro_rules! text {
    ($(#[doc = $doc:literal])+ $type:ident $schema:tt) => {
        $(#[doc = $doc])+
        pub(super) struct $type;

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text! {
    /// The name of a service or a backend.
    Name {"type": "string", "pattern": "^[a-zA-Z0-9._-]{1,63}$"}
}
text! {
    /// An address without a prefix length.
    Address {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "examples": ["203.0.113.10", "2001:db8::10"]}
}
text! {
    /// An address, or a network.
    Network {
        "type": "string",
        "anyOf": [
            {"format": "ipv4"},
            {"format": "ipv6"},
            {"pattern": "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])$"},
            {"pattern": "^([0-9a-f]{1,4}:){1,6}:/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"}
        ],
        "examples": ["198.51.100.7", "198.51.100.0/24", "2001:db8::/48"]
    }
}
text! {
    /// An address with a port.
    Endpoint {"type": "string", "examples": ["203.0.113.10:80", "[2001:db8::10]:80"]}
}
text! {
    /// A duration.
    Duration {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$", "examples": ["500ms", "30s", "5m", "2h"]}
}
