//! Builds of the package that come to the same bytes: without paths and times of the machine in them, and the proof.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::{Context, Error, Result, command, remap, root, target_dir};

use crate::host::{self, LBCTL, LBD};

/// Builds `lbd` and `lbctl` for a package, in a target directory of their own: cargo builds everything anew for other flags. Returns
/// where they are.
pub(crate) fn build_programs(epoch: u64) -> Result<PathBuf> {
    let directory = target_dir().join("package/build");
    let mut cargo = host::cargo();
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--package",
        LBD.package,
        "--bin",
        LBD.name,
        "--bin",
        LBCTL.name,
    ]);
    cargo.arg("--target-dir").arg(&directory);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remap::rustc_flags(None).join("\u{1f}"));
    cargo.env("CARGO_INCREMENTAL", "0").env("SOURCE_DATE_EPOCH", epoch.to_string());
    // The debugging information of C and assembler goes into the digest that the linker makes (build id), though not into the package.
    let map = |(from, to): (PathBuf, &str)| format!("-ffile-prefix-map={}={to}", from.display());
    let flags: Vec<_> = remap::prefixes(None).into_iter().map(map).collect();
    cargo.env("CFLAGS", flags.join(" "));
    command::run(&mut cargo)?;
    Ok(directory.join("release"))
}

/// Copies the sources to another directory, has a package built there, and compares it with this one. Takes as long as two builds.
pub(crate) fn verify(package: &Path, revision: u32, epoch: u64) -> Result<()> {
    let elsewhere = target_dir().join("package/elsewhere/with/another/path");
    copy_sources(&elsewhere)?;
    let output = elsewhere.join("out");
    let mut cargo = host::cargo();
    cargo.current_dir(&elsewhere).env_remove("CARGO_TARGET_DIR").env("SOURCE_DATE_EPOCH", epoch.to_string());
    cargo.args(["xtask", "package", "--revision", &revision.to_string(), "--output"]).arg(&output);
    command::run(&mut cargo)?;
    let other = output.join(package.file_name().unwrap_or_default());
    if contents(package)? == contents(&other)? {
        println!("two builds in different directories are the same, bit by bit");
        return Ok(());
    }
    Err(Error::new(format!("two builds differ: {}", differences(package, &other)?)))
}

/// What git knows or would add, and the tools that setup installed.
fn copy_sources(to: &Path) -> Result<()> {
    let mut list = command::clean("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let files =
        command::stdout(&mut list).ok_or_else(|| Error::new(format!("{} failed", command::line(&list))))?;
    for file in files.lines() {
        let (from, to) = (root().join(file), to.join(file));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        if from.is_file() {
            fs::copy(&from, &to).context(from.display())?;
        }
    }
    let (tools, link) = (target_dir().join("tools"), to.join("target/tools"));
    fs::create_dir_all(to.join("target")).context(to.display())?;
    if !link.exists() {
        std::os::unix::fs::symlink(&tools, &link).context(link.display())?;
    }
    Ok(())
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).context(path.display())
}

/// The names of the files that differ, by unpacking both.
fn differences(one: &Path, other: &Path) -> Result<String> {
    let directory = target_dir().join("package/differences");
    if directory.exists() {
        fs::remove_dir_all(&directory).context(directory.display())?;
    }
    let places = [directory.join("one"), directory.join("other")];
    for (package, place) in [one, other].into_iter().zip(&places) {
        fs::create_dir_all(place).context(place.display())?;
        command::run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(place))?;
    }
    let said =
        Command::new("diff").args(["--recursive", "--brief"]).args(&places).output().context("diff")?;
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}
