//! A Debian in a directory below `target/debian`, in which the package is installed and removed. Nothing of it is installed here.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use xtask::{Context, Error, Result, command, target_dir};

use super::apt::Apt;
use super::say;
use super::staging::{Staging, lock};

/// The oldest release that the package is for.
const RELEASE: &str = "bookworm";
/// What a minimal Debian lacks of a machine that is started: an init system, and the programs that the measurement uses.
const PACKAGES: &str = "--include=dbus,iproute2,procps,systemd,systemd-sysv";

/// Where its root is. `debian` of lb-tests looks here.
fn directory() -> PathBuf {
    target_dir().join("debian/root")
}

/// Whether nothing is left to do.
pub(super) fn is_there() -> bool {
    directory().is_dir()
}

/// Makes it of Debian's packages, in some minutes.
pub(super) fn install(apt: &mut Apt) -> Result<()> {
    let parent = target_dir().join("debian");
    fs::create_dir_all(&parent).context(parent.display())?;
    let _lock = lock(&parent)?;
    if is_there() {
        return Ok(());
    }
    if command::find_program("debootstrap").is_none() {
        apt.install(&["debootstrap"])?;
    }
    say(&format!("making a Debian ({RELEASE}) in {}", parent.display()));
    let staging = Staging::new(parent.join(".installing"))?;
    let root = staging.path().join("root");
    let log = parent.join("debootstrap.log");
    let file = fs::File::create(&log).context(log.display())?;
    // What it mounts goes with it, should it be killed.
    let mut debootstrap = command::clean("unshare");
    debootstrap.args(["--mount", "debootstrap", "--variant=minbase", PACKAGES, RELEASE]).arg(&root);
    debootstrap.stdin(Stdio::null()).stdout(file);
    command::run(&mut debootstrap).map_err(|error| Error::new(format!("{error}; see {}", log.display())))?;
    fs::rename(&root, directory()).context(directory().display())
}
