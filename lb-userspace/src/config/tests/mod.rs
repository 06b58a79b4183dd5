//! Good files, bad files, and files that are changed.

mod bad;
mod good;
mod replace;
mod replication;
mod vrrp;
mod write;

pub(crate) use self::write::arbitrary_draft;
use super::{ConfigError, Document};
use crate::model::Config;

/// The example of `docs/configuration.md`.
const EXAMPLE: &str = r#"interfaces = ["eth0", "eth1"]

[api]
socket = "/run/lb/lbd.sock"

[metrics]
listen = "127.0.0.1:9464"

[[services]]
name = "web"
address = "203.0.113.10"
protocol = "tcp"
port = 80
mode = "nat"
algorithm = "maglev"

[services.health]
interval = "1s"

[[services.backends]]
name = "web-1"
address = "10.0.0.11"
port = 8080
weight = 100
"#;

fn document(text: &str) -> Document {
    Document::new("lb.toml", text)
}

fn config(text: &str) -> Config {
    document(text).config().unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> ConfigError {
    document(text).config().unwrap_err()
}
