//! unbound: a DNS server.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::DNS_PORT;
use crate::{clock, temporary, topology::Host};

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
        unbound.wait_ready(host).with_context(|| unbound.log())?;
        Ok(unbound)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn wait_ready(&mut self, host: &Host) -> Result<()> {
        let address = (host.v4, DNS_PORT).into();
        let process = &mut self.process;
        let exited = host.netns.run(|| {
            clock::wait_for(&format!("unbound of {}", host.name), Duration::from_secs(10), || {
                if let Ok(Some(status)) = process.try_wait() {
                    return Some(Some(status));
                }
                TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok().map(|_| None)
            })
        })?;
        if let Some(status) = exited {
            bail!("unbound of {} ended with {status}", host.name);
        }
        Ok(())
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
