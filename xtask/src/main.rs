//! `cargo xtask <verb>`: everything a developer or CI does with this repository, one file per verb.

use std::env;
use std::process::ExitCode;

use crate::args::Args;

mod args;
mod crates;
mod host;
mod house_rules;
mod package;
mod policy;
mod setup;
mod summary;
mod verbs;

fn main() -> ExitCode {
    match dispatch(Args::new(env::args_os().skip(1))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut args: Args) -> xtask::Result<()> {
    let name = args.next();
    match name.as_deref() {
        None | Some("--help" | "-h" | "help") => {
            println!("{}", verbs::overview());
            return Ok(());
        }
        Some(_) => {}
    }
    let verb = verbs::find(&name.unwrap_or_default())?;
    if args.wants_help() {
        println!("{}", verb.help());
        return Ok(());
    }
    (verb.run)(args)
}
