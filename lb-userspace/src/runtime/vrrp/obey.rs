//! Doing what the virtual routers want done.

use std::fs;

use ipnet::IpNet;
use lb_common::abi::Mac;

use super::{hooks::Change, machine::Machine, network::place};
use crate::{
    model::VirtualRouter,
    net::Link,
    sys::packet::FrameSender,
    vrrp::{Cause, Command, Ends, RouterId, State, announcement, group_frame},
};

/// Bytes of a frame before the packet, which alone counts for the MTU.
const ETHERNET: usize = 14;

impl Machine {
    /// Does what the routers want, in their order. That they take addresses is told to the data path at once, which forwards by it, and to the network;
    /// the kernel, which takes up to a millisecond to add them, follows.
    pub(super) async fn obey(&mut self) {
        let mut taking = Vec::new();
        while let Some((RouterId(index), command)) = self.node.poll_command() {
            let Some(router) = self.routers.get(index).cloned() else { continue };
            if matches!(command, Command::Release | Command::Changed { .. }) {
                self.take_all(&mut taking).await;
            }
            match command {
                Command::Send { ends, advert, form } => match advert.build(&ends, form) {
                    Ok(message) => {
                        self.chronicles[index].figures.sent += 1;
                        self.send(index, &router, &ends, &message);
                    }
                    Err(error) => tracing::error!(router = %router.name, %error, "VRRP cannot advertise"),
                },
                Command::Take { .. } => {
                    // Nothing comes to a virtual MAC address before its device is there.
                    self.occupy_device(&router).await;
                    let serves = router.virtual_addresses.iter().any(|vip| self.relays.is_vip(vip.addr()));
                    self.node.set_serving(RouterId(index), serves);
                    let predecessor = self.chronicles[index].roster().predecessor();
                    self.relay(&router, predecessor);
                    taking.push(router);
                }
                Command::Release => {
                    self.free_device(&router).await;
                    self.remove_addresses(index, &router, &router.virtual_addresses).await;
                    self.follow_macs();
                }
                Command::Announce => {
                    let other = self.chronicles[index].roster().beside(self.clock.now());
                    self.relay(&router, other);
                    self.announce(&router);
                    self.chronicles[index].announced(self.clock.now());
                }
                Command::Changed { state, cause } => {
                    self.teller.tell(self.chronicles[index].changed(state, cause));
                    tracing::info!(router = %router.name, %state, %cause, "VRRP");
                    self.ring(index, state, &cause);
                }
            }
        }
        self.take_all(&mut taking).await;
    }

    async fn take_all(&mut self, taking: &mut Vec<VirtualRouter>) {
        for router in taking.drain(..) {
            self.add_addresses(&router).await;
        }
    }

    /// Tells the hook.
    fn ring(&self, index: usize, state: State, cause: &Cause) {
        let priority = self.node.routers().nth(index).map_or(0, |(_, router)| router.priority().number());
        self.bells.ring(&self.routers[index], Change { state, cause: cause.to_string(), priority });
    }

    /// From the virtual MAC address only while it is this machine's: switches send its frames to where they saw it last.
    fn send(&mut self, index: usize, router: &VirtualRouter, ends: &Ends, message: &[u8]) {
        let is_active =
            self.node.routers().nth(index).is_some_and(|(_, router)| router.state() == State::Active);
        let frame =
            router.mac().filter(|_| is_active).and_then(|mac| group_frame(ends, mac.octets(), message));
        if let Some(frame) = frame
            && let Some(&Link { ifindex, mtu, .. }) = self.view.link_named(router.interface.as_str())
            && frame.len() <= ETHERNET + mtu as usize
            && let Some(frames) = self.frames()
        {
            if let Err(error) = frames.send(ifindex, &frame) {
                tracing::debug!(router = %router.name, %error, "VRRP cannot send");
            }
            return;
        }
        let Some(socket) = self.sockets.get(&place(router)) else { return };
        if let Err(error) = socket.send(ends, message) {
            // The link went down just now, or its queue is full: the next advert comes soon.
            tracing::debug!(router = %router.name, %error, "VRRP cannot send");
        }
    }

    pub(super) async fn take_addresses(&mut self, router: &VirtualRouter) {
        self.occupy_device(router).await;
        self.add_addresses(router).await;
    }

    async fn add_addresses(&self, router: &VirtualRouter) {
        let Some(Link { ifindex, .. }) = self.device(router) else { return };
        for address in &router.virtual_addresses {
            let added = if router.virtual_mac {
                self.requests.add_host_address(*ifindex, *address).await
            } else {
                self.requests.add_address(*ifindex, *address).await
            };
            if let Err(error) = added {
                tracing::error!(router = %router.name, %address, %error, "VRRP cannot add an address");
            }
        }
    }

    /// Removes addresses of a router, but for those that another one holds.
    pub(super) async fn remove_addresses(&self, index: usize, router: &VirtualRouter, addresses: &[IpNet]) {
        let Some(Link { ifindex, .. }) = self.device(router) else { return };
        let others = self.node.routers().zip(&self.routers).enumerate();
        let others = others.filter(|(other, ((_, state), wanted))| {
            let is_there = self.device(wanted).is_some_and(|device| device.ifindex == *ifindex);
            *other != index && state.holds_addresses() && is_there
        });
        let held: Vec<IpNet> =
            others.flat_map(|(_, (_, wanted))| wanted.virtual_addresses.iter().copied()).collect();
        for address in addresses.iter().filter(|address| !held.contains(address)) {
            if let Err(error) = self.requests.remove_address(*ifindex, *address).await {
                tracing::error!(router = %router.name, %address, %error, "VRRP cannot remove an address");
            }
        }
    }

    pub(super) fn announce(&mut self, router: &VirtualRouter) {
        let Some(link) = self.view.link_named(router.interface.as_str()).cloned() else { return };
        let mac = router.mac().map_or(link.mac, Mac::octets);
        let is_router = forwards_ipv6(&link.name);
        let (vips, others): (Vec<&IpNet>, Vec<&IpNet>) =
            router.virtual_addresses.iter().partition(|network| self.relays.is_vip(network.addr()));
        let Some(frames) = self.frames() else { return };
        // What backends answer to first, as `Node::poll_command` has it of routers.
        for network in others.into_iter().chain(vips) {
            let frame = announcement(network.addr(), mac, is_router);
            if let Err(error) = frames.send(link.ifindex, &frame) {
                tracing::debug!(router = %router.name, %error, "VRRP cannot announce");
            }
        }
    }

    fn frames(&mut self) -> Option<&FrameSender> {
        if self.frames.is_none() {
            match FrameSender::open() {
                Ok(frames) => self.frames = Some(frames),
                Err(error) => tracing::error!(%error, "VRRP has no socket for gratuitous ARP"),
            }
        }
        self.frames.as_ref()
    }
}

/// Whether a machine says in its Neighbor Advertisements that it is a router.
fn forwards_ipv6(interface: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding"))
        .is_ok_and(|text| text.trim() == "1")
}
