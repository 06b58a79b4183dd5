//! `cargo xtask demo`, and how a verb becomes a program of lb-tests.

use std::os::unix::process::CommandExt;
use std::process::Command;

use xtask::{Context, Result};

use super::Verb;
use crate::args::Args;
use crate::host::{self, Binary, LBCTL, LBD, Profile};
use crate::setup::{Downloads, Level, ensure};

pub(crate) const VERB: Verb = Verb {
    name: "demo",
    summary: "Balance real connections between network namespaces",
    synopsis: "[arguments of the demo]",
    details: "Needs root. `cargo xtask demo -- --help` lists the demo's own arguments.",
    run: |args| become_program(Binary { package: "lb-tests", name: "lb-demo" }, &[], args),
};

/// Builds everything, also what the program starts, and replaces this process, so that Ctrl-C and the exit status are the program's own.
pub(super) fn become_program(program: Binary, started: &[Binary], args: Args) -> Result<()> {
    ensure(Level::Network, Downloads::Refused)?;
    let bin_dir = host::bin_dir(Profile::Release);
    let path = bin_dir.join(program.name);
    let binaries: Vec<_> = [LBD, LBCTL, program].iter().chain(started).copied().collect();
    host::build(Profile::Release, &binaries)?;
    let error = Command::new(&path).args(args.rest()).env("LB_BIN_DIR", bin_dir).exec();
    Err(error).context(path.display())
}
