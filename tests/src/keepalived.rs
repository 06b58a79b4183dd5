//! keepalived, with virtual routers only.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{netns::Netns, temporary};

/// A running keepalived. Killed on drop.
#[derive(Debug)]
pub struct Keepalived {
    process: Child,
    directory: TempDir,
}

impl Keepalived {
    /// Starts it with these blocks of its configuration, and waits for nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(netns: &Netns, blocks: &str) -> Result<Self> {
        let directory = temporary::directory("keepalived")?;
        let file = |name: &str| directory.path().join(name).display().to_string();
        fs::write(file("keepalived.conf"), format!("global_defs {{\nrouter_id test\n}}\n{blocks}"))
            .context("cannot write keepalived.conf")?;
        let log = fs::File::create(file("log")).context("cannot make a log file")?;
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--vrrp", "--no-syslog"]);
        command.args(["--use-file", &file("keepalived.conf"), "--pid", &file("pid")]);
        command.args(["--vrrp_pid", &file("vrrp.pid")]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { process: netns.spawn(&mut command)?, directory })
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Lets it end as it wants to.
    ///
    /// # Errors
    ///
    /// If it had ended by itself.
    pub fn terminate(mut self) -> Result<()> {
        kill(self.id()?, Signal::SIGTERM).context("keepalived had ended")?;
        self.process.wait()?;
        Ok(())
    }

    /// Kills it and its child, so that it can neither say a word nor take an address away.
    ///
    /// # Errors
    ///
    /// If it had ended by itself.
    pub fn kill(mut self) -> Result<()> {
        let child = fs::read_to_string(self.directory.path().join("vrrp.pid"))?;
        // Stopped: it doesn't notice what becomes of the other one.
        kill(self.id()?, Signal::SIGSTOP).context("keepalived had ended")?;
        kill(Pid::from_raw(child.trim().parse()?), Signal::SIGKILL)?;
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    fn id(&self) -> Result<Pid> {
        Ok(Pid::from_raw(self.process.id().try_into()?))
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
