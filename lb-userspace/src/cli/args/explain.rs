//! Packets that are to be explained, and drops.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as ClapArgs, builder::PossibleValuesParser};
use lb_common::abi::DropReason;

use super::values::words;
use crate::api::TcpFlag;

/// `explain`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ExplainArgs {
    /// Source address and port: 198.51.100.7:40000 or [2001:db8::7]:40000.
    #[arg(value_name = "SOURCE", required_unless_present_any = ["hex", "pcap"], conflicts_with_all = ["hex", "pcap"])]
    pub source: Option<SocketAddr>,
    /// Destination address and port, and protocol unless it is TCP: 203.0.113.10:53/udp.
    #[arg(value_name = "DESTINATION[/PROTOCOL]", requires = "source", required_unless_present_any = ["hex", "pcap"])]
    pub destination: Option<String>,
    /// TCP flags, separated by commas; syn if not given.
    #[arg(long, value_delimiter = ',', value_parser = words::<TcpFlag>(), conflicts_with_all = ["hex", "pcap"])]
    pub flags: Vec<String>,
    /// TTL or hop limit; 64 if not given.
    #[arg(long, conflicts_with_all = ["hex", "pcap"])]
    pub ttl: Option<u8>,
    /// Length in bytes from the network header on; 60 if not given.
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["hex", "pcap"])]
    pub length: Option<u16>,
    /// Id of a VLAN tag.
    #[arg(long, value_name = "ID", conflicts_with_all = ["hex", "pcap"])]
    pub vlan: Option<u16>,
    /// Interface it arrives at; if not given, the one that a file of lbd names, or the first one that lbd is attached to.
    #[arg(long, value_name = "INTERFACE")]
    pub ingress: Option<String>,
    /// A whole frame in hexadecimal digits, from its Ethernet header on.
    #[arg(long, value_name = "DIGITS", conflicts_with = "pcap")]
    pub hex: Option<String>,
    /// A file with frames (pcap or pcapng), as `tcpdump -w` and `lbctl capture -w` write it; - is the standard input.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Which frame of the file.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub packet: u64,
}

/// `drops`.
#[derive(Clone, Debug, ClapArgs)]
pub struct DropsArgs {
    /// Only these reasons.
    #[arg(value_name = "REASON", value_parser = PossibleValuesParser::new(DropReason::ALL.iter().map(|reason| reason.as_str())))]
    pub reasons: Vec<String>,
    /// Show likely causes, and commands to look further: of the reasons given, or of those that were counted.
    #[arg(long)]
    pub explain: bool,
}
