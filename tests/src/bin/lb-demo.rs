//! `cargo xtask demo`: real connections through the load balancer, between network namespaces of this machine.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use lb_tests::{demo, privileged};

/// See the load balancer work: a client, three servers and lbd in network namespaces. Takes about half a minute.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Leave everything running at the end and say what can be tried; Ctrl-C cleans up.
    #[arg(long)]
    keep: bool,
    /// Show a pair of balancers instead: one loses its power, comes back, hands over, is killed.
    #[arg(long, conflicts_with = "keep")]
    ha: bool,
}

fn main() -> ExitCode {
    run(&Arguments::parse()).unwrap_or_else(|error| {
        // In one line, whatever RUST_BACKTRACE says: most of these are for the user to mend.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    privileged::check().context("the demo makes network namespaces and loads a BPF program")?;
    let good =
        if arguments.ha { demo::ha::tour()? } else { demo::tour(demo::Options { keep: arguments.keep })? };
    println!("\n{}", if good { "All as expected." } else { "NOT as expected, see the table." });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
