//! `lbd`: the daemon of the load balancer.

use std::{
    io::{IsTerminal, stderr, stdout},
    panic,
    path::PathBuf,
    process::{self, ExitCode},
    thread,
};

use clap::{CommandFactory as _, Parser};
use clap_mangen::Man;
use lb_userspace::{
    loader::LogLevel,
    runtime::{Failure, Options, check, detach, prepare_downgrade, run},
};
use tracing_subscriber::EnvFilter;

/// The daemon of the load balancer: brings the data path into the kernel and keeps it at the state that the configuration file
/// describes.
///
/// SIGTERM and SIGINT end it; forwarding goes on without it, and the next start takes over. `--detach` ends forwarding. SIGHUP
/// reads the configuration file again.
#[derive(Debug, Parser)]
#[command(name = "lbd", version)]
struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "LBD_CONFIG", default_value = "/etc/lb/lb.toml")]
    config: PathBuf,
    /// Only check the configuration file
    #[arg(long, conflicts_with = "detach")]
    check: bool,
    /// Take the programs, maps and links out of the kernel that a former lbd left there, and end
    #[arg(long)]
    detach: bool,
    /// Take the interfaces over from another version whose flows cannot be read, instead of refusing: its flows end
    #[arg(long, conflicts_with = "detach")]
    discard_flows: bool,
    /// Bring what is pinned into the layout of an older version, and end: its lbd takes over from there. Forwarding goes on
    #[arg(long, value_name = "LAYOUT", conflicts_with_all = ["detach", "check", "discard_flows"])]
    prepare_downgrade: Option<u32>,
    /// What the data path logs; all but off costs time for each packet concerned
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t)]
    data_path_log: LogLevel,
    /// A BPF object to use instead of the built-in one
    #[arg(long, value_name = "FILE", env = "LBD_OBJECT")]
    object: Option<PathBuf>,
    /// Print the manual page, and end
    #[arg(long, conflicts_with_all = ["check", "detach"])]
    man: bool,
}

/// Exit status when the configuration is wrong; 1 is everything else.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    end_with_main_thread();
    init_log();
    match act(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lbd: {failure}");
            if matches!(failure, Failure::Config(_)) { EXIT_CONFIG.into() } else { ExitCode::FAILURE }
        }
    }
}

fn act(args: Args) -> Result<(), Failure> {
    if args.man {
        let page = Man::new(Args::command()).section("8").manual("lb");
        return page.render(&mut stdout()).map_err(Failure::Output);
    }
    if args.check {
        let config = check(&args.config)?;
        println!("{}: valid, {} services", args.config.display(), config.services.len());
        return Ok(());
    }
    if args.detach {
        return detach(&args.config);
    }
    if let Some(layout) = args.prepare_downgrade {
        prepare_downgrade(&args.config, layout)?;
        println!("everything is in layout {layout} now; start the lbd of that version");
        return Ok(());
    }
    let Args { config, object, data_path_log, discard_flows, .. } = args;
    run(&Options { config, object, data_path_log, discard_flows })
}

/// A defect in the main thread, or no thread to be had for its work, is the end: unwinding would wait for threads that may never end.
///
/// No backtrace is made: who has no memory left for it would wait for ever for the lock that it holds itself.
fn end_with_main_thread() {
    panic::set_hook(Box::new(|defect| {
        let thread = thread::current();
        eprintln!("lbd: thread {} {defect}", thread.name().unwrap_or("without a name"));
        if thread.name() == Some("main") {
            process::abort();
        }
    }));
}

/// Logs to standard error; `RUST_LOG` chooses what.
fn init_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
}
