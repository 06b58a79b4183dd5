//! Debian's kernel 6.1 for the guest, unpacked below `target/vm` and never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use xtask::{Context, Error, Result, command, target_dir};

use super::apt::Apt;
use super::say;
use super::staging::{Staging, lock};

/// The series that the guest is to have. It is the oldest that is supported.
const SERIES: &str = "linux-image-6.1.";
/// What depends on the newest kernel of the Debian release.
const META_PACKAGE: &str = "linux-image-amd64";
/// What a router with virtio network cards needs of it; the rest would be 300 MB of drivers.
const WANTED: &[&str] = &[
    "./boot/vmlinuz-*",
    "./lib/modules/*/modules.*",
    "./lib/modules/*/kernel/crypto/*",
    "./lib/modules/*/kernel/lib/*",
    "./lib/modules/*/kernel/net/*",
    "./lib/modules/*/kernel/drivers/virtio/*",
    "./lib/modules/*/kernel/drivers/char/virtio_console.ko",
    "./lib/modules/*/kernel/drivers/net/*.ko",
    "./lib/modules/*/kernel/arch/x86/crypto/*",
];

/// Where the kernel and its modules are, as `boot/` and `lib/modules/`. The guest of lb-tests looks here.
fn directory() -> PathBuf {
    target_dir().join("vm/kernel")
}

/// Whether nothing is left to do.
pub(super) fn is_there() -> bool {
    directory().is_dir()
}

/// Downloads and unpacks the kernel.
pub(super) fn install(apt: &mut Apt) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Error::new("the guest runs programs of x86_64 only"));
    }
    let parent = target_dir().join("vm");
    fs::create_dir_all(&parent).context(parent.display())?;
    let _lock = lock(&parent)?;
    if is_there() {
        return Ok(());
    }
    let package = package(&apt.dependencies(META_PACKAGE)?)?;
    let staging = Staging::new(parent.join(".installing"))?;
    let download = staging.path().join("download");
    fs::create_dir_all(&download).context(download.display())?;
    apt.download(&package, &download)?;
    say(&format!("unpacking {package}"));
    unpack(&only_file(&download)?, staging.path())?;
    fs::remove_dir_all(&download).context(download.display())?;
    let release = package.trim_start_matches("linux-image-");
    let depmod = command::find_program("depmod").unwrap_or_else(|| "depmod".into());
    command::run(command::clean(depmod).arg("-b").arg(staging.path()).arg(release))?;
    staging.publish(&directory())
}

/// The package of the right series among the dependencies of the one without a version.
fn package(dependencies: &str) -> Result<String> {
    let names = dependencies.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let names: Vec<_> = names.map(str::trim).collect();
    names.iter().find(|name| name.starts_with(SERIES)).map(|name| (*name).to_owned()).ok_or_else(|| {
        let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        Error::new(format!("the guest needs {SERIES}*, but {META_PACKAGE} is {found} in this Debian"))
    })
}

fn only_file(directory: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(directory).context(directory.display())?;
    match entries.next() {
        Some(entry) => Ok(entry.context(directory.display())?.path()),
        None => Err(Error::new(format!("apt-get left nothing in {}", directory.display()))),
    }
}

/// Takes what is wanted out of a Debian package.
fn unpack(package: &Path, destination: &Path) -> Result<()> {
    let mut archive = command::clean("dpkg-deb");
    archive.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped());
    let line = command::line(&archive);
    let mut archive = archive.spawn().context(&line)?;
    let mut tar = command::clean("tar");
    tar.arg("--extract").arg("--directory").arg(destination).arg("--wildcards").args(WANTED);
    tar.stdin(archive.stdout.take().map_or_else(Stdio::null, Stdio::from));
    let unpacked = command::run(&mut tar);
    let status = archive.wait().context(&line)?;
    unpacked?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("{line}: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_found_behind_the_package_without_a_version() {
        let output = "linux-image-amd64\n  Depends: linux-image-6.1.0-50-amd64\n  Provides: x\n";
        assert_eq!(package(output).unwrap(), "linux-image-6.1.0-50-amd64");
    }

    #[test]
    fn another_kernel_will_not_do() {
        let error = package("linux-image-amd64\n  Depends: linux-image-6.12.3-amd64\n").unwrap_err();
        assert!(error.to_string().contains("linux-image-6.12.3-amd64"), "{error}");
        assert!(package("").unwrap_err().to_string().contains("nothing"));
    }
}
