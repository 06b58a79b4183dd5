//! What host and guest say to each other: a line of JSON each.

use serde::{Deserialize, Serialize};

/// What the guest says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// As `uname -r` says.
    pub(super) release: String,
}

/// What the guest is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Run a script in the shell.
    Run(String),
    /// Say what [`Usage`](super::Usage) is, as JSON on standard output.
    Usage,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Exit status; 128 and more for signals.
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}
