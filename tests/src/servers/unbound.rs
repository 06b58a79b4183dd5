//! unbound: a DNS server.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{DNS_PORT, wait_ready};
use crate::{temporary, topology::Host};

/// An unbound in a host's namespace, on [`DNS_PORT`] of both families. It knows `health.test` (A 192.0.2.1, AAAA 2001:db8::1) and
/// nothing else of `test`. Killed on drop.
#[derive(Debug)]
pub struct Unbound {
    process: Child,
    directory: TempDir,
}

impl Unbound {
    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// If it does not start; the message has its log.
    pub fn start(host: &Host) -> Result<Self> {
        let directory = temporary::directory("unbound")?;
        let root = directory.path();
        let config = root.join("unbound.conf");
        let text = format!(
            "server:
  do-daemonize: no
  username: \"\"
  chroot: \"\"
  directory: \"{root}\"
  pidfile: \"\"
  use-syslog: no
  logfile: \"{root}/log\"
  interface: 0.0.0.0
  interface: ::0
  port: {DNS_PORT}
  num-threads: 1
  access-control: 0.0.0.0/0 allow
  access-control: ::0/0 allow
  local-zone: \"test.\" static
  local-data: \"health.test. 60 IN A 192.0.2.1\"
  local-data: \"health.test. 60 IN AAAA 2001:db8::1\"
remote-control:
  control-enable: no
",
            root = root.display()
        );
        fs::write(&config, text).context("cannot write unbound.conf")?;
        let mut command = Command::new("unbound");
        command.arg("-d").arg("-c").arg(&config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = host.netns.spawn(&mut command)?;
        let mut unbound = Self { process, directory };
        wait_ready(&mut unbound.process, "unbound", host, DNS_PORT).with_context(|| unbound.log())?;
        Ok(unbound)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        self.kill();
    }
}
