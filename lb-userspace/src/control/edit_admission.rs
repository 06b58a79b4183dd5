//! What changes of a service's lists of sources and of its rates.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::model::{FlowRates, SourceList};

/// What changes of lists of sources; `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceChange {
    /// Who is let in: the whole list.
    pub allow: Option<Vec<IpNet>>,
    /// The file with more of them; the inner `None`: there is none.
    pub allow_file: Option<Option<PathBuf>>,
    /// Who is not: the whole list.
    pub deny: Option<Vec<IpNet>>,
    /// The file with more of them; the inner `None`: there is none.
    pub deny_file: Option<Option<PathBuf>>,
}

impl SourceChange {
    pub(super) fn apply(&self, list: &mut SourceList) {
        for (place, change) in [(&mut list.allow, &self.allow), (&mut list.deny, &self.deny)] {
            if let Some(prefixes) = change {
                place.clone_from(prefixes);
            }
        }
        let files = [(&mut list.allow_file, &self.allow_file), (&mut list.deny_file, &self.deny_file)];
        for (place, change) in files {
            if let Some(file) = change {
                place.clone_from(file);
            }
        }
    }
}

/// What changes of a service's rates; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateChange {
    /// Flows in a second; 0: any number, which also drops the burst unless one is given.
    pub flow_rate: Option<u32>,
    /// Flows at once.
    pub flow_burst: Option<u32>,
    /// Flows of a source in a second; 0: any number, which also drops the burst unless one is given. With the last limit of a source its prefix
    /// is dropped.
    pub source_flow_rate: Option<u32>,
    /// Flows of a source at once.
    pub source_flow_burst: Option<u32>,
    /// Packets in a second; 0: any number, which also drops the burst unless one is given.
    pub packet_rate: Option<u32>,
    /// Packets at once.
    pub packet_burst: Option<u32>,
    /// Packets of a source in a second; 0: any number, which also drops the burst unless one is given.
    pub source_packet_rate: Option<u32>,
    /// Packets of a source at once.
    pub source_packet_burst: Option<u32>,
    /// Flows of a source at once; 0: any number.
    pub source_max_connections: Option<u32>,
    /// Flows of a source at once that nobody answered; 0: any number.
    pub source_max_embryonic: Option<u32>,
    /// Bits that are one source; the inner `None`: the default.
    pub source_prefix: Option<Option<u8>>,
}

impl RateChange {
    pub(super) fn apply(self, rates: &mut FlowRates) {
        let FlowRates {
            flow_rate,
            flow_burst,
            source_flow_rate,
            source_flow_burst,
            source_max_connections,
            source_max_embryonic,
            packet_rate,
            packet_burst,
            source_packet_rate,
            source_packet_burst,
            source_prefix: _,
        } = rates;
        for (rate, burst, change, burst_change) in [
            (flow_rate, flow_burst, self.flow_rate, self.flow_burst),
            (source_flow_rate, source_flow_burst, self.source_flow_rate, self.source_flow_burst),
            (packet_rate, packet_burst, self.packet_rate, self.packet_burst),
            (source_packet_rate, source_packet_burst, self.source_packet_rate, self.source_packet_burst),
        ] {
            if change == Some(0) {
                *burst = 0;
            }
            *rate = change.unwrap_or(*rate);
            *burst = burst_change.unwrap_or(*burst);
        }
        *source_max_connections = self.source_max_connections.unwrap_or(*source_max_connections);
        *source_max_embryonic = self.source_max_embryonic.unwrap_or(*source_max_embryonic);
        if !rates.has_sources() {
            rates.source_prefix = None;
        }
        rates.source_prefix = self.source_prefix.unwrap_or(rates.source_prefix);
    }
}
