//! Who may begin flows, and how many in a second.

use std::path::PathBuf;

use ipnet::IpNet;

/// A list of sources. Of the prefixes that hold an address the longest counts; of two that are alike, the one that denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceList {
    /// They may. Where there is one, or a file of such, nobody else may.
    pub allow: Vec<IpNet>,
    /// A file with more of them.
    pub allow_file: Option<PathBuf>,
    /// They may not.
    pub deny: Vec<IpNet>,
    /// A file with more of them.
    pub deny_file: Option<PathBuf>,
}

impl SourceList {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only those on it may.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        !self.allow.is_empty() || self.allow_file.is_some()
    }
}

/// How many flows may begin; 0: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowRates {
    /// In a second.
    pub flow_rate: u32,
    /// At once; 0: as many as in a tenth of a second, and at least one.
    pub flow_burst: u32,
    /// Of one source, in a second.
    pub source_flow_rate: u32,
    /// Of one source, at once; 0: as many as in a second.
    pub source_flow_burst: u32,
    /// Bits of clients' addresses that are one source; `None`: 32 of IPv4, 64 of IPv6.
    pub source_prefix: Option<u8>,
}

impl FlowRates {
    /// How many flows may begin at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        if self.flow_burst > 0 { self.flow_burst } else { (self.flow_rate / 10).max(1) }
    }

    /// How many flows of one source may begin at once.
    #[must_use]
    pub fn source_burst(&self) -> u32 {
        if self.source_flow_burst > 0 { self.source_flow_burst } else { self.source_flow_rate.max(1) }
    }
}
