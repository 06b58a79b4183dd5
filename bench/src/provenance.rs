//! Where figures come from: the commit and the machine.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Directory of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What the figures of a part were measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Number of processors.
    pub cores: usize,
    /// Memory in MiB.
    pub memory: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of the compiler.
    pub rustc: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let kibibytes: u64 = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|value| value.trim_end_matches(" kB").parse().ok())
            .unwrap_or(0);
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: kibibytes / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: output("rustc", &["--version"]).unwrap_or_else(|_| "unknown".to_owned()),
        }
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The commit of the working tree; with a digest of what differs from it, other than documentation, after a `+`.
///
/// # Errors
///
/// If git cannot tell.
pub fn commit() -> Result<String> {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changes = output("git", &["diff", "HEAD", "--", ".", ":!docs", ":!*.md"])?;
    if changes.is_empty() {
        return Ok(commit);
    }
    Ok(format!("{commit}+{:08x}", digest(changes.as_bytes())))
}

/// FNV-1a of 32 bits: enough to tell two states of a working tree apart.
fn digest(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(workspace()).output();
    let output = output.with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_what_follows_its_colon() {
        let text = "processor\t: 0\nmodel name\t: A: B\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A: B"));
        assert_eq!(field(text, "flags"), None);
    }
}
