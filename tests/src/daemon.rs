//! `lbd` in a namespace, and `lbctl` to talk to it.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::{fs::chown, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    clock,
    config::Config,
    netns::Netns,
    temporary::{self, BpfFs},
};

/// How long `lbd` may take to stop, or to do what it was told.
const LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to start, with as many services as a test likes.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Number of the field `policy` in `/proc/[pid]/stat`.
const POLICY: usize = 41;

/// Words before `lbd` ([`Daemon::run_with`]) that take away what real-time priority needs: to raise the limit of it, as systemd's unit does, or to do
/// without.
pub const WITHOUT_REAL_TIME: &[&str] = &["setpriv", "--bounding-set=-sys_nice,-sys_resource"];

/// An `lbd` with its own configuration file, socket and pins. On drop it is killed, and what it left in the kernel removed.
#[derive(Debug)]
pub struct Daemon {
    netns: Netns,
    interfaces: usize,
    process: Option<Child>,
    /// Words before its name.
    wrapper: Vec<String>,
    directory: TempDir,
    bpffs: BpfFs,
}

impl Daemon {
    /// Prepares the files and starts `lbd`, see [`Self::start_again`].
    ///
    /// # Errors
    ///
    /// As [`Self::start_again`].
    pub fn start(netns: &Netns, config: &Config) -> Result<Self> {
        let mut daemon = Self::prepare(netns, config)?;
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Writes the configuration file, but starts nothing.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or there is no BPF file system.
    pub fn prepare(netns: &Netns, config: &Config) -> Result<Self> {
        let directory = temporary::directory("lbd")?;
        let bpffs = BpfFs::mount()?;
        let (interfaces, netns) = (config.interfaces.len(), netns.clone());
        let daemon = Self { netns, interfaces, process: None, wrapper: Vec::new(), directory, bpffs };
        let pins = daemon.pin_directory();
        let text = format!(
            "pin_directory = \"{}\"\n{config}\n[api]\nsocket = \"{}\"\n",
            pins.display(),
            daemon.socket().display()
        );
        fs::write(daemon.config_file(), text).context("cannot write lb.toml")?;
        Ok(daemon)
    }

    /// Starts `lbd` and waits until it answers and is attached to all its interfaces.
    ///
    /// # Errors
    ///
    /// If it ends or is not ready in time; the message has its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// As [`Self::start_again`], with further arguments.
    ///
    /// # Errors
    ///
    /// As [`Self::start_again`].
    pub fn start_with(&mut self, arguments: &[&str]) -> Result<()> {
        self.launch(arguments)?;
        self.wait_ready().with_context(|| format!("lbd is not ready; its log:\n{}", self.log()))
    }

    /// From now on `lbd` is started by these words, which end by becoming the program whose name follows, as `env` does.
    pub fn run_with(&mut self, words: Vec<String>) {
        self.wrapper = words;
    }

    /// As [`Self::run_with`], for words that change the user: a copy of the program and all files belong to that one.
    ///
    /// # Errors
    ///
    /// If the program cannot be copied or a file not given away.
    pub fn run_as(&mut self, words: Vec<String>, user: u32) -> Result<()> {
        self.wrapper = words;
        let copy = self.path("lbd");
        if !copy.exists() {
            fs::copy(binary("lbd")?, &copy).context("cannot copy lbd")?;
        }
        for path in [self.directory.path(), &self.config_file(), &copy] {
            chown(path, Some(user), Some(user))
                .with_context(|| format!("cannot chown {}", path.display()))?;
        }
        Ok(())
    }

    /// Starts `lbd` and waits for nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn launch(&mut self, arguments: &[&str]) -> Result<()> {
        ensure!(self.process.is_none(), "lbd is running already");
        let log = self.open_log()?;
        let mut command = self.lbd()?;
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        self.process = Some(self.netns.spawn(&mut command)?);
        Ok(())
    }

