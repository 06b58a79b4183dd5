//! `lbctl backend`.

use clap::{Args as ClapArgs, Subcommand, builder::NonEmptyStringValueParser};
use clap_complete::engine::ArgValueCandidates;

use super::{
    complete,
    names::{BackendArg, ChangeArgs},
    values::{Endpoint, endpoint, words},
};
use crate::model::{AdminState, DrainEnd};

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
    /// Show a backend, with how long handshakes with it take.
    Show(BackendArg),
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
