//! The emulated machine.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{
    Image, agent, find_program,
    network::{MACS, TAPS},
    protocol::{Answer, Hello, Request},
    usage::Usage,
};
use crate::{clock, netns::Netns, temporary};

/// How long the guest may take to boot: emulation on a busy machine is slow.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// How long a script may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(120);

/// What time is in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The host's time.
    Real,
    /// A nanosecond for each instruction, and real time while the guest is idle. What takes time in the guest is then the number of
    /// instructions, whatever else the host does. All processors take turns.
    Instructions,
}

/// Where the guest's console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// In a file, which error messages quote.
    Log,
    /// In our terminal, with a shell; leaving it switches the guest off.
    Shell,
}

/// What the machine is made of.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    /// Number of processors.
    pub processors: u16,
    /// Queue pairs of each network card. XDP wants one more for each processor to send from.
    pub queues: u16,
    /// What time is.
    pub clock: Clock,
    /// Where the console is.
    pub console: Console,
}

impl Default for Hardware {
    fn default() -> Self {
        Self { processors: 2, queues: 4, clock: Clock::Real, console: Console::Log }
    }
}

/// A machine that has booted. It is switched off on drop.
#[derive(Debug)]
pub struct Machine {
    process: Child,
    link: Mutex<BufReader<UnixStream>>,
    release: String,
    directory: TempDir,
}

impl Machine {
    /// Boots in a namespace with the interfaces [`TAPS`], and waits until the guest answers.
    ///
    /// # Errors
    ///
    /// If QEMU does not start or the guest does not answer; the message has what was on its console.
    pub(super) fn boot(netns: &Netns, image: &Image, hardware: &Hardware) -> Result<Self> {
        let directory = temporary::directory("guest")?;
        let log = File::create(directory.path().join(LOG)).context(LOG)?;
        let mut command = qemu(image, hardware, directory.path())?;
        if hardware.console == Console::Log {
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        }
        let process = netns.spawn(&mut command)?;
        let mut starting = Starting(Some(process));
        let connected = connect(&mut starting, &directory.path().join(SOCKET));
        let (link, release) = connected
            .with_context(|| format!("the guest does not boot; its console:\n{}", tail(&directory)))?;
        let process = starting.0.take().context("QEMU is gone")?;
        Ok(Self { process, link: Mutex::new(link), release, directory })
    }

    /// The guest's kernel, as `uname -r` says.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Runs a script in the guest's shell and gives its standard output. BusyBox's own programs come before those in the path:
    /// iproute2 is `/sbin/ip`.
    ///
    /// # Errors
    ///
    /// If it does not end with status 0; the message has what it wrote to standard error.
    pub fn sh(&self, script: &str) -> Result<String> {
        let (status, stdout, stderr) = self.output(script)?;
        ensure!(status == 0, "in the guest, status {status}: {}\n{}{}", script.trim(), stdout, stderr.trim());
        Ok(stdout)
    }

    /// Runs a script whose success is not expected; gives status, standard output and standard error.
    ///
    /// # Errors
    ///
    /// If the guest does not answer.
    pub fn output(&self, script: &str) -> Result<(i32, String, String)> {
        let Answer { status, stdout, stderr } = self.ask(&Request::Run(script.to_owned()))?;
        Ok((status, stdout, stderr))
    }

    /// How busy the guest has been. To ask takes few instructions, unlike a script.
    ///
    /// # Errors
    ///
    /// If the guest does not answer.
    pub fn usage(&self) -> Result<Usage> {
        let answer = self.ask(&Request::Usage)?;
        serde_json::from_str(&answer.stdout).context("the guest's /proc/timer_list has other fields")
    }

    /// Waits until the machine is switched off from within.
    ///
    /// # Errors
    ///
    /// If QEMU fails.
    pub fn wait(mut self) -> Result<()> {
        let status = self.process.wait()?;
        ensure!(status.success(), "QEMU ended with {status}");
        Ok(())
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        link.get_mut().set_read_timeout(Some(SCRIPT_LIMIT))?;
        let answer =
            link.get_mut().write_all(line.as_bytes()).context("write").and_then(|()| hear(&mut link));
        answer.with_context(|| format!("the guest is silent; its console:\n{}", tail(&self.directory)))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A machine that may not come up.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

const SOCKET: &str = "agent.sock";
const LOG: &str = "console.log";

/// The end of what was on the console.
fn tail(directory: &TempDir) -> String {
    let text = std::fs::read(directory.path().join(LOG)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Connects to the guest's port and waits for what it says first.
fn connect(starting: &mut Starting, socket: &Path) -> Result<(BufReader<UnixStream>, String)> {
    let stream = clock::wait_for("QEMU to listen", Duration::from_secs(10), || {
        let ended = starting.0.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
        if ended {
            return Some(Err(anyhow::anyhow!("QEMU has ended")));
        }
        UnixStream::connect(socket).ok().map(Ok)
    })??;
    stream.set_read_timeout(Some(BOOT_LIMIT))?;
    let mut link = BufReader::new(stream);
    let hello: Hello = hear(&mut link)?;
    Ok((link, hello.release))
}

fn hear<T: DeserializeOwned>(link: &mut BufReader<UnixStream>) -> Result<T> {
    let mut line = String::new();
    if link.read_line(&mut line).context("no answer in time")? == 0 {
        bail!("the machine has been switched off");
    }
    serde_json::from_str(&line).with_context(|| format!("the guest said {line}"))
}

/// What a network card leaves to others cannot be had with XDP. All of it off makes every way of forwarding do the same work.
const NO_OFFLOADS: &str = "csum=off,guest_csum=off,gso=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,\
                           host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,mrg_rxbuf=off";

fn qemu(image: &Image, hardware: &Hardware, directory: &Path) -> Result<Command> {
    let Hardware { processors, queues, clock, console } = *hardware;
    let mut command = Command::new(find_program("qemu-system-x86_64")?);
    command.args(["-M", "q35", "-cpu", "max", "-m", "768", "-smp", &processors.to_string()]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    match clock {
        Clock::Real => command.args(["-accel", "tcg,thread=multi"]),
        Clock::Instructions => command.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"]),
    };
    let shell = if console == Console::Shell { agent::SHELL } else { "" };
    command.arg("-kernel").arg(&image.kernel.file).arg("-initrd").arg(&image.file);
    command.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 mitigations=off {shell}"));
    command.args(["-serial", if console == Console::Shell { "mon:stdio" } else { "stdio" }]);
    command.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent"]);
    let socket = directory.join(SOCKET);
    command.arg("-chardev").arg(format!("socket,id=agent,path={},server=on,wait=off", socket.display()));
    for (tap, mac) in TAPS.iter().zip(MACS) {
        let vectors = 2 * queues + 2;
        let backend = format!("tap,id={tap},ifname={tap},queues={queues},script=no,downscript=no,vhost=off");
        let card =
            format!("virtio-net-pci,netdev={tap},mq=on,vectors={vectors},mac={mac},romfile=,{NO_OFFLOADS}");
        command.args(["-netdev", &backend, "-device", &card]);
    }
    Ok(command)
}
