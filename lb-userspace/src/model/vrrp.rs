//! A virtual router, as it is configured: VIPs that one of several machines holds.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use lb_common::abi::Mac;

use super::{InterfaceName, RouterName, ScriptProbe, Track, keyword::keyword};

/// Which checksum adverts of version 3 over IPv4 have; both are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VrrpChecksum {
    /// That of the router heard last.
    #[default]
    Auto,
    /// Without a pseudo-header, as RFC 9568 has it.
    Rfc9568,
    /// With one, as keepalived and FRR read RFC 5798.
    Rfc5798,
}

keyword!(VrrpChecksum { Auto = "auto", Rfc9568 = "rfc9568", Rfc5798 = "rfc5798" });

/// A program that is told of changes of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// What is run, and as whom.
    pub program: ScriptProbe,
    /// After which a run is ended.
    pub timeout: Duration,
}

impl Notify {
    /// How long a run may take where nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

/// One entry of `[[vrrp]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualRouter {
    /// Its name.
    pub name: RouterName,
    /// Where its adverts are sent, and its VIPs are.
    pub interface: InterfaceName,
    /// Its number, 1 to 255.
    pub virtual_router_id: u8,
    /// 1 to 254, or 255 for the owner of the VIPs.
    pub priority: u8,
    /// Between two adverts.
    pub advert_interval: Duration,
    /// Versions of the protocol: 2, 3, or both.
    pub versions: Vec<u8>,
    /// Simple text authentication of version 2.
    pub auth_pass: Option<String>,
    /// The VIPs with the lengths of their prefixes; of IPv6, the first is link-local.
    pub virtual_addresses: Vec<IpNet>,
    /// Whether the VIPs are at the MAC address of the virtual router (RFC 9568 section 7.3) instead of the interface's.
    pub virtual_mac: bool,
    /// Whether a machine of lower priority is replaced.
    pub preempt: bool,
    /// How long it is left alone before.
    pub preempt_delay: Duration,
    /// Of version 3 over IPv4.
    pub checksum: VrrpChecksum,
    /// Who gets adverts instead of the multicast group.
    pub unicast_peers: Vec<IpAddr>,
    /// The least TTL or hop limit of adverts from unicast peers.
    pub min_ttl: u8,
    /// What it depends on, beside its own interface.
    pub track: Track,
    /// What is run when its state changes.
    pub notify: Option<Notify>,
    /// The virtual routers of one group are active on the same machine.
    pub sync_group: Option<RouterName>,
}

impl VirtualRouter {
    /// One with defaults, and without addresses.
    #[must_use]
    pub fn new(name: RouterName, interface: InterfaceName, virtual_router_id: u8) -> Self {
        Self {
            name,
            interface,
            virtual_router_id,
            priority: 100,
            advert_interval: Duration::from_secs(1),
            versions: vec![3],
            auth_pass: None,
            virtual_addresses: Vec::new(),
            virtual_mac: false,
            preempt: true,
            preempt_delay: Duration::ZERO,
            checksum: VrrpChecksum::default(),
            unicast_peers: Vec::new(),
            min_ttl: 255,
            track: Track::default(),
            notify: None,
            sync_group: None,
        }
    }

    /// The first VIP that is not link-local, or the first: it names the virtual router on all machines.
    #[must_use]
    pub fn vip(&self) -> Option<IpAddr> {
        let mut vips = self.virtual_addresses.iter().map(IpNet::addr);
        let is_global = |vip: &IpAddr| !matches!(vip, IpAddr::V6(vip) if vip.is_unicast_link_local());
        vips.clone().find(is_global).or_else(|| vips.next())
    }

    /// The MAC address that its VIPs are at, unless it is the interface's.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.virtual_mac.then(|| Mac::of_virtual_router(self.is_v4(), self.virtual_router_id))
    }

    /// Whether its VIPs are of IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.virtual_addresses.iter().all(|address| address.addr().is_ipv4())
    }
}
