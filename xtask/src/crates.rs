//! The crates of others that the workspace is built of, as cargo knows them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use xtask::{Context, Error, Result, command, remap};

use crate::host;

/// A crate of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Its licence, as an SPDX expression or nearly so; empty if it names none.
    pub(crate) licence: String,
}

/// Which part of the workspace, by the arguments of `cargo tree`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// What is linked into `lbd` and `lbctl`, or makes code for them.
    Programs,
    /// The same of the BPF object.
    Object,
    /// Everything for this machine, with what only tests and builds need.
    Everything,
}

impl Part {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Programs => &["--package", "lb-userspace", "--edges", "normal"],
            Self::Object => &["--package", "lb-ebpf", "--edges", "normal", "--target", "bpfel-unknown-none"],
            Self::Everything => &["--workspace", "--edges", "normal,build,dev"],
        }
    }
}

/// The crates of a part, sorted.
pub(crate) fn of(part: Part) -> Result<BTreeSet<Crate>> {
    let mut tree = host::cargo();
    tree.args(["tree", "--locked", "--quiet", "--prefix", "none", "--format", "{p}|{l}"])
        .args(part.arguments());
    let output = tree.output().context(command::line(&tree))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("{}: {}\n{said}", command::line(&tree), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect())
}

/// A line such as `serde_derive v1.0.229 (proc-macro)|MIT OR Apache-2.0 (*)`; nothing for the workspace's own.
fn parse(line: &str) -> Option<Crate> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    if words.any(|word| word.starts_with("(/")) {
        return None;
    }
    let licence = licence.trim_end_matches("(*)").trim();
    Some(Crate { name: name.into(), version: version.into(), licence: licence.into() })
}

impl Crate {
    /// Where cargo has unpacked it.
    pub(crate) fn directory(&self) -> Result<PathBuf> {
        let name = format!("{}-{}", self.name, self.version);
        let mut candidates = remap::crate_directories().into_iter().map(|directory| directory.join(&name));
        candidates.find(|directory| directory.is_dir()).ok_or_else(|| {
            Error::new(format!("the sources of {name} are not there; `cargo fetch --locked` unpacks them"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree_are_read() {
        let read = |line| parse(line).map(|one| [one.name, one.version, one.licence]);
        let expected = |name: &str, licence: &str| Some([name, "1.2.3", licence].map(str::to_owned));
        assert_eq!(read("a v1.2.3|MIT"), expected("a", "MIT"));
        assert_eq!(read("a v1.2.3 (proc-macro)|MIT OR Apache-2.0 (*)"), expected("a", "MIT OR Apache-2.0"));
        assert_eq!(read("a v1.2.3|"), expected("a", ""));
        assert_eq!(read("lb-common v0.1.0 (/somewhere/lb-common)|MIT"), None);
        assert_eq!(read(""), None);
    }
}
