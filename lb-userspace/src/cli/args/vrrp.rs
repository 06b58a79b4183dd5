//! `lbctl vrrp`.

use clap::{Args as ClapArgs, Subcommand, builder::NonEmptyStringValueParser};
use clap_complete::engine::ArgValueCandidates;

use crate::cli::complete;

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
