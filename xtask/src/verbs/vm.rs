//! `cargo xtask vm`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use xtask::{Context, Result};

use super::Verb;
use crate::args::Args;
use crate::host::{self, Binary, LBCTL, LBD, Profile};
use crate::setup::{Downloads, Level, ensure};

pub(crate) const VERB: Verb = Verb {
    name: "vm",
    summary: "Boot a guest with kernel 6.1",
    synopsis: "[--shell | -- COMMAND]",
    details: "\
Boots Debian's kernel 6.1 in QEMU, without hardware virtualisation, between a client and a server in network namespaces,
each behind a virtio network card with several queues. Needs root. The kernel is unpacked in target/vm, not installed;
remove that directory to get a newer one.

  (nothing)   check that lbd's program is accepted, is attached natively and forwards
  --shell     a shell in the guest; `exit` ends it
  -- COMMAND  run a command in the guest's shell",
    run,
};

/// What serves the host in the guest, and what starts the guest.
pub(super) const GUEST: Binary = Binary { package: "lb-tests", name: "lb-guest" };

fn run(args: Args) -> Result<()> {
    ensure(Level::Guest, Downloads::Refused)?;
    host::build(Profile::Debug, &[LBD, LBCTL, GUEST])?;
    let bin_dir = host::bin_dir(Profile::Debug);
    let path = bin_dir.join(GUEST.name);
    let error = Command::new(&path).args(args.all()).env("LB_BIN_DIR", bin_dir).exec();
    Err(error).context(path.display())
}
