//! Packets that are to be captured.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs};

/// `capture`.
#[derive(Clone, Debug, ClapArgs)]
pub struct CaptureArgs {
    /// Only packets that are so: 'service=web verdict=drop', 'client in 198.51.100.0/24 port=443', 'backend=web-1 or reason^=no-'.
    ///
    /// Properties: service, backend, client, client-port, vip, port, protocol, direction, verdict, reason, flow, ingress, egress, length. What is
    /// handed to the host is left out unless a verdict is named.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Write a pcapng file with both copies of each packet, as they arrived and as they left; - is the standard output.
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// One packet of so many, drawn by lot: 1/100.
    #[arg(long, value_name = "1/N", value_parser = sample)]
    pub sample: Option<u32>,
    /// Bytes of each frame, 14 to 9216; 128 if not given: headers, and little of what users send.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(14..=9216))]
    pub snap: Option<u32>,
    /// The whole frame, up to 9216 bytes.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "snap")]
    pub full: bool,
    /// Most packets in a second; 10000 if not given. What is more is counted, but not copied.
    #[arg(long, value_name = "PACKETS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
    /// End after so many packets.
    #[arg(short, long, value_name = "PACKETS", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after so long, at most 24h; 60s if not given.
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// List the captures under way instead.
    #[arg(long, conflicts_with_all = ["filter", "write", "sample", "snap", "full", "rate", "count", "duration"])]
    pub list: bool,
    /// End the capture of this number instead; whoever reads it gets what there is.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["filter", "write", "sample", "snap", "full", "rate", "count", "duration", "list"])]
    pub stop: Option<u64>,
}

/// Reads a sample.
fn sample(text: &str) -> Result<u32, String> {
    let of = text.strip_prefix("1/").and_then(|of| of.parse().ok());
    of.filter(|of| (1..=1_000_000).contains(of)).ok_or_else(|| "expected 1/N, N from 1 to 1000000".to_owned())
}
