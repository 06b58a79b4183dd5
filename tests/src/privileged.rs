//! What needs root skips loudly without it, and fails where `LB_REQUIRE_PRIVILEGED=1`.

use std::{fs::OpenOptions, io::Write, thread};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::{netns::Netns, temporary::BpfFs};

/// Returns from the calling test, with a line that says why, unless network namespaces and BPF can be used.
///
/// Panics instead when `LB_REQUIRE_PRIVILEGED=1`.
#[macro_export]
macro_rules! require_privileged {
    () => {
        if !$crate::privileged::ready() {
            return;
        }
    };
}

/// Whether this process may create network namespaces and mount a BPF file system.
///
/// # Errors
///
/// The reason why not.
pub fn check() -> Result<()> {
    if !geteuid().is_root() {
        bail!("it needs root");
    }
    Netns::create("check").context("network namespaces cannot be created")?;
    BpfFs::mount().context("BPF cannot be used")?;
    Ok(())
}

/// Like [`check`], but prints `skipping <test>: <reason>`.
///
/// # Panics
///
/// If `LB_REQUIRE_PRIVILEGED=1` and the check fails.
#[must_use]
pub fn ready() -> bool {
    let Err(reason) = check() else { return true };
    let test = this_test();
    assert!(
        std::env::var_os("LB_REQUIRE_PRIVILEGED").is_none_or(|value| value != "1"),
        "{test} would be skipped, which LB_REQUIRE_PRIVILEGED=1 forbids: {reason:#}"
    );
    skip(&test, &reason);
    false
}

/// Whether a check succeeds; else the test is skipped, for what setup may be unable to install: it never panics.
pub fn available_if(check: impl FnOnce() -> Result<()>) -> bool {
    let Err(reason) = check() else { return true };
    skip(&this_test(), &reason);
    false
}

fn this_test() -> String {
    thread::current().name().unwrap_or("test").to_owned()
}

fn skip(test: &str, reason: &anyhow::Error) {
    let line = format!("skipping {test}: {reason:#}");
    eprintln!("{line}");
    note(&line.replacen("skipping", "skipped", 1));
}

/// Appends to the file of `LB_SKIP_LOG`: test runners do not show what a passed test prints.
fn note(line: &str) {
    let Some(path) = std::env::var_os("LB_SKIP_LOG") else { return };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
        eprintln!("{}: {error}", path.display());
    }
}
