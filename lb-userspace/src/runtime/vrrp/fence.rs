//! What the data path is told of the VIPs that this machine holds, so that it can keep quiet when this process is gone.

use std::{collections::BTreeMap, net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;
use lb_common::abi::Mac;

use super::machine::Machine;
use crate::{
    maps::{FloatingMap, MapError, floating_key},
    model::VirtualRouter,
    vrrp::{RouterId, State},
};

/// For how many intervals of a router this process vouches with each advert: other machines take over after 3 and their skew.
const VOUCHED_INTERVALS: u32 = 3;
/// Between two attempts after the map could not be read or written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Claims of other machines.
#[derive(Clone, Copy, Debug)]
struct Seen {
    claims: u32,
    /// There were some the last time. A machine that takes over announces the VIP just before it says so: only who is active half an
    /// interval later has a conflict.
    is_new: bool,
}

/// The VIPs of the map.
#[derive(Debug)]
pub(super) struct Fence {
    map: FloatingMap,
    /// What is in the map; `None`: from an earlier run.
    known: BTreeMap<[u32; 4], Option<Seen>>,
    /// When routers, by their first VIP, want to be vouched for again.
    due: BTreeMap<IpAddr, Duration>,
    try_again: Duration,
}

impl Fence {
    /// With what an earlier run left.
    pub(super) fn open(tables: &Path) -> Result<Self, MapError> {
        let map = FloatingMap::open(tables)?;
        let known = map.entries()?.into_iter().map(|(key, _)| (key, None)).collect();
        Ok(Self { map, known, due: BTreeMap::new(), try_again: Duration::ZERO })
    }

    /// Vouches for a VIP; true: other machines had claimed it the last time.
    fn vouch(&mut self, address: IpAddr, until: Duration, mac: Option<Mac>) -> Result<bool, MapError> {
        let key = floating_key(address);
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        let claims = self.map.vouch(key, nanos, mac)?;
        let before = self.known.get(&key).copied().flatten();
        let is_new = before.is_some_and(|before| before.claims != claims);
        self.known.insert(key, Some(Seen { claims, is_new }));
        Ok(before.is_some_and(|before| before.is_new))
    }

    /// Forgets what is none of these.
    fn retain(&mut self, held: &[[u32; 4]]) -> Result<(), MapError> {
        let gone: Vec<_> = self.known.keys().filter(|key| !held.contains(key)).copied().collect();
        for key in gone {
            self.map.forget(key)?;
            self.known.remove(&key);
        }
        Ok(())
    }
}

impl Machine {
    /// Vouches for what is active here, and forgets what is not held any more. A router that does not know yet whether it may keep its VIPs
    /// after a restart is let alone: another machine may have them.
    pub(super) fn vouch(&mut self) {
        let now = self.clock.now();
        if self.fence.try_again > now {
            return;
        }
        match self.try_to_vouch(now) {
            Ok(claimed) => claimed.into_iter().for_each(|(index, address)| {
                self.node.address_claimed(now, RouterId(index));
                self.teller.tell(self.chronicles[index].claimed(now, address));
            }),
            Err(error) => {
                self.fence.try_again = now + TRY_AGAIN;
                tracing::error!(%error, "VRRP cannot tell the data path which VIPs are held");
            }
        }
    }

    /// Vouches for the VIPs of a router before they are announced, as the data path has to know at which MAC address they are.
    pub(super) fn vouch_for(&mut self, router: &VirtualRouter) {
        let until = self.clock.now() + router.advert_interval * VOUCHED_INTERVALS;
        for address in router.virtual_addresses.iter().map(IpNet::addr) {
            if let Err(error) = self.fence.vouch(address, until, router.mac()) {
                return tracing::error!(router = %router.name, %error, "VRRP cannot tell the data path where VIPs are");
            }
        }
    }

    /// Which VIPs of which routers other machines claimed meanwhile.
    fn try_to_vouch(&mut self, now: Duration) -> Result<Vec<(usize, IpAddr)>, MapError> {
        let (mut held, mut claimed) = (Vec::new(), Vec::new());
        let routers = self.node.routers().zip(&self.routers).enumerate();
        for (index, ((_, router), wanted)) in routers.filter(|(_, ((_, router), _))| router.holds_addresses())
        {
            let addresses = || wanted.virtual_addresses.iter().map(IpNet::addr);
            held.extend(addresses().map(floating_key));
            let Some(first) = addresses().next() else { continue };
            let is_known = addresses()
                .all(|address| self.fence.known.get(&floating_key(address)).is_some_and(Option::is_some));
            let is_due = self.fence.due.get(&first).is_none_or(|due| *due <= now);
            if router.state() != State::Active || is_known && !is_due {
                continue;
            }
            let interval = wanted.advert_interval;
            self.fence.due.insert(first, now + interval / 2);
            for address in addresses() {
                if self.fence.vouch(address, now + interval * VOUCHED_INTERVALS, wanted.mac())? {
                    claimed.push((index, address));
                }
            }
        }
        self.fence.retain(&held)?;
        Ok(claimed)
    }
}
