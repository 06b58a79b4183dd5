//! `cargo xtask check`.

use xtask::{Result, command, target_dir};

use super::Verb;
use crate::setup::{Downloads, Level, ensure, ensure_lints};
use crate::{host, house_rules, policy};

pub(crate) const VERB: Verb = Verb {
    name: "check",
    summary: "Check formatting, lints, house rules and the licences of crates",
    synopsis: "[--rustup]",
    details: "\
rustfmt, clippy for the host and for the BPF program, the rules of CONTRIBUTING.md that neither of them knows, and the licences and sources of
crates (.cargo/deny.toml); cargo-deny looks at these, too, where it is installed. Every warning is an error.

  --rustup  may download the components clippy and rustfmt",
    run: |mut args| {
        let downloads = args.flag("--rustup").into();
        args.finish()?;
        ensure(Level::Build, downloads)?;
        run(downloads)
    },
};

/// The checks, where everything for a build is there.
pub(super) fn run(downloads: Downloads) -> Result<()> {
    ensure_lints(downloads)?;
    command::run(host::cargo().args(["fmt", "--check"]))?;
    house_rules::check()?;
    policy::check()?;
    clippy_host()?;
    clippy_bpf()
}

fn clippy_host() -> Result<()> {
    command::run(host::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-Dwarnings",
    ]))
}

/// The modules that exist for BPF only are type-checked for the host, which can do without the target's `core`. They
/// use unstable features, hence the target directory of their own: the variable would spoil the other one.
fn clippy_bpf() -> Result<()> {
    let mut clippy = host::cargo();
    clippy.env("RUSTC_BOOTSTRAP", "1");
    clippy.args(["clippy", "--package", "lb-ebpf", "--bin", "lb", "--features", "lint", "--quiet"]);
    clippy.arg("--target-dir").arg(target_dir().join("lint"));
    command::run(clippy.args(["--", "-Dwarnings"]))
}
