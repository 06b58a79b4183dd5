//! The command line.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{
    Args as ClapArgs, Parser, Subcommand, ValueEnum,
    builder::{NonEmptyStringValueParser, PossibleValuesParser},
};

use clap_complete::engine::ArgValueCandidates;

use super::complete;
use super::events::EventArgs;
use super::health_args::HealthOptions;
use crate::api::Url;
use crate::import::Format;
use crate::model::{AdminState, Algorithm, DrainEnd, InterfaceName, Keyword, Mode, OnDown, OnFull, Protocol};

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
    /// Show packets, bytes and flows of services, backends and interfaces.
    Stats {
        /// Show rates per second, measured over so many seconds, instead of totals.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u64).range(1..=3600))]
        rate: Option<u64>,
    },
    /// Show dropped packets by reason.
    Drops,
    /// Show what happens, as it happens: backends that go up and down, changes of the configuration, drains that end.
    ///
    /// Events that happen while lbd cannot be reached are shown later, as far as lbd keeps them. docs/events.md lists all kinds with their
    /// attributes.
    Events(EventArgs),
    /// Virtual routers: VIPs that one of several machines holds.
    #[command(subcommand)]
    Vrrp(VrrpCommand),
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

/// What to do with virtual routers.
#[derive(Clone, Debug, Subcommand)]
pub enum VrrpCommand {
    /// Show where each virtual router stands, and which machine is active.
    Status,
    /// Let another machine be active: this one goes on until that one is heard, and then leaves it active until it is released.
    ///
    /// If no other machine takes over within 4 advert intervals, this one remains active. A virtual router that is not active does not
    /// become active in the place of one that is. All this outlives restarts of lbd. See docs/vrrp.md.
    Failover {
        #[command(flatten)]
        routers: RoutersArg,
        /// Give the VIPs up even if no other machine takes over: they are on no machine then.
        #[arg(long)]
        force: bool,
        /// Wait for the outcome; ends with 6 if no other machine took over.
        #[arg(long)]
        wait: bool,
    },
    /// End what failover began: take part in elections again as configured.
    Release {
        #[command(flatten)]
        routers: RoutersArg,
        /// Wait until this machine is active, or hears one that it leaves active.
        #[arg(long)]
        wait: bool,
    },
}

/// One virtual router, or all.
#[derive(Clone, Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct RoutersArg {
    /// Name of a virtual router; all of its sync group switch over together.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::virtual_routers))]
    pub router: Option<String>,
    /// All virtual routers.
    #[arg(long)]
    pub all: bool,
}

/// What to do with services.
#[derive(Clone, Debug, Subcommand)]
pub enum ServiceCommand {
    /// List services.
    #[command(visible_alias = "ls")]
    List,
    /// Show a service with its backends.
    Show {
        #[command(flatten)]
        service: ServiceArg,
    },
    /// Add a service without backends.
    Add(Box<ServiceAdd>),
    /// Change a service; what is not given stays.
    Set(Box<ServiceSet>),
    /// Remove a service with its backends; their flows end.
    #[command(name = "rm", visible_alias = "remove")]
    Remove {
        #[command(flatten)]
        service: ServiceArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// A service by its name.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServiceArg {
    /// Name of the service, or its address: 203.0.113.10:80/tcp, 203.0.113.10:80 or 203.0.113.10 if only one has it.
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::services))]
    pub service: String,
}

/// A backend by its service's name and its own.
#[derive(Clone, Debug, ClapArgs)]
pub struct BackendArg {
    #[command(flatten)]
    pub service: ServiceArg,
    /// Name of the backend, or its address: 10.0.0.11:8080, or 10.0.0.11 if only one has it.
    #[arg(value_name = "BACKEND", value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::backends))]
    pub backend: String,
}

/// For every change.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct ChangeArgs {
    /// Do not write the change into the configuration file: it lasts until lbd reads the file again.
    #[arg(long)]
    pub runtime: bool,
}

