//! What a run of the host model looked for.

use crate::abi::{AclKey, AffinityKey, FlowKey, FragmentKey, SourceKey};

/// Keys that were looked for, in the order in which that was done; an insertion looks for its key, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// IPv4 flows.
    pub v4: Vec<FlowKey<u32>>,
    /// IPv6 flows.
    pub v6: Vec<FlowKey<[u32; 4]>>,
    /// Clients' packets whose cookie was asked for.
    pub cookies_v4: Vec<FlowKey<u32>>,
    /// The same of IPv6.
    pub cookies_v6: Vec<FlowKey<[u32; 4]>>,
    /// IPv4 fragments.
    pub fragments_v4: Vec<FragmentKey<u32>>,
    /// IPv6 fragments.
    pub fragments_v6: Vec<FragmentKey<[u32; 4]>>,
    /// Lists of sources that an IPv4 address was looked for in.
    pub acl_v4: Vec<AclKey<u32>>,
    /// The same of IPv6.
    pub acl_v6: Vec<AclKey<[u32; 4]>>,
    /// Sources whose flows are counted.
    pub sources: Vec<SourceKey>,
    /// Clients' backends.
    pub affinities: Vec<AffinityKey>,
    /// Words of port pools.
    pub port_words: Vec<u32>,
    /// Services whose slot table was read.
    pub slots: Vec<u16>,
}
