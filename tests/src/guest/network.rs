//! The guest between two namespaces of the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use super::{Hardware, Image, Machine};
use crate::{
    netns::Netns,
    topology::{
        Family, Host,
        addresses::{self, BALANCER_CLIENT_V4, BALANCER_CLIENT_V6, BALANCER_SERVER_V4, BALANCER_SERVER_V6},
        links,
    },
};

/// The host's ends of the guest's `eth0` and `eth1`, in the namespace in which the machine starts.
pub(super) const TAPS: [&str; 2] = ["tap0", "tap1"];

/// The MAC addresses of the guest's interfaces.
pub(super) const MACS: [&str; 2] = ["52:54:00:00:00:00", "52:54:00:00:00:01"];

/// A guest with a client and a server at its sides; the addresses are those of [`addresses`]. The guest's kernel forwards nothing
/// until it is told to.
#[derive(Debug)]
pub struct Network {
    /// The guest.
    pub machine: Machine,
    /// Where clients run; the interface is `eth0`.
    pub client: Netns,
    /// Where servers run; the interface is `eth0`.
    pub server: Host,
    _workshop: Netns,
}

impl Network {
    /// Makes the namespaces, boots the guest, and gives all of them their addresses and routes.
    ///
    /// # Errors
    ///
    /// If a part cannot be made.
    pub fn build(image: &Image, hardware: &Hardware) -> Result<Self> {
        let workshop = Netns::create("machine")?;
        for tap in TAPS {
            workshop.ip(&format!("tuntap add {tap} mode tap multi_queue"))?;
        }
        let client = Netns::create("client")?;
        let netns = Netns::create("server-1")?;
        let (v4, v6) = (addresses::server_v4(0), addresses::server_v6(0));
        let machine = Machine::boot(&workshop, image, hardware)?;
        // QEMU holds the taps now, wherever they go.
        for (tap, netns) in TAPS.iter().zip([&client, &netns]) {
            workshop.ip(&format!("link set {tap} netns {}", netns.name()))?;
            netns.ip(&format!("link set {tap} name eth0 up"))?;
        }
        links::address(&client, "eth0", addresses::CLIENT_V4, addresses::CLIENT_V6)?;
        for (v4, v6) in addresses::more_clients() {
            links::address(&client, "eth0", v4, v6)?;
        }
        links::address(&netns, "eth0", v4, v6)?;
        links::default_route(&client, BALANCER_CLIENT_V4, BALANCER_CLIENT_V6)?;
        links::default_route(&netns, BALANCER_SERVER_V4, BALANCER_SERVER_V6)?;
        know_guest(&client, MACS[0], (BALANCER_CLIENT_V4, BALANCER_CLIENT_V6))?;
        for addresses in addresses::snat().chain([(BALANCER_SERVER_V4, BALANCER_SERVER_V6)]) {
            know_guest(&netns, MACS[1], addresses)?;
        }
        let server = Host { name: "server-1".to_owned(), netns, v4, v6 };
        let network = Self { machine, client, server, _workshop: workshop };
        network.set_up_guest()?;
        Ok(network)
    }

    /// Has the guest's kernel forward packets, or not.
    ///
    /// # Errors
    ///
    /// If the guest does not answer.
    pub fn kernel_forwarding(&self, on: bool) -> Result<()> {
        let value = u8::from(on);
        let script = format!(
            "echo {value} >/proc/sys/net/ipv4/ip_forward\necho {value} >/proc/sys/net/ipv6/conf/all/forwarding"
        );
        self.machine.sh(&script).map(drop)
    }

    fn set_up_guest(&self) -> Result<()> {
        let mut script = String::from("set -e\n");
        let mut add = |interface: &str, v4: Ipv4Addr, v6: Ipv6Addr| {
            script += &format!("/sbin/ip addr add {v4}/24 dev {interface}\n");
            script += &format!("/sbin/ip addr add {v6}/64 dev {interface} nodad\n");
        };
        add("eth0", BALANCER_CLIENT_V4, BALANCER_CLIENT_V6);
        add("eth1", BALANCER_SERVER_V4, BALANCER_SERVER_V6);
        for (v4, v6) in addresses::snat() {
            add("eth1", v4, v6);
        }
        script += "/sbin/ip link set eth0 up\n/sbin/ip link set eth1 up\n";
        self.machine.sh(&script).context("the guest's interfaces cannot be set up")?;
        for family in Family::ALL {
            let near = |v4: Ipv4Addr, v6: Ipv6Addr| match family {
                Family::V4 => v4.into(),
                Family::V6 => v6.into(),
            };
            self.client.wait_reachable(near(BALANCER_CLIENT_V4, BALANCER_CLIENT_V6))?;
            self.server.netns.wait_reachable(near(BALANCER_SERVER_V4, BALANCER_SERVER_V6))?;
        }
        Ok(())
    }
}

/// Tells a namespace of the host where the guest is: all namespaces share one table of neighbours, and another test may
/// have filled it. Permanent entries always fit.
fn know_guest(netns: &Netns, mac: &str, (v4, v6): (Ipv4Addr, Ipv6Addr)) -> Result<()> {
    for address in [IpAddr::from(v4), IpAddr::from(v6)] {
        netns.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev eth0"))?;
    }
    Ok(())
}
