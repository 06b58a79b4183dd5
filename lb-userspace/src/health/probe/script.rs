//! A program of the operator, as an unprivileged user.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Deadline, MAX_BODY, MAX_SCRIPTS, Step, Subject, excerpt};
use crate::health::{Outcome, ScriptUser};
use crate::model::ScriptProbe;
use crate::sys::process::{self, ProcessEnd};

/// Output that is kept for the reason.
const KEPT: usize = 1024;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program of the operator, with the user that it runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub(in crate::health) program: ScriptProbe,
    /// Whom it becomes; `None`: who we are.
    pub(in crate::health) user: Option<ScriptUser>,
}

impl Program {
    /// Runs it with `environment` and ends its process group whatever happens: [`Outcome::Healthy`] is exit status 0.
    ///
    /// Ends within `limit`. Dropping the future ends the process group, too.
    pub async fn run(&self, environment: &[(&str, String)], limit: Duration) -> Outcome {
        run(&self.program, self.user, environment, Deadline::after(limit))
            .await
            .err()
            .unwrap_or(Outcome::Healthy)
    }
}

/// Waits for its turn, and runs it.
pub(super) async fn probe(
    probe: &ScriptProbe,
    user: Option<ScriptUser>,
    subject: &Subject,
    turns: &Semaphore,
    limit: Duration,
) -> Step<()> {
    let turn = timeout(limit, turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(Outcome::NotTried(
            format!("{MAX_SCRIPTS} other scripts were running all the time").into(),
        ));
    };
    let environment = [
        ("LB_SERVICE", subject.service.clone()),
        ("LB_BACKEND", subject.backend.clone()),
        ("LB_ADDRESS", subject.address.ip().to_string()),
        ("LB_PORT", subject.address.port().to_string()),
    ];
    run(probe, user, &environment, Deadline::after(limit)).await
}

async fn run(
    program: &ScriptProbe,
    user: Option<ScriptUser>,
    environment: &[(&str, String)],
    mut deadline: Deadline,
) -> Step<()> {
    let failed = |error: io::Error| {
        Outcome::NotTried(format!("cannot run {}: {error}", program.path.display()).into())
    };
    let mut script = Script::start(program, user, environment).await.map_err(failed)?;
    let mut output = Output::default();
    let ended = deadline.within("running the script", script.end(&mut output)).await;
    // What it left behind goes too.
    script.group.kill();
    let reason = match ended {
        Ok(Ok(End::Itself)) => match script.group.status().map_err(failed)? {
            status if status.success() => return Ok(()),
            status => output.after(&told(status)),
        },
        Ok(Ok(End::TooMuch)) => "it printed more than 64 KiB".to_owned(),
        Ok(Err(error)) => return Err(failed(error)),
        Err(Outcome::Failed(reason)) => output.after(&reason),
        Err(outcome) => return Err(outcome),
    };
    Err(Outcome::Failed(reason.into()))
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
    }
}

/// A script that runs.
struct Script {
    group: Group,
    end: ProcessEnd,
    output: Receiver,
}

/// How a script ended.
enum End {
    Itself,
    TooMuch,
}

impl Script {
    async fn start(
        program: &ScriptProbe,
        user: Option<ScriptUser>,
        environment: &[(&str, String)],
    ) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(&program.path);
        command.args(&program.args).env_clear().current_dir("/").process_group(0);
        command.env("PATH", PATH).envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        process::unprivileged(&mut command, user.map(|user| (user.uid, user.gid)));
        // A new process takes a copy of page tables, which takes a while where there are many: not on a thread of the runtime.
        let spawned = tokio::task::spawn_blocking(move || command.spawn().map(|child| Group(Some(child))));
        let group = spawned.await.map_err(io::Error::other)??;
        let end = ProcessEnd::of(group.id())?;
        Ok(Self { group, end, output: Receiver::from_owned_fd(reader.into())? })
    }

    /// Takes its output until its process ends, which is left to be waited for.
    async fn end(&mut self, output: &mut Output) -> io::Result<End> {
        let mut buffer = [0; 4096];
        let mut open = true;
        while open {
            tokio::select! {
                biased;
                read = self.output.read(&mut buffer) => match read? {
                    0 => open = false,
                    length if output.take(&buffer[..length]) => {}
                    _ => return Ok(End::TooMuch),
                },
                ended = self.end.wait() => {
                    ended?;
                    // What it wrote last; others may hold the pipe open.
                    while let Ok(length @ 1..) = self.output.try_read(&mut buffer) {
                        if !output.take(&buffer[..length]) {
                            return Ok(End::TooMuch);
                        }
                    }
                    return Ok(End::Itself);
                }
            }
        }
        self.end.wait().await?;
        Ok(End::Itself)
    }
}

/// The process group of a child, ended on drop. Until the child was waited for, no other group has its number.
struct Group(Option<Child>);

impl Group {
    fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// SIGKILL for all of it, once.
    fn kill(&self) {
        if let Some(id) = self.0.as_ref().and_then(|child| i32::try_from(child.id()).ok()) {
            // Nobody may be left.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }

    /// How the child ended; only once it has.
    fn status(&mut self) -> io::Result<ExitStatus> {
        match self.0.take() {
            Some(mut child) => child.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let Some(mut child) = self.0.take() else { return };
        // One that the kernel holds up is waited for elsewhere.
        if let (Ok(None), Ok(runtime)) = (child.try_wait(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || child.wait()));
        }
    }
}

/// What a script prints: the beginning is kept, the rest counted.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    length: usize,
}

impl Output {
    /// False once it is too much.
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.length += bytes.len();
        let room = KEPT - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length <= MAX_BODY
    }

    /// A reason with the first line that was printed.
    fn after(&self, reason: &str) -> String {
        let line = self.kept.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.is_empty() { reason.to_owned() } else { format!("{reason}: {}", excerpt(line)) }
    }
}
