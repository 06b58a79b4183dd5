//! What the package says of itself, and the scripts that dpkg runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use xtask::{Context, Result, root};

use super::contents::{CONFIGURATION, output, read};
use super::tree::{PROGRAM, READABLE, Tree};
use super::{NAME, Package, architecture, dependencies};

/// Who made it. The domain is one that cannot be.
pub(super) const MAINTAINER: &str = "The lb authors <lb@packages.invalid>";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
const DESCRIPTION: &str = "\
L4 load balancer that forwards by XDP
 An XDP program translates the addresses of TCP and UDP packets, IPv4 and IPv6,
 at the driver of the network card; a daemon checks the health of backends,
 fills the program's maps, moves addresses between two machines (VRRP) and
 serves metrics.
 .
 Nothing is started or attached to an interface by the installation.
";

/// Fills `DEBIAN/`, after everything else is there.
pub(super) fn fill(tree: &Tree, package: &Package) -> Result<()> {
    let files = tree.files()?;
    tree.add("DEBIAN/control", control(tree, package, &files)?, READABLE)?;
    tree.add("DEBIAN/conffiles", format!("{CONFIGURATION}\n"), READABLE)?;
    tree.add("DEBIAN/md5sums", sums(tree, &files)?, READABLE)?;
    for script in SCRIPTS {
        tree.add(&format!("DEBIAN/{script}"), read(&root().join("xtask/package").join(script))?, PROGRAM)?;
    }
    Ok(())
}

fn control(tree: &Tree, package: &Package, files: &[PathBuf]) -> Result<String> {
    let mut kibibytes = 0;
    for file in files {
        let path = tree.root().join(file);
        kibibytes += fs::metadata(&path).context(path.display())?.len().div_ceil(1024);
    }
    let depends = dependencies::of(&["usr/sbin/lbd", "usr/bin/lbctl"].map(|path| tree.root().join(path)))?;
    Ok(format!(
        "Package: {NAME}\nVersion: {}\nArchitecture: {}\nMaintainer: {MAINTAINER}\nInstalled-Size: {kibibytes}\n\
        Depends: {depends}\nRecommends: systemd (>= 252)\nSection: net\nPriority: optional\nDescription: {DESCRIPTION}",
        package.version(),
        architecture()?,
    ))
}

/// Digests of all files but the configuration, which is somebody's to change.
fn sums(tree: &Tree, files: &[PathBuf]) -> Result<Vec<u8>> {
    let files = files.iter().filter(|file| !CONFIGURATION.ends_with(&*file.to_string_lossy()));
    output(Command::new("md5sum").current_dir(tree.root()).args(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_understood_by_the_shell_and_end_at_the_first_error() {
        for script in SCRIPTS {
            let path = root().join("xtask/package").join(script);
            output(Command::new("sh").arg("-n").arg(&path)).unwrap();
            assert!(fs::read_to_string(&path).unwrap().starts_with("#!/bin/sh\nset -e\n"), "{script}");
        }
    }

    #[test]
    fn the_sample_configuration_says_nothing() {
        let text = fs::read_to_string(root().join("xtask/package/lb.toml")).unwrap();
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    }
}
