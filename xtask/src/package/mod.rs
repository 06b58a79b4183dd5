//! The Debian package: what is in it, and that it is the same whoever builds it.
//!
//! `dpkg-deb` makes the archive of a directory that is filled here; nothing else of Debian's tools is needed. What goes where is in
//! [`contents`], what the package says of itself in [`control`], whose code is in it in [`licences`].

use std::env;
use std::path::{Path, PathBuf};

use xtask::{Context, Error, Result, command, root};

use self::tree::Tree;

mod contents;
mod control;
mod dependencies;
mod licences;
pub(crate) mod reproducible;
mod tree;

/// Name of the package.
const NAME: &str = "lb";

/// What is to be packaged.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Where `lbd` and `lbctl` are.
    pub(crate) binaries: PathBuf,
    /// The number behind the version, which grows with each package of the same version.
    pub(crate) revision: u32,
    /// Seconds since 1970: the time of all that is in it.
    pub(crate) epoch: u64,
    /// How much time the compression may take.
    pub(crate) compression: Compression,
}

/// How the archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Small, for those who download it.
    Small,
    /// Quick, for tests.
    Quick,
}

impl Package {
    /// Makes the package in a directory; the same input gives the same bytes.
    pub(crate) fn build(&self, output: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(output).context(output.display())?;
        let tree = Tree::create(output.join(".tree"))?;
        contents::fill(&tree, self)?;
        control::fill(&tree, self)?;
        let path = output.join(format!("{NAME}_{}_{}.deb", self.version(), architecture()?));
        let mut dpkg = command::clean("dpkg-deb");
        dpkg.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        // The number of threads shows in the archive.
        dpkg.env("DPKG_DEB_THREADS_MAX", "1");
        dpkg.arg("--root-owner-group").args(match self.compression {
            Compression::Small => ["-Zxz", "-z6"],
            Compression::Quick => ["-Zgzip", "-z1"],
        });
        dpkg.arg("--build").arg(tree.root()).arg(&path);
        command::run(dpkg.stdout(std::process::Stdio::null()))?;
        tree.remove()?;
        Ok(path)
    }

    /// Version of the workspace, and the revision.
    fn version(&self) -> String {
        format!("{}-{}", env!("CARGO_PKG_VERSION"), self.revision)
    }
}

/// What Debian calls this machine's architecture.
fn architecture() -> Result<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(Error::new(format!("there is no package for {other}"))),
    }
}

/// The time that everything in the package has: `SOURCE_DATE_EPOCH`, or that of the last commit.
pub(crate) fn epoch() -> Result<u64> {
    let named = env::var("SOURCE_DATE_EPOCH").ok();
    let commit = || command::stdout(command::clean("git").args(["log", "-1", "--format=%ct"]));
    let Some(text) = named.or_else(commit) else {
        let place = root();
        let reason =
            format!("{} has no history; set SOURCE_DATE_EPOCH to the time of the release", place.display());
        return Err(Error::new(reason));
    };
    text.parse().map_err(|_| Error::new(format!("SOURCE_DATE_EPOCH={text}: expected seconds since 1970")))
}
