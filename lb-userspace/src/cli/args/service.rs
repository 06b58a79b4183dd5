//! `lbctl service`.

use std::net::IpAddr;

use clap::{Args as ClapArgs, Subcommand};

use super::{
    acl::{RateOptions, SourceOptions},
    health::{HealthOptions, HealthRules},
    names::{ChangeArgs, ServiceArg},
    values::{address, words},
};
use crate::model::{Algorithm, Mode, OnDown, OnFull, Protocol, SynCookies};

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
    /// Whether SYNs are answered by cookies: off, auto (while too many connections are half-open) or always.
    #[arg(long, value_name = "POLICY", value_parser = words::<SynCookies>())]
    pub syn_cookies: Option<String>,
    #[command(flatten)]
    pub sources: SourceOptions,
    #[command(flatten)]
    pub rates: RateOptions,
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