/// `service add`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServiceAdd {
    #[command(flatten)]
    pub service: ServiceArg,
    /// Address that clients connect to (the VIP).
    #[arg(long, value_parser = address)]
    pub address: IpAddr,
    /// Port; 0: every port without a service of its own.
    #[arg(long)]
    pub port: u16,
    /// Protocol.
    #[arg(long, value_parser = words::<Protocol>())]
    pub protocol: String,
    #[command(flatten)]
    pub options: ServiceOptions,
    /// Check the backends' health.
    #[arg(long)]
    pub health: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `service set`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServiceSet {
    #[command(flatten)]
    pub service: ServiceArg,
    #[command(flatten)]
    pub options: ServiceOptions,
    /// Check the backends' health.
    #[arg(long)]
    pub health: bool,
    /// Do not check the backends' health.
    #[arg(long, conflicts_with_all = ["health", "HealthOptions", "HealthRules"])]
    pub no_health: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// What `service add` and `service set` have in common.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServiceOptions {
    /// nat: the backend sees the client's address; full-nat: it sees a SNAT address.
    #[arg(long, value_parser = words::<Mode>())]
    pub mode: Option<String>,
    /// How a new flow's backend is chosen.
    #[arg(long, value_parser = words::<Algorithm>())]
    pub algorithm: Option<String>,
    /// Size of the slot table; a prime for maglev.
    #[arg(long)]
    pub slots: Option<u32>,
    /// Bits of the client's address that count (source-hash, affinity).
    #[arg(long, value_name = "BITS")]
    pub affinity_prefix: Option<u8>,
    /// Time after its last flow began for which a client gets the backend it had, such as 10m; 0s: none.
    #[arg(long, value_name = "DURATION")]
    pub affinity_timeout: Option<String>,
    /// Most connections at once; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub max_connections: Option<u32>,
    /// What would be one connection too many: drop (TCP clients try again) or reset (they get a RST).
    #[arg(long, value_name = "POLICY", value_parser = words::<OnFull>())]
    pub on_full: Option<String>,
    /// Source address towards the backends (full-nat); several: repeat it or separate them by commas.
    #[arg(long = "snat-address", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub snat_addresses: Vec<IpAddr>,
    /// TCP connections of a backend that is down, disabled or removed: reselect (the client's next packet goes to another backend) or
    /// reset (both ends get a RST at once).
    #[arg(long, value_name = "POLICY", value_parser = words::<OnDown>())]
    pub on_down: Option<String>,
    #[command(flatten)]
    pub health: HealthOptions,
    #[command(flatten)]
    pub health_rules: HealthRules,
    /// Time over which a backend's weight rises after it came back, such as 30s; 0s: at once.
    #[arg(long, value_name = "DURATION")]
    pub slow_start: Option<String>,
    /// Backups take flows while fewer other backends than this are healthy.
    #[arg(long, value_name = "COUNT")]
    pub backup_below: Option<u32>,
}

/// When backends are checked, and what follows from it.
#[derive(Clone, Debug, ClapArgs)]
pub struct HealthRules {
    /// Time between two health checks from the first surprise until the verdict, such as 200ms; 0s: as at other times.
    #[arg(long, value_name = "DURATION")]
    pub health_fast_interval: Option<String>,
    /// How much later than its turn a health check may start, such as 100ms.
    #[arg(long, value_name = "DURATION")]
    pub health_jitter: Option<String>,
    /// How often a backend may go down within --health-flap-window before it is held down; 0: as often as it likes.
    #[arg(long, value_name = "COUNT")]
    pub health_max_flaps: Option<u32>,
    /// Time over which that is counted.
    #[arg(long, value_name = "DURATION")]
    pub health_flap_window: Option<String>,
    /// Time for which it is held down; twice as long each time it goes down again.
    #[arg(long, value_name = "DURATION")]
    pub health_hold_down: Option<String>,
    /// Longest time for which it is held down.
    #[arg(long, value_name = "DURATION")]
    pub health_max_hold_down: Option<String>,
    /// Most backends that may be taken out by their health at once.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_ejected: Option<u8>,
    /// When fewer backends are healthy, all are used; 0: never.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub panic_threshold: Option<u8>,
}

