//! bpf-linker, compiled against the LLVM of the BPF toolchain.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::toolchain::{BPF_LINKER_VERSION, Toolchain, linker_dir};
use xtask::{Context, Error, Result, command, target_dir};

use super::apt::Apt;
use super::say;
use super::staging::{Staging, lock, remove_dir};

/// Installs the linker for a toolchain. Its directory appears when it is complete, and not before.
pub(super) fn install(apt: &mut Apt, toolchain: &Toolchain) -> Result<()> {
    let llvm_major = toolchain.version.llvm_major;
    let bin_dir = ensure_llvm(apt, llvm_major)?;
    let tools = target_dir().join("tools");
    fs::create_dir_all(&tools).context(tools.display())?;
    let _lock = lock(&tools)?;
    if toolchain.linker().is_some() {
        return Ok(());
    }
    say(&format!("compiling bpf-linker {BPF_LINKER_VERSION} for LLVM {llvm_major}, about a minute"));
    let staging = Staging::new(tools.join(".installing"))?;
    command::run(&mut cargo_install(staging.path(), llvm_major, &bin_dir))?;
    remove_dir(&staging.path().join("target"))?;
    let destination = linker_dir(llvm_major);
    staging.publish(&destination)
}

fn cargo_install(root: &Path, llvm_major: u32, llvm_bin_dir: &Path) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut cargo = command::clean("cargo");
    cargo
        .env("PATH", format!("{}:{path}", llvm_bin_dir.display()))
        .env("CARGO_TARGET_DIR", root.join("target"));
    cargo.args(["install", "--quiet", "--locked", "bpf-linker", "--version", BPF_LINKER_VERSION]);
    cargo.args(["--no-default-features", "--features", &format!("llvm-{llvm_major}"), "--root"]).arg(root);
    cargo
}

/// Where the programs of an LLVM with development files are: `llvm-config` tells the linker's build about the rest.
pub(super) fn llvm_bin_dir(llvm_major: u32) -> Option<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/llvm-{llvm_major}/bin"));
    if debian.join("llvm-config").exists() {
        return Some(debian);
    }
    let config = command::find_program("llvm-config")?;
    let version = command::stdout(command::clean(&config).arg("--version"))?;
    let matches = version.split('.').next() == Some(&llvm_major.to_string());
    matches.then(|| config.parent().map(Path::to_path_buf))?
}

/// The Debian package with the development files of an LLVM.
pub(super) fn llvm_package(llvm_major: u32) -> String {
    format!("llvm-{llvm_major}-dev")
}

/// LLVM refers to zstd and zlib, without which nothing links with it.
fn ensure_llvm(apt: &mut Apt, llvm_major: u32) -> Result<PathBuf> {
    if let Some(dir) = llvm_bin_dir(llvm_major)
        && ["zstd.h", "zlib.h"].iter().all(|header| Path::new("/usr/include").join(header).exists())
    {
        return Ok(dir);
    }
    apt.install(&[&llvm_package(llvm_major), "libzstd-dev", "zlib1g-dev"])?;
    llvm_bin_dir(llvm_major).ok_or_else(|| Error::new(format!("LLVM {llvm_major} has no llvm-config")))
}
