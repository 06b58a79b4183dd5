//! How a virtual router is configured.

use std::{net::IpAddr, time::Duration};

use thiserror::Error;

use super::{
    Addresses, Advert, Authentication, ChecksumForm, Ends, GROUP_V4, GROUP_V6, HOP_LIMIT, Interval, Priority,
    Unbuildable, Version, Vrid,
};

/// The configuration of one virtual router on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its number.
    pub vrid: Vrid,
    /// Without what tracking makes of it; 255 for the owner of the addresses.
    pub priority: Priority,
    /// `Advertisement_Interval`.
    pub interval: Interval,
    /// What is sent and taken.
    pub versions: Versions,
    /// Of version 2.
    pub authentication: Authentication,
    /// What is backed up; of IPv6, the first is link-local.
    pub addresses: Addresses,
    /// Whether an active router of lower priority is replaced.
    pub preemption: Preemption,
    /// Whether this machine takes packets for the addresses though it does not own them.
    pub accept_mode: bool,
    /// Of version 3 over IPv4.
    pub checksum: Checksum,
    /// Who hears the adverts.
    pub peers: Peers,
    /// How often the network is told where the addresses are.
    pub announcing: Announcing,
}

/// Versions of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// Version 2 only.
    V2,
    /// Version 3 only.
    #[default]
    V3,
    /// Both are sent and taken, for as long as old routers are replaced (RFC 9568 section 8.4).
    Both,
}

impl Versions {
    /// Those that are sent, in this order.
    #[must_use]
    pub const fn sent(self) -> &'static [Version] {
        match self {
            Self::V2 => &[Version::V2],
            Self::V3 => &[Version::V3],
            Self::Both => &[Version::V3, Version::V2],
        }
    }
}

/// `Preempt_Mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// An active router is left alone, whatever its priority.
    Never,
    /// One of lower priority is replaced when it has been heard for so long.
    After(Duration),
}

/// Which checksum is sent in version 3 over IPv4; both are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Without pseudo-header.
    Rfc9568,
    /// With it.
    Rfc5798,
    /// As the router that was heard last; until one is heard, with it, as keepalived and FRR do.
    #[default]
    Auto,
}

/// Who hears the adverts, and whose are heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// Everybody on the link.
    #[default]
    Multicast,
    /// Only these.
    Unicast {
        /// Their addresses.
        peers: Vec<IpAddr>,
        /// 255: they are on the link; less by each router in between.
        least_hop_limit: u8,
    },
}

/// The repetition of announcements: at once, then after `first_gap`, and each gap is twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcing {
    /// Between the first two.
    pub first_gap: Duration,
    /// After which no gap becomes longer.
    pub longest_gap: Duration,
    /// How long it is repeated if no packet for the addresses arrives.
    pub limit: Duration,
    /// How often it is repeated after that; `None`: not at all.
    pub refresh: Option<Duration>,
    /// How often it is repeated although packets arrive: one may come from the only neighbour that heard it.
    pub least_repeats: u32,
}

impl Default for Announcing {
    fn default() -> Self {
        Self {
            first_gap: Duration::from_millis(100),
            longest_gap: Duration::from_secs(5),
            limit: Duration::from_secs(60),
            refresh: Some(Duration::from_secs(10)),
            least_repeats: 3,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidSettings {
    /// 0 says that a router stops.
    #[error("priority 0; expected 1 to 254, or 255 for the owner of the addresses")]
    Priority,
    /// RFC 9568 section 5.2.9.
    #[error("the first address is not link-local; expected one in fe80::/10 before the others")]
    LinkLocal,
    /// Unicast without anybody to send to, or to the other family.
    #[error("no unicast peer, or one of another family than the addresses")]
    Peers,
    /// No advert can say it.
    #[error(transparent)]
    Unbuildable(#[from] Unbuildable),
}

impl Settings {
    /// Settings with the protocol's defaults.
    #[must_use]
    pub fn new(vrid: Vrid, addresses: Addresses) -> Self {
        const SECOND: Interval = match Interval::from_seconds(1) {
            Some(interval) => interval,
            None => Interval::LONGEST_V3,
        };
        Self {
            vrid,
            priority: Priority::DEFAULT,
            interval: SECOND,
            versions: Versions::default(),
            authentication: Authentication::None,
            addresses,
            preemption: Preemption::After(Duration::ZERO),
            accept_mode: true,
            checksum: Checksum::default(),
            peers: Peers::default(),
            announcing: Announcing::default(),
        }
    }

    /// Checks that adverts can be made of them.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.priority == Priority::STOPS {
            return Err(InvalidSettings::Priority);
        }
        let (unspecified, is_v4): (IpAddr, bool) = match &self.addresses {
            Addresses::V4(_) => ([0; 4].into(), true),
            Addresses::V6(addresses) => {
                if addresses.first().is_some_and(|first| !first.is_unicast_link_local()) {
                    return Err(InvalidSettings::LinkLocal);
                }
                ([0; 16].into(), false)
            }
        };
        if let Peers::Unicast { peers, .. } = &self.peers
            && (peers.is_empty() || peers.iter().any(|peer| peer.is_ipv4() != is_v4))
        {
            return Err(InvalidSettings::Peers);
        }
        for ends in self.ends(unspecified) {
            for version in self.versions.sent() {
                self.advert(*version, self.priority).build(&ends, ChecksumForm::MessageOnly)?;
            }
        }
        Ok(())
    }

    /// An advert of this router.
    pub(super) fn advert(&self, version: Version, priority: Priority) -> Advert {
        Advert {
            version,
            vrid: self.vrid,
            priority,
            interval: self.interval,
            addresses: self.addresses.clone(),
            authentication: match version {
                Version::V2 => self.authentication,
                Version::V3 => Authentication::None,
            },
        }
    }

    /// From `source` to each who is to hear an advert.
    pub(super) fn ends(&self, source: IpAddr) -> impl Iterator<Item = Ends> + '_ {
        let group = if source.is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() };
        let (group, peers) = match &self.peers {
            Peers::Multicast => (Some(group), [].as_slice()),
            Peers::Unicast { peers, .. } => (None, peers.as_slice()),
        };
        group.into_iter().chain(peers.iter().copied()).filter_map(move |to| Ends::new(source, to))
    }

    /// The least TTL or hop limit that is taken.
    pub(super) fn least_hop_limit(&self) -> u8 {
        match self.peers {
            Peers::Multicast => HOP_LIMIT,
            Peers::Unicast { least_hop_limit, .. } => least_hop_limit,
        }
    }
}
