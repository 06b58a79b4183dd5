//! `cargo xtask bench`: measures, shows and keeps what the load balancer costs.

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;
use lb_bench::{
    part::{Depth, Part, Run},
    provenance, report,
    results::{Kept, PartResult},
    show,
};
use lb_tests::privileged;

/// Measure what the load balancer costs, against floors and others in the same run.
///
/// A figure that misses its target is shown as such; it is an error with --strict only.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Measure only these parts.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Measure less, with the same ratios: all parts in less than five minutes.
    #[arg(long)]
    quick: bool,
    /// Of the part `packet`, measure only rows whose name contains this; of `control`, only such steps.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print JSON, or write it to a file: [{"part", "what", "unit", "ours", "floor", "ratio", "target", "ok", "note"}].
    #[arg(long, value_name = "FILE")]
    json: Option<Option<PathBuf>>,
    /// Do not measure again what this commit has measured.
    #[arg(long)]
    resume: bool,
    /// Measure nothing, but write docs/benchmarks.md and its plots from the last results.
    #[arg(long, conflicts_with_all = ["only", "quick", "json", "resume", "strict"])]
    report: bool,
    /// Exit with status 1 if a target is missed.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    run(&Arguments::parse()).unwrap_or_else(|error| {
        // In one line, whatever RUST_BACKTRACE says: most of these are for the user to mend.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.report {
        report::write(&Kept::default())?;
        return Ok(ExitCode::SUCCESS);
    }
    privileged::check().context("measuring needs network namespaces and BPF")?;
    let parts = if arguments.only.is_empty() { Part::ALL.to_vec() } else { arguments.only.clone() };
    let commit = provenance::commit()?;
    let (mut results, mut failed) = (Vec::new(), false);
    for part in parts {
        match measure(part, &commit, arguments) {
            Ok(result) => {
                if !matches!(arguments.json, Some(None)) {
                    println!("{}", show::part(&result));
                }
                results.push(result);
            }
            // The other parts are worth having all the same.
            Err(error) => {
                eprintln!("error: {part}: {error:#}");
                failed = true;
            }
        }
    }
    write_json(arguments, &results)?;
    let missed = arguments.strict && !results.iter().all(PartResult::ok);
    Ok(if failed || missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure(part: Part, commit: &str, arguments: &Arguments) -> Result<PartResult> {
    let depth = if arguments.quick { Depth::Quick } else { Depth::Full };
    let kept = Kept::default();
    if arguments.resume
        && let Some(result) = kept.load(part, depth)?
        && result.commit == commit
    {
        return Ok(result);
    }
    let start = Instant::now();
    let mut run = Run::new(part.name(), depth);
    run.filter.clone_from(&arguments.filter);
    let findings = part.run(&mut run)?;
    drop(run);
    let result = PartResult::new(part, depth, commit, start.elapsed().as_secs_f64(), findings);
    if arguments.filter.is_none() {
        kept.save(&result)?;
    }
    Ok(result)
}

fn write_json(arguments: &Arguments, results: &[PartResult]) -> Result<()> {
    let Some(file) = &arguments.json else { return Ok(()) };
    let rows: Vec<_> = results.iter().flat_map(|result| &result.rows).collect();
    let text = serde_json::to_string_pretty(&rows)?;
    match file {
        Some(path) => fs::write(path, text).with_context(|| path.display().to_string()),
        None => {
            println!("{text}");
            Ok(())
        }
    }
}
