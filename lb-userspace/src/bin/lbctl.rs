//! `lbctl`: the command line of `lbd`.

use std::process::ExitCode;

use clap::Parser as _;
use lb_userspace::cli::{Args, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("lbctl: {failure}");
            }
            failure.exit.into()
        }
    }
}
