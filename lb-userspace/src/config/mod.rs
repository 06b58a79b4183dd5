//! The configuration file: TOML to the model and back (`docs/configuration.md`).
//!
//! [`Document`] is the text of a file. [`Document::config`] makes a checked [`crate::model::Config`] of it, or says all that is wrong with
//! line and path; [`Document::stage`] writes a changed configuration back, touching nothing of the text that did not change.

mod diff;
mod document;
mod duration;
mod edit;
mod error;
mod key_file;
mod node;
mod notes;
mod parse;
mod parse_service;
mod parse_track;
mod parse_vrrp;
mod reader;
mod render;
mod render_track;
mod render_vrrp;
mod replace;
mod replication;
mod save;
mod scalar;
mod standbys;
mod store;
#[cfg(test)]
mod tests;

pub use diff::{Change, ChangeKind, KeyChange, diff};
pub use document::Document;
pub use duration::{format_duration, parse_duration};
pub use error::{ConfigError, Finding, WriteError};
pub use key_file::{KeyFileError, read_keys};
pub use save::Staged;
pub use standbys::{StandbyFile, Standbys};
pub use store::FileStore;

#[cfg(test)]
pub(crate) use tests::arbitrary_draft;
