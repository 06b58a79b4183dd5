//! Manual pages.

use std::{fs, io, path::Path};

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::{
    args::Args,
    failure::{Exit, Failure},
};

/// lbctl(1) as text; with a directory, a page for each command, as files.
pub(super) fn man(directory: Option<&Path>) -> Result<String, Failure> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        let failed = |error: io::Error| Failure::new(Exit::General, error.to_string());
        Man::new(Args::command()).manual("lb").render(&mut page).map_err(failed)?;
        return Ok(String::from_utf8_lossy(&page).into_owned());
    };
    let failed = |error| Failure::new(Exit::General, format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    // The command `help` and what is below it needs no pages.
    let command = Args::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, directory).map_err(failed)?;
    Ok(String::new())
}
