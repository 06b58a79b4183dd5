//! `cargo xtask package`.

use std::path::PathBuf;

use xtask::{Error, Result, target_dir};

use super::Verb;
use crate::args::Args;
use crate::host::{self, LBCTL, LBD, Profile};
use crate::package::{Compression, Package, epoch, reproducible};
use crate::setup::{Downloads, Level, ensure};

pub(crate) const VERB: Verb = Verb {
    name: "package",
    summary: "Make a Debian package, the same bytes wherever it is made",
    synopsis: "[--verify] [--debug | --binaries DIR] [--revision N] [--output DIR]",
    details: "\
Builds lbd and lbctl in target/package and makes target/package/lb_<version>-<revision>_<architecture>.deb of them. Paths and times of this machine
are not in it: everything has the time of the last commit, or SOURCE_DATE_EPOCH.

  --verify        build it once more in another directory, and compare
  --debug         package debug builds: for trying what the package does, not for use
  --binaries DIR  package the programs in DIR as they are, and build none; compressed for speed, too
  --revision N    the package's own number behind the version, 1
  --output DIR    where it goes, target/package",
    run,
};

fn run(mut args: Args) -> Result<()> {
    let (verify, debug) = (args.flag("--verify"), args.flag("--debug"));
    let binaries = args.value("--binaries")?.map(PathBuf::from);
    let revision = args.value("--revision")?.map_or(Ok(1), |text| number(&text))?;
    let output = args.value("--output")?.map_or_else(|| target_dir().join("package"), PathBuf::from);
    args.finish()?;
    if verify && (debug || binaries.is_some()) {
        return Err(Error::new("--verify is about release builds; see --help"));
    }
    let epoch = epoch()?;
    let compression = if debug || binaries.is_some() { Compression::Quick } else { Compression::Small };
    let binaries = match binaries {
        Some(directory) => directory,
        None => {
            ensure(Level::Build, Downloads::Refused)?;
            build(debug, epoch)?
        }
    };
    let package = Package { binaries, revision, epoch, compression };
    let path = package.build(&output)?;
    println!("{}", path.display());
    if verify { reproducible::verify(&path, revision, epoch) } else { Ok(()) }
}

fn build(debug: bool, epoch: u64) -> Result<PathBuf> {
    if !debug {
        return reproducible::build_programs(epoch);
    }
    host::build(Profile::Debug, &[LBD, LBCTL])?;
    Ok(host::bin_dir(Profile::Debug))
}

fn number(text: &str) -> Result<u32> {
    text.parse().map_err(|_| Error::new(format!("--revision {text}: expected a number")))
}
