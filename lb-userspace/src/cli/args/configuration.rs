//! `lbctl config`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args as ClapArgs, Subcommand};

use super::values::address;
use crate::{import::Format, model::InterfaceName};

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
