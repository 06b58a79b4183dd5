//! Cables between namespaces.
//!
//! Two traps are avoided here and in [`super::Topology::receive_with`]. A veth hands frames over with unfinished checksums and as unsegmented
//! giants unless the sender's offloads are off; real wires have neither. And what XDP sends into a veth is dropped unless the
//! other end polls (NAPI), which GRO switches on; a GRO size of 1 byte then keeps GRO from merging frames, so that captures
//! show frames as they were sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::{command, inject, netns::Netns};

/// Connects two namespaces by a veth pair.
///
/// # Errors
///
/// If a name is taken.
pub fn cable(a: &Netns, a_name: &str, b: &Netns, b_name: &str) -> Result<()> {
    let (a_netns, b_netns) = (a.name(), b.name());
    command::sh(&format!(
        "ip link add {a_name} netns {a_netns} type veth peer name {b_name} netns {b_netns}"
    ))?;
    for (netns, name) in [(a, a_name), (b, b_name)] {
        netns.sh(&format!("ethtool -K {name} tx off tso off gso off gro off"))?;
        netns.ip(&format!("link set {name} gro_max_size 1 up"))?;
    }
    // Only what is switched on while both ends are up tells the other end that it may send frames of XDP's here.
    for (netns, name) in [(a, a_name), (b, b_name)] {
        netns.sh(&format!("ethtool -K {name} gro on"))?;
    }
    Ok(())
}

/// Connects a host's `eth0` to a port of the switch.
pub(super) fn plug_in(switch: &Netns, port: &str, host: &Netns) -> Result<()> {
    cable(host, "eth0", switch, port)?;
    join_bridge(switch, port)
}

/// Makes an interface a port of the switch.
pub(super) fn join_bridge(switch: &Netns, port: &str) -> Result<()> {
    switch.ip(&format!("link set {port} master br0")).map(drop)
}

/// Makes the switch.
pub(super) fn bridge(switch: &Netns) -> Result<()> {
    switch.ip("link add br0 type bridge mcast_snooping 0 forward_delay 0")?;
    switch.ip("link set br0 up").map(drop)
}

/// Gives an interface its addresses.
pub(crate) fn address(netns: &Netns, interface: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
    netns.ip(&format!("addr add {v4}/24 dev {interface}"))?;
    netns.ip(&format!("addr add {v6}/64 dev {interface} nodad")).map(drop)
}

/// Sends everything without a better route to a router.
pub(crate) fn default_route(netns: &Netns, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
    netns.ip(&format!("route add default via {v4}"))?;
    netns.ip(&format!("-6 route add default via {v6}")).map(drop)
}

/// An interface in a namespace, and its addresses.
pub(super) type End<'a> = (&'a Netns, &'a str, &'a [IpAddr]);

/// Tells the ends of a link each other's MAC addresses, for good.
pub(super) fn acquaint(a: End<'_>, b: End<'_>) -> Result<()> {
    for ((netns, interface, _), (far, far_interface, addresses)) in [(a, b), (b, a)] {
        let mac = inject::mac(far, far_interface)?.map(|byte| format!("{byte:02x}")).join(":");
        for address in addresses {
            netns.ip(&format!("neigh replace {address} lladdr {mac} dev {interface} nud permanent"))?;
        }
    }
    Ok(())
}
