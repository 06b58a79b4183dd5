//! Finds a toolchain that can compile `lb-ebpf` and builds the BPF object with it.
//!
//! Used twice: by `lb-userspace/build.rs`, so that a plain `cargo build` works, and by the `cargo xtask` verbs.
//! Nothing here installs anything; that is the work of `cargo xtask setup`.

use std::fmt;
use std::path::{Path, PathBuf};

pub mod command;
pub mod ebpf;
pub mod remap;
pub mod toolchain;

pub use ebpf::{Output, build_ebpf};

/// What went wrong, as one message for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds what was being done to an error of the operating system.
pub trait Context<T> {
    /// Turns the error into `what: error`.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::new(format!("{what}: {error}")))
    }
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_path_buf()
}

/// Where the BPF object and the tools are kept, whatever `CARGO_TARGET_DIR` says: all builds share them.
#[must_use]
pub fn target_dir() -> PathBuf {
    root().join("target")
}
