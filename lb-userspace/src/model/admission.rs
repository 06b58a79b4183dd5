//! Who may begin flows, how many in a second, and how many at once.

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

/// How many flows may begin and be there, and how many packets may come; 0: any number.
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
    /// Flows of one source at once.
    pub source_max_connections: u32,
    /// Flows of one source at once that nobody answered yet.
    pub source_max_embryonic: u32,
    /// Packets from clients, in a second.
    pub packet_rate: u32,
    /// At once; 0: as many as in a tenth of a second, and at least one.
    pub packet_burst: u32,
    /// Packets of one source, in a second.
    pub source_packet_rate: u32,
    /// At once; 0: as many as in a tenth of a second, and at least one.
    pub source_packet_burst: u32,
    /// Bits of clients' addresses that are one source; `None`: 32 of IPv4, 64 of IPv6.
    pub source_prefix: Option<u8>,
}

impl FlowRates {
    /// How many flows may begin at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        tenth(self.flow_rate, self.flow_burst)
    }

    /// How many packets may come at once.
    #[must_use]
    pub fn packet_burst(&self) -> u32 {
        tenth(self.packet_rate, self.packet_burst)
    }

    /// How many packets of one source may come at once.
    #[must_use]
    pub fn source_packet_burst(&self) -> u32 {
        tenth(self.source_packet_rate, self.source_packet_burst)
    }

    /// Whether anything is said of sources.
    #[must_use]
    pub fn has_sources(&self) -> bool {
        let Self {
            source_flow_rate, source_packet_rate, source_max_connections, source_max_embryonic, ..
        } = *self;
        source_flow_rate | source_packet_rate | source_max_connections | source_max_embryonic > 0
    }

    /// How many flows of one source may begin at once.
    #[must_use]
    pub fn source_burst(&self) -> u32 {
        if self.source_flow_burst > 0 { self.source_flow_burst } else { self.source_flow_rate.max(1) }
    }
}

/// A burst, by default a tenth of what comes in a second.
fn tenth(rate: u32, burst: u32) -> u32 {
    if burst > 0 { burst } else { (rate / 10).max(1) }
}
