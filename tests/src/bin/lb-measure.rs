//! `cargo xtask measure AREA`: proves a build on the running system, in figures.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lb_tests::{
    measure::{Area, Depth, measure, soak},
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
    /// Only of `faults`, and nothing else of it: load for so many minutes while lbd and its backends are disturbed; what lbd uses must not grow.
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "10")]
    soak: Option<f64>,
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
    let measurement = if let Some(minutes) = arguments.soak {
        ensure!(arguments.area == Area::Faults, "--soak: only `measure faults` has it");
        ensure!((0.5..=1440.0).contains(&minutes), "--soak {minutes}: expected 0.5 to 1440 minutes");
        soak(minutes)?
    } else {
        measure(arguments.area, depth, arguments.only.as_deref())?
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&measurement)?);
    } else {
        print!("{measurement}");
    }
    Ok(if measurement.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
