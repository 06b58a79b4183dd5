//! `cargo xtask build`.

use xtask::{Output, Result, build_ebpf};

use super::Verb;
use crate::args::Args;
use crate::host::{self, LBCTL, LBD, Profile};
use crate::setup::{Downloads, Level, ensure};

pub(crate) const VERB: Verb = Verb {
    name: "build",
    summary: "Build the BPF object, lbd and lbctl",
    synopsis: "[--debug | --object]",
    details: "  --debug   build lbd and lbctl without optimisation; the BPF object is always optimised
  --object  build only the BPF object

`cargo build --release` does the same, but never installs anything.",
    run,
};

fn run(mut args: Args) -> Result<()> {
    let profile = if args.flag("--debug") { Profile::Debug } else { Profile::Release };
    let object_only = args.flag("--object");
    args.flag("--release");
    args.finish()?;
    ensure(Level::Build, Downloads::Refused)?;
    let object = build_ebpf(Output::Terminal)?.path().to_path_buf();
    if object_only {
        println!("{}", object.display());
        return Ok(());
    }
    let binaries = [LBD, LBCTL];
    host::build(profile, &binaries)?;
    println!("{}", object.display());
    for binary in binaries {
        println!("{}", host::bin_dir(profile).join(binary.name).display());
    }
    Ok(())
}
