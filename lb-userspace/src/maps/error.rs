//! What can go wrong with maps.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::sys::bpf::MapShape;

/// What went wrong with a map.
#[derive(Debug, Error)]
pub enum MapError {
    /// A pinned map could not be opened.
    #[error("cannot open the pinned map {path}: {source}{}", hint(source))]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A pinned map is not what this version needs.
    #[error(
        "the pinned map {path} is {found:?}, expected {expected:?}; another version of lbd made it: `lbd --detach` removes it"
    )]
    Shape {
        /// The pin.
        path: PathBuf,
        /// What was found.
        found: MapShape,
        /// What is needed; `max_entries` is the found one.
        expected: MapShape,
    },
    /// The kernel refused an access.
    #[error("map {map}: cannot {action}: {source}")]
    Access {
        /// The map's name.
        map: &'static str,
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Made up for a test.
    #[error("made to fail: {0}")]
    Injected(String),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; is lbd attached, and pin_directory the same?",
        io::ErrorKind::PermissionDenied => "; it takes root, or CAP_BPF and access to the directory",
        _ => "",
    }
}

/// A closure that names the map and the action in an error of the kernel.
pub(super) fn access(map: &'static str, action: impl Into<String>) -> impl FnOnce(io::Error) -> MapError {
    let action = action.into();
    move |source| MapError::Access { map, action, source }
}
