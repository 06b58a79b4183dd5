//! The guest's root file system: programs with their libraries, and kernel modules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Kernel, agent::START, cpio::Archive, find_program, libraries, modules::Dependencies};
use crate::{command, daemon, temporary};

/// Modules that are loaded at the start.
const START_MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_console"];
/// Modules that the kernel loads when they are asked for.
const MORE_MODULES: &[&str] = &[
    // What libcrc32c asks the kernel for, without saying so in modules.dep.
    "crc32c_generic",
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_mh",
    "nf_conntrack",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_nat",
    "nft_numgen",
    "nft_hash",
];
/// Files beside `modules.dep` that modprobe reads.
const MODULE_LISTS: &[&str] = &["modules.dep", "modules.alias", "modules.symbols", "modules.builtin"];
/// Programs of the system that the guest is given. BusyBox has an `ip` of its own, which knows less: scripts say `/sbin/ip`.
const SYSTEM_PROGRAMS: &[&str] = &["ip", "ethtool", "bpftool", "ipvsadm", "nft"];
/// Programs of the project.
const OWN_PROGRAMS: &[&str] = &["lbd", "lbctl", "lb-guest"];
/// What the guest does before it listens to the host.
const PREPARE: &str = "
mkdir -p /etc/lb /run/lb
/bin/busybox modprobe -a virtio_pci virtio_net virtio_console
/sbin/ip link set lo up
for scope in all default; do echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad; done
";

/// An image in a file, for as long as the value lives.
#[derive(Debug)]
pub struct Image {
    pub(super) file: PathBuf,
    pub(super) kernel: Kernel,
    _directory: TempDir,
}

impl Image {
    /// Puts the programs and modules together.
    ///
    /// # Errors
    ///
    /// If one of them is missing.
    pub fn build() -> Result<Self> {
        let kernel = Kernel::find()?;
        let directory = temporary::directory("image")?;
        let mut archive = Archive::default();
        for path in ["/proc", "/sys", "/dev", "/run", "/tmp", "/etc", "/var/run"] {
            archive.directory(path);
        }
        archive.device("/dev/console", 5, 1);
        archive.file(START, PREPARE.as_bytes());
        add_busybox(&mut archive)?;
        add_programs(&mut archive, directory.path())?;
        archive.link("/init", "/bin/lb-guest");
        add_modules(&mut archive, &kernel)?;
        let file = directory.path().join("image");
        fs::write(&file, archive.finish()).with_context(|| file.display().to_string())?;
        Ok(Self { file, kernel, _directory: directory })
    }
}

fn add_busybox(archive: &mut Archive) -> Result<()> {
    archive.program("/bin/busybox", &read(&find_program("busybox")?)?);
    archive.link("/bin/sh", "busybox");
    // The kernel starts this one for modules it lacks.
    archive.link("/sbin/modprobe", "/bin/busybox");
    Ok(())
}

fn add_programs(archive: &mut Archive, scratch: &Path) -> Result<()> {
    let mut all_libraries = std::collections::BTreeSet::new();
    for name in SYSTEM_PROGRAMS {
        let program = find_program(name)?;
        all_libraries.extend(libraries::of(&program)?);
        archive.program(&format!("/sbin/{name}"), &read(&program)?);
    }
    for name in OWN_PROGRAMS {
        let program = daemon::binary(name)?;
        all_libraries.extend(libraries::of(&program)?);
        archive.program(&format!("/bin/{name}"), &read(&stripped(&program, scratch)?)?);
    }
    for library in all_libraries {
        archive.program(&library, &read(Path::new(&library))?);
    }
    Ok(())
}

/// Without what only debuggers read, which is most of a program built for development.
fn stripped(program: &Path, scratch: &Path) -> Result<PathBuf> {
    let copy = scratch.join(program.file_name().context("a program without a name")?);
    let paths = [&copy, program].map(|path| path.display().to_string());
    command::run("strip", &["-o", &paths[0], &paths[1]])?;
    Ok(copy)
}

fn add_modules(archive: &mut Archive, kernel: &Kernel) -> Result<()> {
    let list = fs::read_to_string(kernel.modules.join("modules.dep")).context("modules.dep")?;
    let wanted: Vec<&str> = [START_MODULES, MORE_MODULES].concat();
    let directory = format!("/lib/modules/{}", kernel.release);
    for file in Dependencies::parse(&list).files(&wanted)? {
        archive.file(&format!("{directory}/{file}"), &read(&kernel.modules.join(&file))?);
    }
    for list in MODULE_LISTS {
        archive.file(&format!("{directory}/{list}"), &read(&kernel.modules.join(list))?);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
