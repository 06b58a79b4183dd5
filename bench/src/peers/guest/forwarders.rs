//! The ways to get a packet through the guest, one at a time.

use std::net::SocketAddr;

use anyhow::Result;
use lb_tests::{
    config::{Config, Mode, Protocol, Service},
    guest::{
        Network,
        daemon::{Lbd, Program},
    },
    servers::ECHO_PORT,
    topology::{Family, addresses},
};

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forwarder {
    /// The kernel's routing: nothing is translated.
    Plain,
    /// IPVS with masquerading.
    Ipvs,
    /// A rule of nftables, and connection tracking.
    Nftables,
    /// Ours.
    Ours(Mode),
}

impl Forwarder {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Plain, Self::Ipvs, Self::Nftables, Self::Ours(Mode::Nat), Self::Ours(Mode::FullNat)];

    /// Where clients send to.
    pub(super) fn target(self, network: &Network) -> SocketAddr {
        let vip = |number| addresses::vip(Family::V4, number);
        let address = match self {
            Self::Plain => network.server.v4.into(),
            Self::Ipvs => vip(0),
            Self::Nftables => vip(1),
            Self::Ours(Mode::Nat) => vip(2),
            Self::Ours(Mode::FullNat) => vip(3),
        };
        SocketAddr::new(address, ECHO_PORT)
    }

    /// Puts it in place.
    pub(super) fn set_up(self, network: &Network, ours: &Program<'_>) -> Result<()> {
        let target = self.target(network);
        let (vip, server) = (target.ip(), SocketAddr::new(network.server.v4.into(), ECHO_PORT));
        let script = match self {
            Self::Plain => return Ok(()),
            Self::Ipvs => format!(
                "set -e\n/sbin/ip addr replace {vip}/32 dev lo\nipvsadm -A -u {target} -s rr\n\
                 ipvsadm -a -u {target} -r {server} -m"
            ),
            Self::Nftables => format!(
                "nft 'table ip lb {{ chain translate {{ type nat hook prerouting priority dstnat; \
                 ip daddr {vip} udp dport {} dnat to {server}; }}; }}'",
                target.port()
            ),
            Self::Ours(_) => return ours.attach(),
        };
        network.machine.sh(&script).map(drop)
    }

    /// Removes it.
    pub(super) fn remove(self, network: &Network, ours: &Program<'_>) -> Result<()> {
        let script = match self {
            Self::Plain => return Ok(()),
            Self::Ipvs => "ipvsadm -C",
            Self::Nftables => "nft delete table ip lb",
            Self::Ours(_) => return ours.detach(),
        };
        network.machine.sh(script).map(drop)
    }
}

/// Starts `lbd` with a service for each mode.
pub(super) fn start_lbd(network: &Network) -> Result<Lbd<'_>> {
    let services = Mode::ALL.map(|mode| {
        Service::new(mode.name(), Protocol::Udp, Forwarder::Ours(mode).target(network))
            .mode(mode)
            .backends(std::slice::from_ref(&network.server), ECHO_PORT)
    });
    Lbd::start(&network.machine, Config::new(&["eth0", "eth1"], services))
}
