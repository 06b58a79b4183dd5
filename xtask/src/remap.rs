//! Paths of this machine, and the names that what is built has for them instead: the same sources give the same bytes wherever
//! they are built, and nothing tells where that was.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// What the workspace is called.
const WORKSPACE: &str = "/usr/src/lb";
/// What a directory of unpacked crates is called; each crate is a directory below it.
const CRATES: &str = "/usr/src/crates";
/// What the sources of the standard library are called.
const LIBRARY: &str = "/usr/src/rust";

/// Pairs of a directory and its name; the compiler takes the last one that fits.
///
/// `sysroot` is that of a compiler which builds the standard library from its sources.
#[must_use]
pub fn prefixes(sysroot: Option<&Path>) -> Vec<(PathBuf, &'static str)> {
    let mut pairs: Vec<_> = crate_directories().into_iter().map(|directory| (directory, CRATES)).collect();
    if let Some(sources) = sysroot.map(|sysroot| sysroot.join("lib/rustlib/src/rust")) {
        // Debian's are a link to elsewhere, and the compiler has both names for them.
        pairs.extend(sources.canonicalize().ok().map(|elsewhere| (elsewhere, LIBRARY)));
        pairs.push((sources, LIBRARY));
    }
    pairs.push((root(), WORKSPACE));
    pairs
}

/// The pairs as flags of rustc.
#[must_use]
pub fn rustc_flags(sysroot: Option<&Path>) -> Vec<String> {
    let flag = |(from, to): (PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
    prefixes(sysroot).into_iter().map(flag).collect()
}

/// Where cargo unpacks crates: one directory for each registry, whose name depends on the registry's address.
#[must_use]
pub fn crate_directories() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let entries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok()).into_iter().flatten();
    let mut directories: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    directories.sort();
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_has_another_name_in_what_is_built() {
        let flags = rustc_flags(Some(Path::new("/opt/rust")));
        assert!(
            flags.contains(&"--remap-path-prefix=/opt/rust/lib/rustlib/src/rust=/usr/src/rust".to_owned())
        );
        assert_eq!(flags.last(), Some(&format!("--remap-path-prefix={}=/usr/src/lb", root().display())));
    }
}
