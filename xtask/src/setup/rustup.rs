//! Components of installed rustup toolchains. No toolchain is ever installed.

use xtask::toolchain::{Choice, rustup_sysroot};
use xtask::{Error, Result, command};

use super::{Downloads, say};
use crate::host;

/// Makes sure that clippy and rustfmt are there for the cargo that runs us.
pub(crate) fn ensure_lints(downloads: Downloads) -> Result<()> {
    let missing: Vec<_> = [("clippy", "clippy"), ("fmt", "rustfmt")]
        .into_iter()
        .filter(|(subcommand, _)| !host::has_subcommand(subcommand))
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command_line = format!("rustup component add {}", missing.join(" "));
    if downloads == Downloads::Refused || command::find_program("rustup").is_none() {
        let message = format!("missing: {}. `{command_line}` installs it", missing.join(", "));
        return Err(Error::new(format!("{message}; `cargo xtask check --rustup` does that for you")));
    }
    say(&command_line);
    command::run(command::clean("rustup").args(["component", "add"]).args(&missing))
}

/// Adds the sources to an installed rustup toolchain of the user's choice. Never installs a toolchain.
pub(super) fn add_rust_src(choice: &Choice) -> Result<()> {
    let name = match choice {
        Choice::Auto => "nightly",
        Choice::Rustup(name) => name,
        Choice::Debian => return Ok(()),
    };
    if rustup_sysroot(name).is_none() {
        return Ok(());
    }
    say(&format!("adding rust-src to rustup's {name}"));
    let mut rustup = command::clean("rustup");
    rustup.env("RUSTUP_AUTO_INSTALL", "0").args(["component", "add", "rust-src", "--toolchain", name]);
    command::run(&mut rustup)
}
