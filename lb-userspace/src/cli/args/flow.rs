//! What is done with flows.

use std::net::IpAddr;

use clap::{
    Args as ClapArgs, Subcommand,
    builder::{NonEmptyStringValueParser, PossibleValuesParser},
};
use clap_complete::engine::ArgValueCandidates;
use ipnet::IpNet;
use lb_common::abi::FlowState;

use super::{complete, values::words};
use crate::{api::TopBy, model::Protocol};

/// What to do with flows.
#[derive(Clone, Debug, Subcommand)]
pub enum FlowCommand {
    /// List flows.
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        pick: FlowPick,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Show who fills the flow tables: the clients, networks, services or backends with most flows.
    Top(TopArgs),
    /// Count flows by backend.
    Count,
    /// End flows: both ends of TCP connections get a RST, all others are forgotten.
    ///
    /// Connections that are idle are told within a second or two, as far as their ends answer. What is forgotten begins anew with the
    /// next packet: UDP, connections that were not answered yet, connections that are over.
    Kill(KillArgs),
}

/// Which flows; all that is given has to hold.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct FlowPick {
    /// Only of this service, by name or address.
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::services))]
    pub service: Option<String>,
    /// Only of this backend, by name or address.
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::backends))]
    pub backend: Option<String>,
    /// Only of this client, or of the clients of this network.
    #[arg(long, value_name = "ADDRESS[/BITS]", value_parser = network)]
    pub client: Option<IpNet>,
    /// Only of this protocol.
    #[arg(long, value_parser = words::<Protocol>())]
    pub protocol: Option<String>,
    /// Only in this state; several: repeat it or separate them by commas.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(FlowState::ALL.map(FlowState::as_str)))]
    pub state: Vec<String>,
    /// Only without a packet for at least this time, such as 5m.
    #[arg(long, value_name = "DURATION")]
    pub idle_min: Option<String>,
    /// Only with a packet in this time, such as 10s.
    #[arg(long, value_name = "DURATION")]
    pub idle_max: Option<String>,
}

/// `flow top`.
#[derive(Clone, Debug, ClapArgs)]
pub struct TopArgs {
    /// What flows are put together by.
    #[arg(long, default_value = "client", value_parser = words::<TopBy>())]
    pub by: String,
    /// Bits of IPv4 addresses that count with --by client-prefix.
    #[arg(long, value_name = "BITS", default_value_t = 24, value_parser = clap::value_parser!(u8).range(0..=32))]
    pub prefix_v4: u8,
    /// Bits of IPv6 addresses that count with --by client-prefix.
    #[arg(long, value_name = "BITS", default_value_t = 64, value_parser = clap::value_parser!(u8).range(0..=128))]
    pub prefix_v6: u8,
    /// Show at most so many.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    #[command(flatten)]
    pub pick: FlowPick,
}

/// `flow kill`.
#[derive(Clone, Debug, ClapArgs)]
pub struct KillArgs {
    #[command(flatten)]
    pub pick: FlowPick,
    /// End every flow where nothing says which.
    #[arg(long)]
    pub all: bool,
    /// Only say how many flows it would be.
    #[arg(long)]
    pub dry_run: bool,
}

/// Reads an address or a network.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse()
        .ok()
        .or_else(address)
        .ok_or_else(|| "expected one such as 203.0.113.10, 198.51.100.0/24 or 2001:db8::/48".to_owned())
}
