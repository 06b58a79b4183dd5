//! `lbctl`: the command line of `lbd`.

use std::process::ExitCode;

use clap::Parser as _;
use lb_userspace::cli::{Args, complete, run};

fn main() -> ExitCode {
    complete();
    act(Args::parse())
}

#[tokio::main(flavor = "current_thread")]
async fn act(args: Args) -> ExitCode {
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("lbctl: {failure}");
            }
            failure.exit.into()
        }
    }
}
