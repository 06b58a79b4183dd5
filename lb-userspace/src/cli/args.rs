//! The command line.

mod acl;
mod backend;
mod capture;
mod configuration;
mod explain;
mod flow;
mod health;
mod names;
mod service;
pub(super) mod values;
mod vrrp;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use self::values::seconds;
pub(super) use self::{
    acl::{AclCommand, BlockArgs, LimitCommand, RateOptions, SourceOptions},
    backend::{BackendCommand, BackendOptions, DrainArgs},
    capture::CaptureArgs,
    configuration::{ApplyArgs, ConfigCommand, ImportArgs},
    explain::{DropsArgs, ExplainArgs},
    flow::{FlowCommand, FlowPick, KillArgs, TopArgs},
    names::{BackendArg, ChangeArgs},
    service::{ServiceAdd, ServiceCommand, ServiceOptions, ServiceSet},
    vrrp::{RoutersArg, VrrpCommand},
};
use super::{complete, events::EventArgs, replication::ReplicationCommand, top::TopScreenArgs};
use crate::api::Url;

/// Control and look at `lbd`, the layer 4 load balancer.
#[derive(Clone, Debug, Parser)]
#[command(name = "lbctl", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Args {
    /// Unix socket of `lbd`.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LB_SOCKET", value_name = "PATH", default_value = "/run/lb/lbd.sock")]
    pub socket: PathBuf,
    /// URL of an lbd elsewhere instead of the socket, such as https://192.0.2.1:9465.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LB_SERVER", value_name = "URL")]
    pub server: Option<Url>,
    /// Authority that signed the certificate of --server (PEM).
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LB_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate to show to --server (PEM).
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LB_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM).
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LB_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Tables for people, wide ones with more columns, or the API's JSON for programs.
    #[arg(short, long, global = true, help_heading = EVERYWHERE, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
    /// Show it again and again, every so many seconds (2 if not given): in place on a terminal, as lines with -o json.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    pub watch: Option<u64>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 invalid input, 3 not found, 4 conflict, 5 lbd cannot be reached,\n6 the answer is no: files differ (config diff), flows are left at the deadline (backend drain --wait)";

/// Form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns.
    #[default]
    Table,
    /// Aligned columns, more of them.
    Wide,
    /// JSON.
    Json,
}

/// A shell that completes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
    /// Elvish.
    Elvish,
    /// PowerShell.
    Powershell,
}

impl Shell {
    /// As it is given.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show what lbd is doing.
    Status,
    /// Services: what clients connect to.
    #[command(subcommand, visible_alias = "services")]
    Service(ServiceCommand),
    /// Backends: where flows go.
    #[command(subcommand, visible_alias = "backends")]
    Backend(BackendCommand),
    /// Flows: tracked connections.
    #[command(subcommand, visible_alias = "flows")]
    Flow(FlowCommand),
    /// Sources that are not let in.
    #[command(subcommand)]
    Acl(AclCommand),
    /// Limits of services: connections, and flows that begin.
    #[command(subcommand, visible_alias = "limits")]
    Limit(LimitCommand),
    /// Show packets, bytes and flows of services, backends and interfaces.
    Stats {
        /// Show rates per second, measured over so many seconds, instead of totals.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u64).range(1..=3600))]
        rate: Option<u64>,
    },
    /// Show dropped packets by reason; with --watch also how many there are per second.
    Drops(DropsArgs),
    /// Show what the data path would do with a packet: service, backend, how it would leave, or why it would be dropped.
    ///
    /// The program's own code runs on a copy of the tables: nothing that lives is changed, no packet is sent. It takes about a second. What is
    /// drawn by lot may come out otherwise for a packet that really arrives.
    Explain(Box<ExplainArgs>),
    /// Show packets as they arrive and as they leave, with what the data path decided and why: what tcpdump does not see.
    ///
    /// With -w for Wireshark: `lbctl capture -w - service=web | tshark -r -`. For the time of it the interfaces run a program that copies; no
    /// packet is lost by that. docs/capture.md describes filters and files.
    Capture(Box<CaptureArgs>),
    /// Show what happens, as it happens: backends that go up and down, changes of the configuration, drains that end.
    ///
    /// Events that happen while lbd cannot be reached are shown later, as far as lbd keeps them. docs/events.md lists all kinds with their
    /// attributes.
    Events(EventArgs),
    /// Show what lbd does, as it does it: rates, backends, flows, drops, virtual routers; ? shows the keys.
    Top(TopScreenArgs),
    /// Virtual routers: VIPs that one of several machines holds.
    #[command(subcommand)]
    Vrrp(VrrpCommand),
    /// Replication of flows to the machine that backs this one up.
    #[command(subcommand)]
    Replication(ReplicationCommand),
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Find out what of this machine breaks balancing, and the commands that put it right.
    ///
    /// Works with and without lbd, and changes nothing. Ends with 1 if there is an error. docs/doctor.md lists what is looked at.
    Doctor(DoctorArgs),
    /// Print completions for a shell, with the names that lbd knows: `source <(lbctl completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page of lbctl.
    Man {
        /// Write a page for each command into this directory instead.
        #[arg(value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
}

/// `doctor`.
#[derive(Clone, Debug, ClapArgs)]
pub struct DoctorArgs {
    /// The configuration file; lbd's, or /etc/lb/lb.toml if it does not run.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show also what is as it should be.
    #[arg(long)]
    pub all: bool,
    /// End with 1 if there is a warning, too.
    #[arg(long)]
    pub strict: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_option_that_cannot_be_read_says_what_was_expected() {
        for (line, expected) in [
            (
                "lbctl service add web --address web --port 80 --protocol tcp",
                "expected one such as 203.0.113.10",
            ),
            ("lbctl flow list --client 10.0.0.0/33", "expected one such as 203.0.113.10, 198.51.100.0/24"),
            ("lbctl service set web --snat-address 10.0.0.1,x", "expected one such as 203.0.113.10"),
            ("lbctl service set web --health-source 10.0.0.1:80", "expected one such as 203.0.113.10"),
            ("lbctl config import x --vip *", "expected one such as 203.0.113.10"),
            ("lbctl status --watch 0.5", "expected whole seconds, 1 to 86400"),
            ("lbctl status --watch 0", "expected whole seconds, 1 to 86400"),
        ] {
            let error = Args::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn contradictory_health_options_are_refused() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("lbctl service set web --no-health").is_ok());
        assert!(parse("lbctl service set web --no-health --health-rise 2").is_err());
        assert!(parse("lbctl service set web --no-health --health").is_err());
        assert!(parse("lbctl service set web --no-health --max-ejected 50").is_err());
        assert!(parse("lbctl service set web --no-health --slow-start 30s").is_ok());
    }
}
