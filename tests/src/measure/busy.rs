//! Processes that do nothing but use a processor.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process that uses a processor; ends on drop, and by itself after two minutes.
pub(super) struct Busy(Child);

impl Busy {
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new("timeout");
        command.args(["120", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
        command.spawn().map(Self).context("cannot start a busy process")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // SIGTERM, which timeout passes on.
        if let Ok(process) = self.0.id().try_into() {
            let _ = kill(Pid::from_raw(process), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}
