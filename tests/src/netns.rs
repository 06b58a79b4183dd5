//! Network namespaces that live as long as their value.

use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr, TcpStream},
    panic,
    path::Path,
    process::{self, Child, Command},
    sync::{
        Arc, Once,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{clock, command, temporary};

/// What the names of namespaces and directories of the harness start with; the id of the process that owns them follows.
pub const PREFIX: &str = "lbt-";

/// A named network namespace. Dropping its last clone ends the processes in it and removes it.
#[derive(Clone, Debug)]
pub struct Netns {
    owned: Arc<Owned>,
}

#[derive(Debug)]
struct Owned {
    name: String,
}

impl Netns {
    /// Creates a namespace with its loopback interface up and without IPv6 duplicate address detection.
    ///
    /// # Errors
    ///
    /// Without the right to do so, or without iproute2.
    pub fn create(label: &str) -> Result<Self> {
        static SWEEP: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        SWEEP.call_once(sweep);
        let name = format!("{PREFIX}{}-{}-{label}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        command::sh(&format!("ip netns add {name}"))?;
        let netns = Self { owned: Arc::new(Owned { name }) };
        netns.ip("link set lo up")?;
        for scope in ["all", "default"] {
            netns.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
            netns.sysctl(&format!("net/ipv6/conf/{scope}/router_solicitations"), "0")?;
        }
        Ok(netns)
    }

    /// The name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.owned.name
    }

    /// Runs a closure in the namespace, on a thread of its own. A panic goes on in the caller.
    pub fn run<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let result = thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter(self.name());
                    task()
                })
                .join()
        });
        result.unwrap_or_else(|payload| panic::resume_unwind(payload))
    }

    /// Runs a closure in the namespace on a thread that goes on in the background. Threads it starts are in the namespace, too.
    ///
    /// # Panics
    ///
    /// If the system has no thread to spare.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let netns = self.clone();
        thread::spawn(move || {
            enter(netns.name());
            task()
        })
    }

    /// Starts a process in the namespace. The mount namespace stays, unlike with `ip netns exec`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        self.run(|| command.spawn()).with_context(|| format!("cannot start {command:?}"))
    }

    /// Runs a command line of words without quoting to its end and gives its standard output.
    ///
    /// # Errors
    ///
    /// As [`command::run`].
    pub fn sh(&self, line: &str) -> Result<String> {
        self.run(|| command::sh(line)).with_context(|| format!("in namespace {}", self.name()))
    }

    /// Frames that an interface has received, with those that XDP dropped or redirected there.
    ///
    /// # Errors
    ///
    /// If there is no such interface.
    pub fn received(&self, interface: &str) -> Result<u64> {
        let text = self.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
        let packets = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        packets.with_context(|| format!("nothing is known of {interface} in {}", self.name()))
    }

    /// Runs `ip` with these arguments.
    ///
    /// # Errors
    ///
    /// As [`command::run`].
    pub fn ip(&self, arguments: &str) -> Result<String> {
        command::sh(&format!("ip -n {} {arguments}", self.name()))
    }

    /// Sets a value below `/proc/sys`, such as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.run(|| fs::write(&path, value))
            .with_context(|| format!("cannot write {value} to {}", path.display()))
    }

    /// Waits until an address answers, be it by refusing a TCP connection.
    ///
    /// # Errors
    ///
    /// If it does not answer within 5 seconds.
    pub fn wait_reachable(&self, address: IpAddr) -> Result<()> {
        let refusing = SocketAddr::new(address, 1);
        self.run(|| {
            clock::wait_until(
                &format!("{address} to be reachable from {}", self.name()),
                Duration::from_secs(5),
                || match TcpStream::connect_timeout(&refusing, Duration::from_millis(200)) {
                    Ok(_) => true,
                    Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
                },
            )
        })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Moves the calling thread into a namespace.
fn enter(name: &str) {
    let path = Path::new("/run/netns").join(name);
    let entered = File::open(&path)
        .map_err(|error| error.to_string())
        .and_then(|file| setns(file, CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string()));
    if let Err(error) = entered {
        panic!("cannot enter the network namespace {}: {error}", path.display());
    }
}

/// Whether a name is of the harness and belongs to a process that is gone.
pub(crate) fn owner_is_dead(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// Removes everything of runs that were killed before they could clean up.
pub fn sweep() {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        if owner_is_dead(&name) {
            remove(&name);
        }
    }
    temporary::sweep();
}

/// Ends the processes in a namespace and removes it.
fn remove(name: &str) {
    let pids = command::sh(&format!("ip netns pids {name}")).unwrap_or_default();
    for pid in pids.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()) {
        if u32::try_from(pid) != Ok(process::id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    if let Err(error) = command::sh(&format!("ip netns del {name}")) {
        eprintln!("{error:#}");
    }
}
