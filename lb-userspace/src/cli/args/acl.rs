//! `lbctl acl` and `lbctl limit`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args as ClapArgs, Subcommand, builder::NonEmptyStringValueParser};
use clap_complete::engine::ArgValueCandidates;
use ipnet::IpNet;

use super::{
    complete,
    flow::network,
    names::{ChangeArgs, ServiceArg},
    values::address,
};

/// What to do with lists of sources.
#[derive(Clone, Debug, Subcommand)]
pub enum AclCommand {
    /// Show who is blocked for all services, until when and why, and which services have lists of their own.
    #[command(visible_alias = "ls")]
    List {
        /// At most so many prefixes.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Block sources for all services. It outlives lbd, but is no part of the configuration file.
    ///
    /// Flows that they have go on, unless --end is given. What blocks an address already, and is a longer prefix, stays.
    Block {
        /// Addresses and networks.
        #[arg(required = true, value_name = "ADDRESS[/BITS]", value_parser = network)]
        prefixes: Vec<IpNet>,
        #[command(flatten)]
        how: BlockArgs,
    },
    /// Block sources no more that were blocked by request.
    Unblock {
        /// Addresses and networks, as they were blocked.
        #[arg(required = true, value_name = "ADDRESS[/BITS]", value_parser = network)]
        prefixes: Vec<IpNet>,
    },
    /// Block what a file holds, in the place of all that is blocked by request: no packet meets a part of it.
    Load {
        /// The file, with one address or network a line and # before comments; - is the standard input.
        file: PathBuf,
        #[command(flatten)]
        how: BlockArgs,
    },
    /// Show what the lists say of an address. Exit code 6 if a service does not let it in.
    Check {
        /// The address.
        #[arg(value_parser = address)]
        address: IpAddr,
        /// Only of this service, by name or address.
        #[arg(long, value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::services))]
        service: Option<String>,
    },
}

/// How sources are blocked.
#[derive(Clone, Debug, ClapArgs)]
pub struct BlockArgs {
    /// For so long, such as 10m; else until they are unblocked.
    #[arg(long = "for", value_name = "DURATION")]
    pub time: Option<String>,
    /// What for: one line.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// End the flows that they have, too.
    #[arg(long)]
    pub end: bool,
}

/// What to do with limits of services.
#[derive(Clone, Debug, Subcommand)]
pub enum LimitCommand {
    /// Show the limits of services, and the packets that they refused.
    #[command(visible_alias = "ls")]
    List,
    /// Set limits of a service; what is not given stays, 0 is no limit.
    Set {
        #[command(flatten)]
        service: ServiceArg,
        #[command(flatten)]
        rates: RateOptions,
        /// Most connections at once.
        #[arg(long, value_name = "COUNT")]
        max_connections: Option<u32>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Who may begin flows.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct SourceOptions {
    /// Source that is let in, and nobody else: the whole list; several: repeat it or separate them by commas. "" empties the list.
    #[arg(long, value_name = "ADDRESS[/BITS]", value_delimiter = ',', value_parser = network_or_none)]
    pub allow: Option<Vec<Option<IpNet>>>,
    /// File with more of them, as lbd finds it; "" for none.
    #[arg(long, value_name = "FILE")]
    pub allow_file: Option<String>,
    /// Source that is not let in: the whole list; several: repeat it or separate them by commas. "" empties the list.
    #[arg(long, value_name = "ADDRESS[/BITS]", value_delimiter = ',', value_parser = network_or_none)]
    pub deny: Option<Vec<Option<IpNet>>>,
    /// File with more of them, as lbd finds it; "" for none.
    #[arg(long, value_name = "FILE")]
    pub deny_file: Option<String>,
}

/// How many flows may begin and be there, and how many packets may come.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct RateOptions {
    /// Most flows that begin in a second; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub flow_rate: Option<u32>,
    /// How many of them may begin at once; 0: as many as in a tenth of a second.
    #[arg(long, value_name = "COUNT")]
    pub flow_burst: Option<u32>,
    /// Most flows of one source that begin in a second; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub source_flow_rate: Option<u32>,
    /// How many of them may begin at once; 0: as many as in a second.
    #[arg(long, value_name = "COUNT")]
    pub source_flow_burst: Option<u32>,
    /// Most packets from clients in a second; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub packet_rate: Option<u32>,
    /// How many of them may come at once; 0: as many as in a tenth of a second.
    #[arg(long, value_name = "COUNT")]
    pub packet_burst: Option<u32>,
    /// Most packets of one source in a second; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub source_packet_rate: Option<u32>,
    /// How many of them may come at once; 0: as many as in a tenth of a second.
    #[arg(long, value_name = "COUNT")]
    pub source_packet_burst: Option<u32>,
    /// Most flows of one source at once; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub source_max_connections: Option<u32>,
    /// Most flows of one source at once that nobody answered yet; 0: any number.
    #[arg(long, value_name = "COUNT")]
    pub source_max_embryonic: Option<u32>,
    /// Bits of clients' addresses that are one source.
    #[arg(long, value_name = "BITS")]
    pub source_prefix: Option<u8>,
}

fn network_or_none(text: &str) -> Result<Option<IpNet>, String> {
    if text.is_empty() { Ok(None) } else { network(text).map(Some) }
}
