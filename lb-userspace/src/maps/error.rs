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
    #[error("map {map}: cannot {action}: {source}{}", remedy(source))]
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

/// What can be done about a refusal. Whatever it is, [`crate::reconcile`] tries again by itself.
fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => {
            "; the kernel has no memory for it: see MemoryMax= of the service and `dmesg`, or make [limits] smaller and start lbd again"
        }
        Some(libc::E2BIG | libc::ENOSPC) => {
            "; the map is full: make [limits] larger (services, backends) and start lbd again, which keeps the flows"
        }
        Some(libc::EBUSY) => "; somebody else uses it at this moment: lbd tries again by itself",
        Some(libc::EPERM | libc::EACCES) => {
            "; lbd has no right to do it: it takes CAP_BPF, and the map must not be frozen (`bpftool map`); `lbctl doctor` tells more"
        }
        _ => "",
    }
}

/// A closure that names the map and the action in an error of the kernel.
pub(super) fn access(map: &'static str, action: impl Into<String>) -> impl FnOnce(io::Error) -> MapError {
    let action = action.into();
    move |source| MapError::Access { map, action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_map_key_reason_and_remedy() {
        for (number, reason, remedy) in [
            (libc::ENOMEM, "Cannot allocate memory", "MemoryMax="),
            (libc::E2BIG, "Argument list too long", "make [limits] larger"),
            (libc::EBUSY, "Device or resource busy", "tries again by itself"),
            (libc::EPERM, "Operation not permitted", "CAP_BPF"),
        ] {
            let error =
                access("SERVICES_V4", "write tcp 203.0.113.10:80")(io::Error::from_raw_os_error(number));
            let text = error.to_string();
            for part in ["map SERVICES_V4", "write tcp 203.0.113.10:80", reason, remedy] {
                assert!(text.contains(part), "{part:?} is missing in: {text}");
            }
        }
    }
}
