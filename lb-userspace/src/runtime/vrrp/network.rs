//! Links, addresses and sockets of the virtual routers.

use std::{net::IpAddr, time::Duration};

use super::machine::{Machine, Place};
use crate::{
    model::{InterfaceName, VirtualRouter},
    net::{AdvertSocket, Notice, Notices},
    vrrp::{Reading, RouterId, tracked_interface},
};

/// Between two attempts to open a socket.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl Machine {
    /// Which routers have their addresses already, as the daemon was restarted.
    pub(super) fn held(&self) -> Vec<bool> {
        let holds = |router: &VirtualRouter| {
            let device = self.device(router).filter(|device| device.running || !router.virtual_mac);
            device.is_some_and(|link| {
                let is_there =
                    |address: IpAddr| self.view.address_of(link.ifindex, |other| *other == address).is_some();
                router.virtual_addresses.iter().all(|network| is_there(network.addr()))
            })
        };
        self.routers.iter().map(holds).collect()
    }

    pub(super) async fn ask_again(&mut self) {
        match self.requests.dump().await {
            Ok(notices) => {
                self.view.restart();
                for notice in notices {
                    self.view.handle(notice);
                }
            }
            Err(error) => tracing::error!(%error, "VRRP cannot ask for links and addresses"),
        }
    }

    /// The network changed.
    pub(super) async fn take(&mut self, notice: Option<Notice>) {
        let effect = match notice {
            Some(notice) => self.view.handle(notice),
            None => {
                match Notices::open() {
                    Ok(notices) => self.notices = notices,
                    Err(error) => tracing::error!(%error, "VRRP cannot follow the network"),
                }
                self.view.handle(Notice::Lost)
            }
        };
        if effect.lost {
            self.ask_again().await;
        }
        if effect.interfaces {
            self.follow_devices().await;
            self.follow_network();
        }
    }

    /// Tells the routers what became of links and addresses, and opens sockets where there are none.
    pub(super) fn follow_network(&mut self) {
        let now = self.clock.now();
        let mut names: Vec<InterfaceName> = Vec::new();
        for router in &self.routers {
            names.push(router.interface.clone());
            names.extend(router.track.interfaces.iter().map(|tracked| tracked.interface.clone()));
        }
        names.sort_unstable();
        names.dedup();
        for index in 0..self.routers.len() {
            let source = self.source(&self.routers[index]);
            if let Some(place) = source.is_some().then(|| place(&self.routers[index])) {
                self.open(now, place);
            }
            let has_device = self.device(&self.routers[index]).is_some();
            let can_send = has_device && self.sockets.contains_key(&place(&self.routers[index]));
            self.node.set_source(now, RouterId(index), source.filter(|_| can_send));
        }
        for name in names {
            let reading = match self.view.link_named(name.as_str()) {
                None => Reading::Missing("there is no such interface".into()),
                Some(link) if !link.running => Reading::Missing("it is down".into()),
                Some(_) => Reading::There,
            };
            self.node.take_reading(now, &tracked_interface(&name), &reading);
        }
    }

    /// The address that adverts come from: the first of the interface that is none of the VIPs.
    fn source(&self, router: &VirtualRouter) -> Option<IpAddr> {
        let link = self.view.link_named(router.interface.as_str())?;
        let is_vip = |address: &IpAddr| {
            let mut all = self.routers.iter().flat_map(|router| &router.virtual_addresses);
            all.any(|network| network.addr() == *address)
        };
        let is_multicast = router.unicast_peers.is_empty();
        let is_usable = |address: &IpAddr| match address {
            IpAddr::V4(_) => router.is_v4(),
            IpAddr::V6(address) => !router.is_v4() && address.is_unicast_link_local() == is_multicast,
        };
        self.view.address_of(link.ifindex, |address| is_usable(address) && !is_vip(address))
    }

    fn open(&mut self, now: Duration, place: Place) {
        let Some(link) = self.view.link_named(place.0.as_str()) else { return };
        if self.sockets.get(&place).is_some_and(|socket| socket.ifindex() == link.ifindex) {
            return;
        }
        match AdvertSocket::open(link.ifindex, &link.name, place.1) {
            Ok(socket) => drop(self.sockets.insert(place, socket)),
            Err(error) => {
                tracing::error!(interface = %place.0, %error, "VRRP has no socket; trying again");
                self.sockets.remove(&place);
                self.try_again = Some(now + TRY_AGAIN);
            }
        }
    }
}

pub(super) fn place(router: &VirtualRouter) -> Place {
    (router.interface.clone(), router.is_v4())
}
