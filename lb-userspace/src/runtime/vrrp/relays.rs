//! What backends answer to the machine that had the addresses until a moment ago: it is passed on to that machine, which knows the flows.

use std::{collections::BTreeMap, net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;
use lb_common::abi::Relay;

use super::machine::Machine;
use crate::{
    maps::{MapError, RelayMap},
    model::VirtualRouter,
    net::{Link, NeighbourKey},
};

/// Longer than clients wait for an answer over UDP, such as resolvers (5 s) for that of a name server.
const LASTS: Duration = Duration::from_secs(10);
/// Between two questions for the MAC address of a machine.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The addresses of the map, and the machines that may be in it soon.
#[derive(Debug)]
pub(super) struct Relays {
    map: RelayMap,
    /// Until when packets are passed on.
    until: BTreeMap<IpAddr, Duration>,
    /// When it was last asked where machines that are heard are.
    asked: BTreeMap<NeighbourKey, Duration>,
}

impl Relays {
    /// Nothing is passed on.
    pub(super) fn open(tables: &Path) -> Result<Self, MapError> {
        Ok(Self { map: RelayMap::open(tables)?, until: BTreeMap::new(), asked: BTreeMap::new() })
    }

    /// Whether clients connect to an address.
    pub(super) fn is_vip(&self, address: IpAddr) -> bool {
        self.map.is_vip(address).unwrap_or_else(|error| {
            tracing::debug!(%error, %address, "VRRP cannot look a service up");
            false
        })
    }

    /// Passes packets for addresses on an interface on to another machine.
    fn begin(&mut self, now: Duration, link: u32, mac: [u8; 6], addresses: &[IpNet]) -> Result<(), MapError> {
        let until = now + LASTS;
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        let relay = Relay { until: nanos, mac: mac.into(), ifindex: link, reserved: 0 };
        for address in addresses.iter().map(IpNet::addr) {
            self.until.insert(address, until);
            self.map.set(address, &relay)?;
        }
        Ok(())
    }

    /// Forgets those whose time is over, and those that are not this machine's any more.
    fn end(&mut self, now: Duration, is_held: impl Fn(&IpAddr) -> bool) -> Result<(), MapError> {
        let over = self.until.iter().filter(|(address, until)| **until <= now || !is_held(address));
        for address in over.map(|(address, _)| *address).collect::<Vec<_>>() {
            self.map.forget(address)?;
            self.until.remove(&address);
        }
        Ok(())
    }

    /// Whether it is to be asked now where a machine is.
    fn asks(&mut self, now: Duration, key: NeighbourKey) -> bool {
        let asks = self.asked.get(&key).is_none_or(|asked| now >= *asked + ASK_AGAIN);
        if asks {
            self.asked.retain(|_, asked| now < *asked + ASK_AGAIN);
            self.asked.insert(key, now);
        }
        asks
    }
}

impl Machine {
    /// Before the network is told that addresses are here: what is under way to them belongs to whoever had them, or thinks so.
    pub(super) fn relay(&mut self, router: &VirtualRouter, other: Option<IpAddr>) {
        let now = self.clock.now();
        let (Some(ifindex), Some(other)) = (self.ifindex(router), other) else { return };
        let Some(mac) = self.view.mac_of((ifindex, other)) else {
            return tracing::debug!(router = %router.name, %other, "VRRP does not know the other machine's MAC address");
        };
        if let Err(error) = self.relays.begin(now, ifindex, mac, &router.virtual_addresses) {
            tracing::error!(router = %router.name, %error, "VRRP cannot have packets passed on to the other machine");
        }
    }

    /// Ends what has lasted long enough.
    pub(super) fn end_relays(&mut self) {
        if self.relays.until.is_empty() {
            return;
        }
        let held: Vec<IpAddr> = self
            .node
            .routers()
            .zip(&self.routers)
            .filter(|((_, router), _)| router.holds_addresses())
            .flat_map(|(_, wanted)| wanted.virtual_addresses.iter().map(IpNet::addr))
            .collect();
        if let Err(error) = self.relays.end(self.clock.now(), |address| held.contains(address)) {
            tracing::error!(%error, "VRRP cannot end that packets are passed on");
        }
    }

    /// Finds out where other machines are that are heard, as this one may take over from them.
    pub(super) async fn find_others(&mut self) {
        let now = self.clock.now();
        for index in 0..self.routers.len() {
            let Some(ifindex) = self.ifindex(&self.routers[index]) else { continue };
            let Some(other) = self.chronicles[index].roster().beside(now) else { continue };
            let key = (ifindex, other);
            if self.view.mac_of(key).is_none()
                && self.relays.asks(now, key)
                && let Err(error) = self.requests.resolve(key).await
            {
                tracing::debug!(%other, %error, "VRRP cannot ask where the other machine is");
            }
        }
    }

    fn ifindex(&self, router: &VirtualRouter) -> Option<u32> {
        self.view.link_named(router.interface.as_str()).map(|Link { ifindex, .. }| *ifindex)
    }
}