    /// Runs `lbd` with this configuration expecting it to refuse to start, and gives what it says.
    ///
    /// # Errors
    ///
    /// If it starts, or says nothing.
    pub fn refusal(&mut self) -> Result<String> {
        let mut command = self.lbd()?;
        self.process = Some(self.netns.spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()))?);
        let status = self.wait_exit("lbd to refuse its configuration")?;
        ensure!(!status.success(), "lbd ended with success");
        let mut said = String::new();
        let pipe = self.process.take().and_then(|process| process.stderr);
        std::io::Read::read_to_string(&mut pipe.context("no standard error")?, &mut said)?;
        Ok(said)
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// If it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("lbd is not running")?;
        ensure!(process.try_wait()?.is_none(), "lbd had ended by itself; its log:\n{}", self.log());
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Asks it to read its file again (SIGHUP), and waits for nothing.
    ///
    /// # Errors
    ///
    /// If it is not running.
    pub fn reload_by_signal(&self) -> Result<()> {
        let process = self.process.as_ref().context("lbd is not running")?;
        Ok(kill(Pid::from_raw(process.id().try_into()?), Signal::SIGHUP)?)
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not end in time or not with success.
    pub fn terminate(&mut self) -> Result<()> {
        let process = self.process.as_ref().context("lbd is not running")?;
        kill(Pid::from_raw(process.id().try_into()?), Signal::SIGTERM)?;
        let status = self.wait_exit("lbd to end")?;
        self.process = None;
        ensure!(status.success(), "lbd ended with {status}; its log:\n{}", self.log());
        Ok(())
    }

    /// `lbd --detach`.
    ///
    /// # Errors
    ///
    /// If it fails; the message has what it said.
    pub fn detach(&self) -> Result<()> {
        self.run_lbd(&["--detach"]).map(drop)
    }

    /// Runs `lbd` with this configuration and these further arguments to its end; what it printed.
    ///
    /// # Errors
    ///
    /// If it fails; the message has what it said.
    pub fn run_lbd(&self, arguments: &[&str]) -> Result<String> {
        let output = self.netns.run(|| self.lbd()?.args(arguments).output().context("cannot start lbd"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lbd {}: {}", arguments.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `lbctl` with words, JSON output; `null` if it prints nothing.
    ///
    /// # Errors
    ///
    /// If it fails; the message has what it said.
    pub fn lbctl(&self, line: &str) -> Result<Value> {
        let text = self.lbctl_text(&format!("-o json {line}"))?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("lbctl {line} printed no JSON: {text}"))
    }

    /// Runs `lbctl` with words and gives what it prints.
    ///
    /// # Errors
    ///
    /// If it fails; the message has what it said.
    pub fn lbctl_text(&self, line: &str) -> Result<String> {
        let mut command = Command::new(binary("lbctl")?);
        command.arg("--socket").arg(self.socket()).args(line.split_whitespace());
        let output = self.netns.run(|| command.output()).context("cannot start lbctl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lbctl {line} ({}): {}", output.status, said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until a backend is in an effective state (`active`, `down`, ...).
    ///
    /// # Errors
    ///
    /// If that takes longer than 10 seconds.
    pub fn wait_backend(&self, service: &str, backend: &str, state: &str) -> Result<()> {
        clock::wait_until(&format!("{service}/{backend} to be {state}"), LIMIT, || {
            self.effective_state(service, backend).is_some_and(|now| now == state)
        })
        .with_context(|| format!("it is {:?}", self.effective_state(service, backend)))
    }

    /// The id of its process, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Whether the thread of the virtual routers has real-time priority: the policy in `/proc/[pid]/task/[tid]/stat`, see `proc(5)`.
    ///
    /// # Errors
    ///
    /// If there is no such thread.
    pub fn has_real_time(&self) -> Result<bool> {
        let process = self.process_id().context("lbd does not run")?;
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let stat = fs::read_to_string(task?.path().join("stat"))?;
            if let Some((_, fields)) = stat.split_once(" (vrrp) ") {
                let policy = fields.split(' ').nth(POLICY - 3).context("too few fields")?;
                return Ok(policy.parse() == Ok(libc::SCHED_FIFO));
            }
        }
        bail!("lbd has no thread for VRRP")
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.path("lb.toml")
    }

    /// Where maps, programs and links are pinned, below a directory named by the ABI version.
    #[must_use]
    pub fn pin_directory(&self) -> PathBuf {
        self.bpffs.path().join("lb")
    }

    /// The socket of the API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("lbd.sock")
    }

    /// What it logged, the last 60 lines.
    #[must_use]
    pub fn log(&self) -> String {
        let text = self.whole_log().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// All that it logged.
    ///
    /// # Errors
    ///
    /// If it was never started.
    pub fn whole_log(&self) -> Result<String> {
        fs::read_to_string(self.path("lbd.log")).context("there is no log")
    }

    fn effective_state(&self, service: &str, backend: &str) -> Option<String> {
        let backends = self.lbctl(&format!("backend list {service}")).ok()?;
        let found = backends.as_array()?.iter().find(|entry| entry["name"] == backend)?;
        found["effective"].as_str().map(str::to_owned)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn lbd(&self) -> Result<Command> {
        let copy = self.path("lbd");
        let program = if copy.exists() { copy } else { binary("lbd")? };
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((first, others)) => {
                let mut command = Command::new(first);
                command.args(others).arg(program);
                command
            }
        };
        command.arg("--config").arg(self.config_file()).stdin(Stdio::null());
        Ok(command)
    }

    fn open_log(&self) -> Result<File> {
        let path = self.path("lbd.log");
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.with_context(|| format!("cannot open {}", path.display()))
    }

    fn wait_ready(&mut self) -> Result<()> {
        let socket = self.socket();
        let interfaces = self.interfaces;
        clock::wait_for("lbd to be attached", START_LIMIT, || {
            let process = self.process.as_mut()?;
            if let Ok(Some(status)) = process.try_wait() {
                self.process = None;
                return Some(Err(anyhow::anyhow!("lbd ended with {status}")));
            }
            UnixStream::connect(&socket).ok()?;
            let status = self.lbctl("status").ok()?;
            let attached = status["interfaces"].as_array().is_some_and(|list| list.len() == interfaces);
            (attached && status["problem"].is_null()).then_some(Ok(()))
        })?
    }

    fn wait_exit(&mut self, what: &str) -> Result<ExitStatus> {
        let process = self.process.as_mut().context("lbd is not running")?;
        clock::wait_for(what, LIMIT, || process.try_wait().transpose())?.context("cannot wait for lbd")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of lbd:\n{}", self.log());
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        // The BPF file system goes next, and with it the last hold on programs and maps: an error matters to no one.
        let _ = self.detach();
    }
}

/// Finds a program of the project: in `LB_BIN_DIR`, or where cargo put it next to the running one.
///
/// # Errors
///
/// If it is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("LB_BIN_DIR") {
        return existing(&Path::new(&directory).join(name));
    }
    let own = std::env::current_exe().context("cannot find the running program")?;
    // A test runs from `deps`.
    let mut directories = own.ancestors().skip(1).take(2);
    match directories.find_map(|directory| existing(&directory.join(name)).ok()) {
        Some(path) => Ok(path),
        None => bail!("{name} is not built; `cargo build -p lb-userspace` does it, or set LB_BIN_DIR"),
    }
}

fn existing(path: &Path) -> Result<PathBuf> {
    ensure!(path.is_file(), "there is no {}", path.display());
    Ok(path.to_owned())
}
