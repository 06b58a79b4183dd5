//! Schemathesis, a Python program that tests the API against its OpenAPI document, in an environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use xtask::{Context, Result, command, target_dir};

use super::apt::Apt;
use super::say;
use super::staging::{lock, remove_dir};

/// The versions of it and of all it needs.
const REQUIREMENTS: &str = include_str!("schemathesis.txt");

/// Where it is; the test in lb-userspace looks here.
fn directory() -> PathBuf {
    target_dir().join("tools/schemathesis")
}

/// Whether nothing is left to do: what is installed is what is wanted. It is written down last.
pub(super) fn is_there() -> bool {
    fs::read_to_string(directory().join("installed.txt")).is_ok_and(|installed| installed == REQUIREMENTS)
}

/// Makes the environment and fills it from the Python package index.
pub(super) fn install(apt: &mut Apt) -> Result<()> {
    let parent = target_dir().join("tools");
    fs::create_dir_all(&parent).context(parent.display())?;
    let _lock = lock(&parent)?;
    if is_there() {
        return Ok(());
    }
    say("installing schemathesis from the Python package index");
    let directory = directory();
    remove_dir(&directory)?;
    // Without its part python3-venv Debian's Python says so only when an environment is made.
    if make_environment(&directory).is_err() {
        remove_dir(&directory)?;
        apt.install(&["python3-venv"])?;
        make_environment(&directory)?;
    }
    let wanted = directory.join("wanted.txt");
    fs::write(&wanted, REQUIREMENTS).context(wanted.display())?;
    let mut pip = command::clean(directory.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip.args(["--retries", "1", "--timeout", "15", "--requirement"]).arg(&wanted);
    command::run(pip.stdin(Stdio::null()))?;
    let installed = directory.join("installed.txt");
    fs::rename(&wanted, &installed).context(installed.display())
}

fn make_environment(directory: &PathBuf) -> Result<()> {
    let python = command::find_program("python3").unwrap_or_else(|| "python3".into());
    let mut venv = command::clean(python);
    command::run(venv.args(["-m", "venv"]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null()))
}
