//! `lbd` in the guest.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Machine;
use crate::{clock, config::Config};

/// `lbd` as the guest's own, with the paths that it has by default. It stays when the value is gone.
#[derive(Debug)]
pub struct Lbd<'a> {
    machine: &'a Machine,
}

/// How an interface has its XDP program: `driver` is native.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface.
    pub interface: String,
    /// As bpftool calls it.
    pub mode: String,
}

/// Small tables: kernels before 6.8 wait for an RCU grace period for each element of an array
/// of maps that is read, and lbd reads all of them.
const LIMITS: &str = "xdp_mode = \"native\"\n[limits]\nservices = 64\n";

/// How long that may take: the verifier is emulated, too.
const LIMIT: Duration = Duration::from_secs(60);

impl<'a> Lbd<'a> {
    /// Writes the configuration file, starts `lbd`, and waits until it is attached to all interfaces.
    ///
    /// # Errors
    ///
    /// If it does not become ready in time; the message has its log.
    pub fn start(machine: &'a Machine, config: Config) -> Result<Self> {
        let interfaces = config.interfaces.len();
        let config = config.tables(LIMITS);
        machine.sh(&format!(
            "cat >/etc/lb/lb.toml <<'END'\n{config}\nEND\nlbd >/run/lbd.log 2>&1 </dev/null &\n"
        ))?;
        let lbd = Self { machine };
        let ready = clock::wait_until("lbd to be ready in the guest", LIMIT, || lbd.is_ready(interfaces));
        ready.with_context(|| machine.sh("cat /run/lbd.log").unwrap_or_default())?;
        Ok(lbd)
    }

    fn is_ready(&self, interfaces: usize) -> bool {
        let status = self.machine.sh("lbctl -o json status || { sleep 0.1; false; }");
        let status: Value = status.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let attached = status["interfaces"].as_array().is_some_and(|list| list.len() == interfaces);
        attached && status["problem"].is_null()
    }

    /// How it is attached.
    ///
    /// # Errors
    ///
    /// If bpftool fails.
    pub fn attachments(&self) -> Result<Vec<Attachment>> {
        Ok(parse_attachments(&self.machine.sh("bpftool net")?))
    }

    /// Ends it and takes its program off all interfaces. Program, maps and flows stay, pinned; [`Program`] attaches them again.
    ///
    /// # Errors
    ///
    /// If a command fails.
    pub fn end(self) -> Result<Program<'a>> {
        let script = format!(
            "set -e\nid=$(bpftool net | sed -n 's/^eth0.* id //p')\nbpftool prog pin id $id {PROGRAM}\n\
             kill -9 $(pidof lbd)\nrm /sys/fs/bpf/lb/v*/link-*"
        );
        self.machine.sh(&script)?;
        Ok(Program { machine: self.machine })
    }
}

/// Where [`Lbd::end`] pins the program.
const PROGRAM: &str = "/sys/fs/bpf/program";

/// The program of an `lbd` that has ended.
#[derive(Debug)]
pub struct Program<'a> {
    machine: &'a Machine,
}

/// How often a program ran, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Nanoseconds in all.
    pub time: u64,
    /// Number of runs.
    pub count: u64,
}

impl Program<'_> {
    /// Attaches it natively to both interfaces.
    ///
    /// # Errors
    ///
    /// If an interface refuses it.
    pub fn attach(&self) -> Result<()> {
        self.machine.sh(&for_both(&format!("attach xdpdrv pinned {PROGRAM}"))).map(drop)
    }

    /// What the kernel counts of it, see [`Runs`]. The first call has it begin.
    ///
    /// # Errors
    ///
    /// If bpftool fails.
    pub fn runs(&self) -> Result<Runs> {
        let script =
            format!("echo 1 >/proc/sys/kernel/bpf_stats_enabled; bpftool -j prog show pinned {PROGRAM}");
        let shown: Value = serde_json::from_str(&self.machine.sh(&script)?)?;
        let number = |key: &str| shown[key].as_u64().unwrap_or_default();
        Ok(Runs { time: number("run_time_ns"), count: number("run_cnt") })
    }

    /// Has the kernel count no longer: that takes time with every run.
    ///
    /// # Errors
    ///
    /// If the guest does not answer.
    pub fn stop_counting(&self) -> Result<()> {
        self.machine.sh("echo 0 >/proc/sys/kernel/bpf_stats_enabled").map(drop)
    }

    /// Takes it off again.
    ///
    /// # Errors
    ///
    /// If it was not attached.
    pub fn detach(&self) -> Result<()> {
        self.machine.sh(&for_both("detach xdpdrv")).map(drop)
    }
}

fn for_both(words: &str) -> String {
    format!("set -e\nfor interface in eth0 eth1; do bpftool net {words} dev $interface; done")
}

/// Reads what `bpftool net` prints, such as `eth0(2) driver id 5`.
fn parse_attachments(output: &str) -> Vec<Attachment> {
    let section = output.lines().skip_while(|line| !line.starts_with("xdp:")).skip(1);
    let entries = section.take_while(|line| !line.trim().is_empty()).filter_map(|line| {
        let (interface, rest) = line.split_once('(')?;
        let mode = rest.split_whitespace().nth(1)?;
        Some(Attachment { interface: interface.to_owned(), mode: mode.to_owned() })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_and_generic_attachments_are_told_apart() {
        let output = "xdp:\neth0(2) driver id 5\neth1(3) generic id 5\n\ntc:\n\nflow_dissector:\n\n";
        let found = parse_attachments(output);
        let found: Vec<_> =
            found.iter().map(|entry| (entry.interface.as_str(), entry.mode.as_str())).collect();
        assert_eq!(found, [("eth0", "driver"), ("eth1", "generic")]);
        assert_eq!(parse_attachments("xdp:\n\ntc:\n"), []);
    }
}
