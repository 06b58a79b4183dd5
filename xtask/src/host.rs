//! Commands for the host side: they use the cargo and the target directory that the user uses.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use xtask::{command, root, target_dir};

/// The cargo that runs us, in the workspace root.
///
/// What cargo tells a program about its own package is removed: build scripts that watch these variables would run
/// again each time.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    for (name, _) in env::vars_os().filter(|(name, _)| describes_package(name)) {
        cargo.env_remove(name);
    }
    cargo
}

/// The compiler that this cargo uses.
pub(crate) fn rustc() -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(root());
    rustc
}

fn describes_package(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Whether this cargo has a subcommand, such as `clippy`.
pub(crate) fn has_subcommand(name: &str) -> bool {
    command::stdout(cargo().args([name, "--version"])).is_some()
}

/// Where the binaries of a profile are.
pub(crate) fn bin_dir(profile: Profile) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(target_dir, |dir| root().join(dir));
    target.join(match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    })
}

/// How the host side is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

/// `cargo build` of these binaries.
pub(crate) fn build(profile: Profile, binaries: &[Binary]) -> xtask::Result<()> {
    let mut cargo = cargo();
    cargo.arg("build");
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let mut packages: Vec<_> = binaries.iter().map(|binary| binary.package).collect();
    packages.dedup();
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.args(binaries.iter().flat_map(|binary| ["--bin", binary.name]));
    command::run(&mut cargo)
}

/// A binary of the workspace.
#[derive(Clone, Copy)]
pub(crate) struct Binary {
    pub(crate) package: &'static str,
    pub(crate) name: &'static str,
}

/// The daemon.
pub(crate) const LBD: Binary = Binary { package: "lb-userspace", name: "lbd" };
/// The command line.
pub(crate) const LBCTL: Binary = Binary { package: "lb-userspace", name: "lbctl" };
