//! `cargo xtask vm`: a guest with Debian's kernel 6.1 between two namespaces. In the guest, the same program is the first
//! process and serves the host.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use lb_tests::guest::{self, Console, Hardware, Image, Network, agent, check};

/// Boot a guest with kernel 6.1; without arguments, check that lbd works there.
#[derive(Debug, Parser)]
#[command(name = "vm")]
struct Arguments {
    /// Open a shell on the guest's console; leaving it switches the guest off.
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// Run this in the guest's shell, and take over its exit status.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    if agent::is_needed() {
        agent::run();
        return ExitCode::FAILURE;
    }
    run(&Arguments::parse()).unwrap_or_else(|error| {
        // In one line, whatever RUST_BACKTRACE says: most of these are for the user to mend.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    guest::available()?;
    if arguments.shell {
        return shell();
    }
    if arguments.command.is_empty() {
        let facts = check::run()?;
        print!("{facts}");
        return Ok(if facts.all_answered() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let network = Network::build(&Image::build()?, &Hardware::default())?;
    let (status, stdout, stderr) = network.machine.output(&arguments.command.join(" "))?;
    print!("{stdout}");
    eprint!("{stderr}");
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

fn shell() -> Result<ExitCode> {
    let hardware = Hardware { console: Console::Shell, ..Hardware::default() };
    let network = Network::build(&Image::build()?, &hardware)?;
    println!("\nThe client: ip netns exec {} bash\r", network.client.name());
    println!("The server, {}: ip netns exec {} bash\r", network.server.v4, network.server.netns.name());
    println!("In the guest: lbd, lbctl, ip (/sbin/ip), ethtool, bpftool, nft, ipvsadm; `exit` ends it.\r");
    let Network { machine, client: _client, server: _server, .. } = network;
    machine.wait()?;
    Ok(ExitCode::SUCCESS)
}
