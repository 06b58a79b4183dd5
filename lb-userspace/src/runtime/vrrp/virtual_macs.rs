//! VIPs at the MAC addresses of virtual routers (RFC 9568 section 7.3): the interfaces that have them, and what the data path takes frames for.

use std::{collections::BTreeMap, path::Path, time::Duration};

use lb_common::abi::VirtualMacs;

use super::machine::Machine;
use crate::{
    maps::{MapError, VirtualMacMap},
    model::VirtualRouter,
    net::{Link, Notice, VirtualLink},
};

/// For how long frames to the virtual MAC address are taken after a reload took it away: neighbours are told for so long where the VIPs are
/// ([`Announcing::limit`](crate::vrrp::Announcing::limit)).
const LINGERS: Duration = Duration::from_secs(60);
/// Between two attempts after an interface could not be made, or the map not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The MAC addresses that frames are taken for.
#[derive(Debug)]
pub(super) struct Seats {
    map: VirtualMacMap,
    /// Those that virtual routers had until a reload, and until when they count.
    lingering: Vec<(VirtualLink, Duration)>,
    try_again: Duration,
}

impl Seats {
    /// With what an earlier run left.
    pub(super) fn open(tables: &Path) -> Result<Self, MapError> {
        Ok(Self { map: VirtualMacMap::open(tables)?, lingering: Vec::new(), try_again: Duration::ZERO })
    }
}

impl Machine {
    /// Where the VIPs of a router are: on its interface, or on that of its virtual MAC address.
    pub(super) fn device(&self, router: &VirtualRouter) -> Option<&Link> {
        let link = self.view.link_named(router.interface.as_str())?;
        if router.virtual_mac { place(router, link).find(&self.view) } else { Some(link) }
    }

    /// Sees to it that each router that wants one has an interface of its MAC address, and nobody else has: those that an earlier run left are
    /// taken over or removed.
    pub(super) async fn follow_devices(&mut self) {
        self.make_devices().await;
        self.remove_devices(|machine, link| {
            let mut devices = machine.routers.iter().filter_map(|router| machine.device(router));
            devices.all(|device| device.ifindex != link.ifindex)
        })
        .await;
    }

    /// The first half of [`Self::follow_devices`].
    pub(super) async fn make_devices(&mut self) {
        for index in 0..self.routers.len() {
            let router = self.routers[index].clone();
            let Some(link) = self.view.link_named(router.interface.as_str()) else { continue };
            if !router.virtual_mac {
                continue;
            }
            let (place, below) = (place(&router, link), link.name.clone());
            let is_there = place.find(&self.view).is_some();
            if let Err(error) = place.make(&below, &self.requests, &mut self.view).await {
                tracing::error!(
                    router = %router.name, %error, "VRRP has no interface of the virtual MAC address; trying again"
                );
                self.remove_device(place).await;
                self.try_again = Some(self.clock.now() + TRY_AGAIN);
            } else if !is_there && self.holds(index) {
                // Somebody removed it.
                self.take_addresses(&router).await;
                self.announce(&router);
            }
        }
    }

    /// At the end: nothing of it stays.
    pub(super) async fn leave_devices(&mut self) {
        self.remove_devices(|_, _| true).await;
        self.seats.lingering.clear();
        self.follow_macs();
    }

    /// Frees the VIPs of a router: it does not answer for them any more, and takes no frames to its MAC address.
    ///
    /// The link goes first: what the kernel says when it loses an address would have switches send its frames here again.
    pub(super) async fn free_device(&self, router: &VirtualRouter) {
        let Some(Link { ifindex, .. }) = self.device(router).filter(|_| router.virtual_mac) else { return };
        if let Err(error) = self.requests.switch_link(*ifindex, false).await {
            tracing::error!(router = %router.name, %error, "VRRP cannot switch the interface of the virtual MAC address off");
        }
    }

    /// Prepares the interface of the virtual MAC address for the VIPs, so that nothing that comes to them is lost.
    pub(super) async fn occupy_device(&mut self, router: &VirtualRouter) {
        if !router.virtual_mac {
            return;
        }
        self.follow_macs();
        self.vouch_for(router);
        let Some(Link { ifindex, .. }) = self.device(router) else { return };
        if let Err(error) = self.requests.switch_link(*ifindex, true).await {
            tracing::error!(router = %router.name, %error, "VRRP cannot switch the interface of the virtual MAC address on");
        }
    }

    /// Brings VIPs that are held from one interface to the other, after a reload.
    pub(super) async fn move_addresses(&mut self, index: usize, before: &VirtualRouter) {
        let now = self.clock.now();
        let router = self.routers[index].clone();
        if let Some(link) = self.view.link_named(before.interface.as_str())
            && before.virtual_mac
            && self.holds(index)
        {
            self.seats.lingering.push((place(before, link), now + LINGERS));
        }
        if self.holds(index) {
            self.take_addresses(&router).await;
            self.vouch_for(&router);
            self.announce(&router);
        }
        self.remove_addresses(index, before, &before.virtual_addresses).await;
    }

    /// Has the data path take frames to the MAC addresses of the routers that hold their VIPs, and to no others.
    pub(super) fn follow_macs(&mut self) {
        let now = self.clock.now();
        if self.seats.try_again > now {
            return;
        }
        let mut wanted: BTreeMap<u32, VirtualMacs> = BTreeMap::new();
        let mut take =
            |place: VirtualLink| wanted.entry(place.below).or_default().set(place.mac.into(), true);
        let held = |index: &usize| self.holds(*index) && self.routers[*index].virtual_mac;
        let held: Vec<&VirtualRouter> =
            (0..self.routers.len()).filter(held).map(|index| &self.routers[index]).collect();
        for router in held {
            let link = self.view.link_named(router.interface.as_str());
            link.into_iter().for_each(|link| take(place(router, link)));
        }
        self.seats.lingering.retain(|(_, until)| *until > now);
        self.seats.lingering.iter().for_each(|(place, _)| take(*place));
        if let Err(error) = self.seats.map.hold(&wanted) {
            self.seats.try_again = now + TRY_AGAIN;
            tracing::error!(%error, "VRRP cannot tell the data path of virtual MAC addresses");
        }
    }

    /// When [`Self::follow_macs`] has something to do by itself.
    pub(super) fn macs_due(&self) -> Option<Duration> {
        self.seats.lingering.iter().map(|(_, until)| *until).min()
    }

    pub(super) fn holds(&self, index: usize) -> bool {
        self.node.routers().nth(index).is_some_and(|(_, router)| router.holds_addresses())
    }

    async fn remove_devices(&mut self, is_surplus: impl Fn(&Self, &Link) -> bool) {
        let surplus = VirtualLink::all(&self.view).filter(|link| is_surplus(self, link));
        for Link { ifindex, name, .. } in surplus.cloned().collect::<Vec<_>>() {
            match self.requests.remove_link(ifindex).await {
                Ok(()) => drop(self.view.handle(Notice::LinkGone { ifindex })),
                Err(error) => tracing::error!(interface = name, %error, "VRRP cannot remove an interface"),
            }
        }
    }

    /// One that is not as it has to be does more harm than none.
    async fn remove_device(&mut self, place: VirtualLink) {
        let Some(ifindex) = place.find(&self.view).map(|link| link.ifindex) else { return };
        if self.requests.remove_link(ifindex).await.is_ok() {
            self.view.handle(Notice::LinkGone { ifindex });
        }
    }
}

/// The place of a router on its interface.
fn place(router: &VirtualRouter, link: &Link) -> VirtualLink {
    VirtualLink::new(link.ifindex, router.is_v4(), router.virtual_router_id)
}
