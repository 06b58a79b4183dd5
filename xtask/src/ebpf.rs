//! Builds the BPF object.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::toolchain::Ready;
use crate::{Context, Error, Result, command, remap, target_dir};

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "lb-ebpf";
const BINARY: &str = "lb";
const PROFILE: &str = "bpf";

/// How the compiler and the linker generate code. Each of these is needed:
///
/// * `v3` has atomics with a result and 32-bit jumps; Linux 5.12 is the first to run all of it.
/// * `--btf`: the maps are defined in BTF, and the verifier's log shows source lines.
/// * By default the linker turns each small copy or clear into a call of a byte loop. Without that the verifier
///   walks through a quarter of the instructions, and programs run about twice as fast.
///
/// `-Clink-arg=--cpu-features=+allows-misaligned-mem-access` (LLVM 22) is not among them. It makes one load of a `u32` at
/// an odd address instead of four, and a quarter less code; but LLVM then does the same on the stack, where the verifier
/// refuses it ("misaligned stack access") wherever a value of byte arrays happens to lie at an odd offset.
const CODEGEN_FLAGS: &[&str] =
    &["-Ctarget-cpu=v3", "-Clink-arg=--btf", "-Clink-arg=--disable-expand-memcpy-in-order"];

/// Who reads what the inner cargo prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A person: shown as it comes.
    Terminal,
    /// Cargo, as the caller is a build script: kept, and part of the error if the build fails.
    BuildScript,
}

/// A built BPF object. No other build can replace the file as long as this lives.
#[derive(Debug)]
pub struct Object {
    path: PathBuf,
    ready: Ready,
    _lock: File,
}

impl Object {
    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was built with.
    #[must_use]
    pub fn built_with(&self) -> &Ready {
        &self.ready
    }
}

/// Builds `lb-ebpf`, in a target directory of its own: cargo holds the lock of the other one while a build script
/// waits for this.
pub fn build_ebpf(output: Output) -> Result<Object> {
    let ready = Ready::find()?;
    let target_dir = target_dir().join("ebpf");
    let lock = lock(&target_dir)?;
    let mut cargo = cargo_build(&ready, &target_dir);
    match output {
        Output::Terminal => command::run(&mut cargo)?,
        Output::BuildScript => run_quietly(cargo.arg("--quiet"))?,
    }
    let path = target_dir.join(TARGET).join(PROFILE).join(BINARY);
    if path.exists() {
        Ok(Object { path, ready, _lock: lock })
    } else {
        Err(Error::new(format!("{} built no {}", command::line(&cargo), path.display())))
    }
}

fn cargo_build(ready: &Ready, target_dir: &Path) -> Command {
    let mut cargo = ready.toolchain.cargo();
    cargo.args(["build", "--package", PACKAGE, "--bin", BINARY, "--profile", PROFILE]);
    cargo.args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"]).arg(target_dir);
    cargo.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &ready.linker);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", encoded_rustflags(&kernel_arch(), ready.toolchain.sysroot()));
    cargo
}

/// The architecture of the kernel that will load the object; a build script is told by cargo.
fn kernel_arch() -> String {
    env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_else(|_| env::consts::ARCH.to_owned())
}

fn encoded_rustflags(arch: &str, sysroot: Option<&Path>) -> String {
    let mut flags: Vec<_> = CODEGEN_FLAGS.iter().map(ToString::to_string).collect();
    flags.push(format!("--cfg=bpf_target_arch=\"{arch}\""));
    flags.extend(remap::rustc_flags(sysroot));
    flags.join("\u{1f}")
}

/// Waits until no other build writes to the directory.
fn lock(target_dir: &Path) -> Result<File> {
    fs::create_dir_all(target_dir).context(target_dir.display())?;
    let path = target_dir.join(".lock");
    let file = File::create(&path).context(path.display())?;
    file.lock().context(path.display())?;
    Ok(file)
}

fn run_quietly(cargo: &mut Command) -> Result<()> {
    let output = cargo.output().context(command::line(cargo))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{}: {}\n{stderr}", command::line(cargo), output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustflags_are_separated_as_cargo_wants_them() {
        let flags = encoded_rustflags("x86_64", None);
        let flags: Vec<_> = flags.split('\u{1f}').collect();
        assert_eq!(flags[..CODEGEN_FLAGS.len()], *CODEGEN_FLAGS);
        assert_eq!(flags[CODEGEN_FLAGS.len()], "--cfg=bpf_target_arch=\"x86_64\"");
        assert!(flags[CODEGEN_FLAGS.len() + 1].starts_with("--remap-path-prefix="));
    }
}
