//! `cargo xtask test`.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Instant;

use xtask::{Context, Error, Result, command};

use super::vm::GUEST;
use super::{Verb, check};
use crate::args::Args;
use crate::host::{self, LBCTL, LBD, Profile};
use crate::setup::{Downloads, Level, ensure, ensure_guest_if_possible, ensure_schemathesis_if_possible};
use crate::summary::Summary;

pub(crate) const VERB: Verb = Verb {
    name: "test",
    summary: "Check, then run all tests",
    synopsis: "[--host-only] [FILTER]",
    details: "  --host-only  leave out the tests that need root and network namespaces
  FILTER       run only tests whose name contains this

Uses cargo-nextest where it is installed. The tests of the package lb-tests run one at a time.

Environment:
  LB_REQUIRE_PRIVILEGED=1  a test that cannot run here fails; otherwise it says why, and counts as skipped",
    run,
};

#[expect(clippy::disallowed_methods, reason = "the time shown to the developer is real time")]
fn run(mut args: Args) -> Result<()> {
    let start = Instant::now();
    let scope = if args.flag("--host-only") { Scope::Host } else { Scope::Everything };
    let filter = args.optional()?;
    ensure(scope.level(), Downloads::Refused)?;
    ensure_schemathesis_if_possible();
    check::run(Downloads::Refused)?;
    if scope == Scope::Everything {
        ensure_guest_if_possible(Downloads::Refused);
        host::build(Profile::Debug, &[LBD, LBCTL, GUEST])?;
    }
    let skips = SkipLog::new()?;
    let mut total = Summary::default();
    let mut failed = false;
    for mut command in commands(scope, filter.as_deref()) {
        command.env("LB_BIN_DIR", host::bin_dir(Profile::Debug)).env(SKIP_LOG_VARIABLE, &skips.path);
        let (summary, success) = run_and_count(&mut command, filter.is_some())?;
        total += summary;
        failed |= !success;
    }
    let skipped = skips.read();
    total.passed_but_skipped(skipped.lines().count());
    eprint!("{skipped}");
    if total.flaky > 0 {
        eprintln!("{} of them passed only when repeated: see FLAKY above", total.flaky);
    }
    println!("{total} in {:.1} s", start.elapsed().as_secs_f64());
    if failed || total.failed > 0 { Err(Error::new("tests failed")) } else { Ok(()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Host,
    Everything,
}

impl Scope {
    fn level(self) -> Level {
        match self {
            Self::Host => Level::Build,
            Self::Everything => Level::Network,
        }
    }
}

const PRIVILEGED: &str = "lb-tests";

fn commands(scope: Scope, filter: Option<&str>) -> Vec<Command> {
    match command::find_program("cargo-nextest") {
        Some(_) => nextest(scope, filter),
        None => libtest(scope, filter),
    }
}

/// The configuration of nextest keeps the tests of lb-tests apart. Documentation tests are unknown to it.
fn nextest(scope: Scope, filter: Option<&str>) -> Vec<Command> {
    let mut documentation = host::cargo();
    documentation.args(["test", "--doc", "--workspace", "--quiet", "--no-fail-fast"]).args(filter);
    let mut others = host::cargo();
    others.args(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"]).args(filter);
    if scope == Scope::Host {
        others.args(["--exclude", PRIVILEGED]);
    }
    vec![documentation, others]
}

fn libtest(scope: Scope, filter: Option<&str>) -> Vec<Command> {
    let mut unprivileged = host::cargo();
    unprivileged.args(["test", "--workspace", "--exclude", PRIVILEGED, "--no-fail-fast"]).args(filter);
    let mut privileged = host::cargo();
    privileged.args(["test", "--package", PRIVILEGED, "--no-fail-fast"]).args(filter);
    privileged.args(["--", "--test-threads=1"]);
    match scope {
        Scope::Host => vec![unprivileged],
        Scope::Everything => vec![unprivileged, privileged],
    }
}

/// Runs a test runner, shows what it prints, and counts. With a filter the tests that were not asked for are no news.
fn run_and_count(command: &mut Command, filtered: bool) -> Result<(Summary, bool)> {
    let terminal = std::io::stderr().is_terminal();
    if terminal {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let line = command::line(command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(&line)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut summary = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| forward(stdout, std::io::stdout()));
        let mut summary = forward(stderr, std::io::stderr());
        summary += stdout.join().unwrap_or_default();
        summary
    });
    if filtered {
        summary.skipped = 0;
    }
    let status = child.wait().context(&line)?;
    Ok((summary, status.success()))
}

fn forward(from: Option<impl Read>, mut to: impl Write) -> Summary {
    let mut summary = Summary::default();
    let lines = from.map(|pipe| BufReader::new(pipe).split(b'\n')).into_iter().flatten();
    for line in lines.map_while(std::io::Result::ok) {
        if let Some(part) = Summary::parse(&String::from_utf8_lossy(&line)) {
            summary += part;
        }
        // A closed terminal must not stop the tests.
        let _ = to.write_all(&line).and_then(|()| to.write_all(b"\n"));
    }
    summary
}

const SKIP_LOG_VARIABLE: &str = "LB_SKIP_LOG";

/// A file to which a test that cannot run here appends one line, `skipped <test>: <reason>`. The runners know it as
/// passed, and do not show what a passed test prints.
struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    fn new() -> Result<Self> {
        let path = env::temp_dir().join(format!("lb-skipped-{}", process::id()));
        fs::write(&path, "").context(path.display())?;
        Ok(Self { path })
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_default()
    }
}

impl Drop for SkipLog {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        eprintln!("{}: {error}", path.display());
    }
}
