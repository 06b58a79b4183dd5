//! `cargo xtask stack`: how the stack of the data path is spent.

use std::{collections::BTreeMap, io::Write as _, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use lb_tests::budget::{chains, first};
use lb_userspace::loader::OBJECT;

/// Show the deepest chains of calls of the data path: BPF has 512 bytes of stack for each of them.
#[derive(Debug, Parser)]
#[command(name = "stack")]
struct Arguments {
    /// How many chains to show.
    #[arg(long, default_value_t = 20)]
    chains: usize,
    /// Show each function as well, with the bytes of its frame and the number of its instructions.
    #[arg(long)]
    functions: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(text) => {
            // Whoever closed the pipe has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<String> {
    let mut text = String::new();
    for (program, chains) in chains(OBJECT)? {
        text += &format!("{program}: bytes of each chain, and of each of its functions\n");
        text += &first(&chains, arguments.chains);
        if arguments.functions {
            let functions: BTreeMap<_, _> = chains
                .iter()
                .flat_map(|chain| &chain.0)
                .map(|frame| (&frame.function, (frame.bytes, frame.instructions)))
                .collect();
            text += "\nbytes  instructions  function\n";
            for (function, (bytes, instructions)) in functions {
                text += &format!("{bytes:5}  {instructions:12}  {function}\n");
            }
        }
    }
    Ok(text)
}
