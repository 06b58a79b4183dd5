//! `cargo xtask stack`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use xtask::{Context, Result};

use super::Verb;
use crate::args::Args;
use crate::host::{self, Binary, Profile};
use crate::setup::{Downloads, Level, ensure};

pub(crate) const VERB: Verb = Verb {
    name: "stack",
    summary: "Show how the data path spends its 512 bytes of stack",
    synopsis: "[--chains N] [--functions]",
    details: "\
Prints the deepest chains of calls, each function with the bytes of its frame: also of a program that the kernel refuses.

  --chains N   show so many instead of 20
  --functions  show all functions, too, with the number of their instructions",
    run,
};

const STACK: Binary = Binary { package: "lb-tests", name: "lb-stack" };

fn run(args: Args) -> Result<()> {
    ensure(Level::Build, Downloads::Refused)?;
    host::build(Profile::Debug, &[STACK])?;
    let path = host::bin_dir(Profile::Debug).join(STACK.name);
    let error = Command::new(&path).args(args.all()).exec();
    Err(error).context(path.display())
}
