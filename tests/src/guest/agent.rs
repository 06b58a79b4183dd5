//! What runs in the guest as its first process.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::Pid,
};

use super::{
    protocol::{Answer, Hello, Request},
    usage::Usage,
};

/// Word of the kernel's command line that asks for a shell on the console.
pub(super) const SHELL: &str = "lb.shell";
/// Where the script is that prepares the guest.
pub(super) const START: &str = "/etc/start";
/// How long the host may be silent at the other end of a closed port.
const ABANDONED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

const FILE_SYSTEMS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("bpf", "/sys/fs/bpf"),
];

/// Whether this process is the first one of a guest.
#[must_use]
pub fn is_needed() -> bool {
    process::id() == 1
}

/// Serves the host until it is gone, then switches the guest off.
pub fn run() {
    if let Err(error) = serve() {
        eprintln!("agent: {error:#}");
    }
    power_off();
}

fn serve() -> Result<()> {
    for (kind, target) in FILE_SYSTEMS {
        mount(Some(*kind), *target, Some(*kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {target}"))?;
    }
    let prepared = execute(&fs::read_to_string(START).context(START)?);
    if prepared.status != 0 {
        eprintln!("agent: {START}: {}", prepared.stderr.trim());
    }
    if fs::read_to_string("/proc/cmdline")?.split_whitespace().any(|word| word == SHELL) {
        thread::spawn(console);
    }
    let path = port().context("there is no virtio port")?;
    // It can be opened only once.
    let port = OpenOptions::new().read(true).write(true).open(&path);
    let port = port.with_context(|| path.display().to_string())?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
    say(&port, &Hello { release })?;
    answer(&port)
}

/// Answers requests until the host has closed the port.
fn answer(port: &File) -> Result<()> {
    let mut requests = BufReader::new(port);
    let mut line = String::new();
    let mut silent = Duration::ZERO;
    while silent < ABANDONED {
        if requests.read_line(&mut line)? == 0 {
            thread::sleep(PAUSE);
            silent += PAUSE;
            continue;
        }
        silent = Duration::ZERO;
        if line.ends_with('\n') {
            let request: Request = serde_json::from_str(&line).context("a request that is no JSON")?;
            line.clear();
            let answer = match request {
                Request::Run(script) => execute(&script),
                Request::Usage => usage(),
            };
            say(port, &answer)?;
            reap();
        }
    }
    Ok(())
}

fn say(mut port: &File, message: &impl serde::Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    port.write_all(&line).context("cannot write to the host")
}

fn execute(script: &str) -> Answer {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).stdin(Stdio::null()).env("PATH", "/bin:/sbin");
    match shell.output() {
        Ok(output) => Answer {
            status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => Answer { status: 127, stdout: String::new(), stderr: error.to_string() },
    }
}

fn usage() -> Answer {
    let usage = fs::read_to_string("/proc/timer_list").ok().and_then(|text| Usage::parse(&text));
    let stdout = usage.and_then(|usage| serde_json::to_string(&usage).ok());
    let status = i32::from(stdout.is_none());
    Answer { status, stdout: stdout.unwrap_or_default(), stderr: String::new() }
}

/// The virtio port, the only one there is.
fn port() -> Option<PathBuf> {
    let mut entries = fs::read_dir("/dev").ok()?.flatten();
    entries.find(|entry| entry.file_name().to_string_lossy().starts_with("vport")).map(|entry| entry.path())
}

/// Takes the exit statuses of orphans, which are the first process's children.
fn reap() {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            _ => {}
        }
    }
}

/// A shell on the console; the guest ends with it.
fn console() {
    let shell = "exec setsid cttyhack sh -l </dev/ttyS0 >/dev/ttyS0 2>&1";
    let _ = Command::new("/bin/sh").args(["-c", shell]).env("PATH", "/bin:/sbin").status();
    power_off();
}

fn power_off() {
    let _ = Command::new("/bin/busybox").args(["poweroff", "-f"]).status();
}
