//! What receiving on an interface costs, alone.
//!
//! Packets are received in softirqs, which run in whatever thread happens to be on the processor. With threaded NAPI a kernel thread of
//! the interface's own does that, and the scheduler counts its time: all that a balancer does with a packet until it is in the queue of
//! the next interface, and nothing else.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{clock, command, netns::Netns, processor};

/// The kernel threads that poll an interface. On drop it is polled in softirqs again.
#[derive(Debug)]
pub struct NapiThreads {
    netns: Netns,
    interface: String,
    pids: Vec<u32>,
}

impl NapiThreads {
    /// Has an interface polled by threads.
    ///
    /// # Errors
    ///
    /// If the kernel cannot do that (before Linux 5.12).
    pub fn start(netns: &Netns, interface: &str) -> Result<Self> {
        let before = threads(interface)?;
        let mut threads_of = Self { netns: netns.clone(), interface: interface.to_owned(), pids: Vec::new() };
        threads_of.switch(true)?;
        let after = clock::wait_for("NAPI threads", Duration::from_secs(1), || {
            threads(interface).ok().filter(|now| now.len() > before.len())
        })?;
        threads_of.pids = after.difference(&before).copied().collect();
        ensure!(!threads_of.pids.is_empty(), "no thread polls {interface} in {}", netns.name());
        Ok(threads_of)
    }

    /// Processor time that the threads have taken. Exact when they are idle.
    ///
    /// # Errors
    ///
    /// If the kernel does not say.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.pids.iter().map(|pid| processor::time_of(*pid)).sum()
    }

    /// Keeps the threads on a processor.
    ///
    /// # Errors
    ///
    /// If there is no such processor.
    pub fn pin(&self, cpu: usize) -> Result<()> {
        self.pids.iter().try_for_each(|pid| processor::pin(*pid, cpu))
    }

    /// Lets the threads run before everything on their processor that has no such priority, or a lower one.
    ///
    /// # Errors
    ///
    /// If `chrt` fails.
    pub fn prefer(&self, priority: u8) -> Result<()> {
        self.pids.iter().try_for_each(|pid| processor::prefer(*pid, priority))
    }

    fn switch(&self, on: bool) -> Result<()> {
        // `ip netns exec` mounts a sysfs that shows the interfaces of the namespace.
        let (name, interface, value) = (self.netns.name(), &self.interface, u8::from(on));
        let script = format!("echo {value} > /sys/class/net/{interface}/threaded");
        command::run("ip", &["netns", "exec", name, "sh", "-c", &script]).map(drop)
    }
}

impl Drop for NapiThreads {
    fn drop(&mut self) {
        if let Err(error) = self.switch(false) {
            eprintln!("{error:#}");
        }
    }
}

/// The threads of interfaces of this name, in all namespaces.
fn threads(interface: &str) -> Result<BTreeSet<u32>> {
    let wanted = format!("napi/{interface}-");
    let processes = fs::read_dir("/proc").context("/proc")?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(&wanted))
    };
    Ok(pids.filter(named).collect())
}
