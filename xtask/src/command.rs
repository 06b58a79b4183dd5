//! Starting programs: with a clean environment where one cargo must not influence another, and with readable errors.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Context, Error, Result, root};

/// A command in the workspace root that inherits only what [`is_inherited`] allows.
///
/// An outer cargo or rustup sets RUSTC, RUSTC_WORKSPACE_WRAPPER (clippy), RUSTUP_TOOLCHAIN, LD_LIBRARY_PATH,
/// CARGO_ENCODED_RUSTFLAGS and more. Each of them breaks a cargo of another toolchain.
pub fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(root());
    command.envs(env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_inherited)));
    command
}

/// Whether a clean command sees this variable of ours.
#[must_use]
pub fn is_inherited(name: &str) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.to_ascii_lowercase().ends_with("_proxy")
}

const NAMES: &[&str] = &[
    "CARGO_HOME",
    "CI",
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_HOME",
    "RUSTUP_UPDATE_ROOT",
    "SOURCE_DATE_EPOCH",
    "TERM",
    "TMPDIR",
    "USER",
];

const PREFIXES: &[&str] =
    &["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_", "SSL_CERT_"];

/// Runs a command to its end; an error names the command and how it ended.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context(line(command))?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("{}: {status}", line(command)))) }
}

/// The trimmed output of a command, or nothing if it does not start or fails.
pub fn stdout(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Program and arguments as one line, without the environment.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Finds a program in PATH, or where Debian keeps programs for root.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|file| is_file(file))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_outer_cargo_sets_is_not_inherited() {
        for name in
            ["RUSTC", "RUSTC_WORKSPACE_WRAPPER", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "TARGET"]
        {
            assert!(!is_inherited(name), "{name}");
        }
    }

    #[test]
    fn what_the_network_needs_is_inherited() {
        for name in ["PATH", "https_proxy", "HTTPS_PROXY", "CARGO_NET_OFFLINE", "RUSTUP_AUTO_INSTALL"] {
            assert!(is_inherited(name), "{name}");
        }
    }

    #[test]
    fn a_failed_command_is_named() {
        let error = run(Command::new("false").arg("x")).unwrap_err();
        assert_eq!(error.to_string(), "false x: exit status: 1");
    }
}
