//! `cargo xtask measure AREA`: proves a build on the running system, in figures.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use lb_tests::{
    measure::{Area, Depth, measure},
    privileged,
};

/// Measure an area and compare the figures with what is required; exit status 1 if one falls short.
#[derive(Debug, Parser)]
#[command(name = "measure")]
struct Arguments {
    /// What to measure.
    area: Area,
    /// Print JSON: {"area", "rows": [{"what", "figure", "unit", "required", "ok"}]}.
    #[arg(long)]
    json: bool,
    /// Measure only the steps whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Measure with a tenth of the load, to see that the measurement itself works.
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    run(&Arguments::parse()).unwrap_or_else(|error| {
        // In one line, whatever RUST_BACKTRACE says: most of these are for the user to mend.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    privileged::check().context("measuring needs network namespaces and BPF")?;
    let depth = if arguments.quick { Depth::Quick } else { Depth::Full };
    let measurement = measure(arguments.area, depth, arguments.only.as_deref())?;
    if arguments.json {
        println!("{}", serde_json::to_string(&measurement)?);
    } else {
        print!("{measurement}");
    }
    Ok(if measurement.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
