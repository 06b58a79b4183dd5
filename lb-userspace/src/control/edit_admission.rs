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
    /// Flows of a source in a second; 0: any number, which also drops the burst and the prefix unless they are given.
    pub source_flow_rate: Option<u32>,
    /// Flows of a source at once.
    pub source_flow_burst: Option<u32>,
    /// Bits that are one source; the inner `None`: the default.
    pub source_prefix: Option<Option<u8>>,
}

impl RateChange {
    pub(super) fn apply(self, rates: &mut FlowRates) {
        if self.flow_rate == Some(0) {
            rates.flow_burst = 0;
        }
        if self.source_flow_rate == Some(0) {
            (rates.source_flow_burst, rates.source_prefix) = (0, None);
        }
        rates.flow_rate = self.flow_rate.unwrap_or(rates.flow_rate);
        rates.flow_burst = self.flow_burst.unwrap_or(rates.flow_burst);
        rates.source_flow_rate = self.source_flow_rate.unwrap_or(rates.source_flow_rate);
        rates.source_flow_burst = self.source_flow_burst.unwrap_or(rates.source_flow_burst);
        rates.source_prefix = self.source_prefix.unwrap_or(rates.source_prefix);
    }
}