/// What to do with backends.
#[derive(Clone, Debug, Subcommand)]
pub enum BackendCommand {
    /// List the backends of a service, or of all.
    #[command(visible_alias = "ls")]
    List {
        /// Name or address of the service.
        #[arg(value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::services))]
        service: Option<String>,
    },
    /// Add a backend to a service.
    Add {
        #[command(flatten)]
        backend: BackendArg,
        /// Address, and port unless it is the service's: 10.0.0.14:8080, [2001:db8::14]:8080, 10.0.0.14.
        #[arg(value_name = "ADDRESS[:PORT]", value_parser = endpoint)]
        endpoint: Endpoint,
        #[command(flatten)]
        options: BackendOptions,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Change a backend; what is not given stays.
    Set {
        #[command(flatten)]
        backend: BackendArg,
        #[command(flatten)]
        options: BackendOptions,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let a backend keep its flows but take none.
    Drain(DrainArgs),
    /// End a drain: the backend takes flows again.
    Undrain {
        #[command(flatten)]
        backend: BackendArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let a backend take flows while it is healthy.
    Enable {
        #[command(flatten)]
        backend: BackendArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a backend out; its flows go to others, which ends TCP connections.
    Disable {
        #[command(flatten)]
        backend: BackendArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Remove a backend; its flows end.
    #[command(name = "rm", visible_alias = "remove")]
    Remove {
        #[command(flatten)]
        backend: BackendArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// `backend drain`.
#[derive(Clone, Debug, ClapArgs)]
pub struct DrainArgs {
    #[command(flatten)]
    pub backend: BackendArg,
    /// How long it may take, such as 60s; if left out, as long as its flows take.
    #[arg(long, value_name = "DURATION")]
    pub deadline: Option<String>,
    /// What becomes of flows that are left at the deadline: they go on, or both ends are sent a RST.
    #[arg(long, requires = "deadline", value_parser = words::<DrainEnd>())]
    pub then: Option<String>,
    /// Show the number of flows that are left until there is none, or the deadline is over (then exit code 6).
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// What `backend add` and `backend set` have in common.
#[derive(Clone, Debug, ClapArgs)]
pub struct BackendOptions {
    /// Share of the new flows, 0 to 65535; 0: none.
    #[arg(long)]
    pub weight: Option<u16>,
    /// draining: keeps its flows, takes none; disabled: taken out.
    #[arg(long, value_parser = words::<AdminState>())]
    pub state: Option<String>,
    /// Take flows only while too few of the others are healthy.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub backup: Option<bool>,
    /// Most connections at once; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub max_connections: Option<u32>,
}

/// What to do with flows.
#[derive(Clone, Debug, Subcommand)]
pub enum FlowCommand {
    /// List flows.
    #[command(visible_alias = "ls")]
    List {
        /// Only of this service, by name or address.
        #[arg(long, add = ArgValueCandidates::new(complete::services))]
        service: Option<String>,
        /// Only of this backend, by name or address.
        #[arg(long, add = ArgValueCandidates::new(complete::backends))]
        backend: Option<String>,
        /// Only of this client.
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        client: Option<IpAddr>,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Count flows by backend.
    Count,
}

/// What to do with the configuration file.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a file; lbd need not run.
    Check {
        /// The file; - is the standard input.
        #[arg(default_value = "/etc/lb/lb.toml")]
        file: PathBuf,
    },
    /// Make a configuration of another balancer's; lbd need not run.
    ///
    /// It is printed, or written to --write FILE; the report of what has no counterpart, changed its meaning or was assumed goes to
    /// the standard error, and into comments at the end of the configuration.
    Import(Box<ImportArgs>),
    /// Show what lbd is to do, as a configuration file.
    Show,
    /// Show what would change: with a file, if it were applied; without, if lbd read its own again. Exit code 6 if anything.
    Diff {
        /// The file; - is the standard input.
        file: Option<PathBuf>,
    },
    /// Make a file the configuration: it is checked, made in the maps, and takes the place of lbd's own.
    Apply(ApplyArgs),
    /// Keep what was applied with --confirm.
    Confirm,
    /// Bring back what was there before the last apply.
    Rollback,
    /// Have lbd read its file again.
    Reload,
    /// Have lbd look now whether somebody else changed the maps, and put them right; it does so by itself every 30 seconds.
    Repair,
}

/// `config apply`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ApplyArgs {
    /// The file; - is the standard input.
    pub file: PathBuf,
    /// Only say what would change, and what it would do to the flows that live.
    #[arg(long)]
    pub dry_run: bool,
    /// What was before comes back unless `lbctl config confirm` is run in this time, such as 60s.
    #[arg(long, value_name = "DURATION", conflicts_with = "dry_run")]
    pub confirm: Option<String>,
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

/// `config import`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ImportArgs {
    /// What the file is for: found out unless given.
    #[arg(long, value_enum)]
    pub from: Option<Format>,
    /// The file: `ipvsadm -Sn`, keepalived.conf, haproxy.cfg; - is the standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Write the configuration to a new file instead of the standard output.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Interface of the configuration; several: repeat it or separate them by commas.
    #[arg(long = "interface", value_name = "NAME", value_delimiter = ',')]
    pub interfaces: Vec<InterfaceName>,
    /// The VIP of listeners that are bound to every address.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub vip: Option<IpAddr>,
    /// Source address towards backends of a proxy, which makes it full-nat; several: repeat it or separate them by commas.
    #[arg(long = "snat-address", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub snat_addresses: Vec<IpAddr>,
    /// The --config-id that keepalived runs with.
    #[arg(long, value_name = "ID")]
    pub config_id: Option<String>,
}

/// An address with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: Option<u16>,
}

/// Reads an address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "expected one such as 203.0.113.10 or 2001:db8::10".to_owned())
}

/// Reads the seconds of `--watch`.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "expected whole seconds, 1 to 86400".to_owned())
}

/// Reads an address with or without a port.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(Endpoint { address: socket.ip(), port: Some(socket.port()) });
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(address) => Ok(Endpoint { address, port: None }),
        Err(_) => Err("expected one such as 10.0.0.14:8080, [2001:db8::14]:8080 or 10.0.0.14".to_owned()),
    }
}

/// Accepts the words of a set.
pub(super) fn words<T: Keyword>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::ALL.iter().map(|value| value.as_str()))
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
    fn a_backend_may_be_given_with_and_without_its_port() {
        for (text, address, port) in [
            ("10.0.0.14:8080", "10.0.0.14", Some(8080)),
            ("10.0.0.14", "10.0.0.14", None),
            ("[2001:db8::14]:8080", "2001:db8::14", Some(8080)),
            ("2001:db8::14", "2001:db8::14", None),
            ("[2001:db8::14]", "2001:db8::14", None),
        ] {
            assert_eq!(endpoint(text), Ok(Endpoint { address: address.parse().unwrap(), port }), "{text}");
        }
        for text in ["", "web", "10.0.0.14:", "10.0.0.14:70000", "10.0.0:80", "[2001:db8::14", "10.0.0.14/32"]
        {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_option_that_cannot_be_read_says_what_was_expected() {
        for (line, expected) in [
            (
                "lbctl service add web --address web --port 80 --protocol tcp",
                "expected one such as 203.0.113.10",
            ),
            ("lbctl flow list --client 10.0.0.0/8", "expected one such as 203.0.113.10"),
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
