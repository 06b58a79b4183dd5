//! Generic netlink: what drivers can do with XDP, and offloads.

use std::collections::HashSet;
use std::io;

use rtnetlink::sys::protocols::NETLINK_GENERIC;

use super::netlink::{Netlink, attribute, attributes, push, text};
use crate::doctor::facts::{Offloads, XdpFeatures};

/// The controller, `CTRL_CMD_GETFAMILY`, and its attributes.
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `NETDEV_CMD_DEV_GET` and its attributes.
const DEV_GET: u8 = 1;
const DEV_IFINDEX: u16 = 1;
const DEV_XDP_FEATURES: u16 = 3;
/// `ETHTOOL_MSG_FEATURES_GET` and its attributes.
const FEATURES_GET: u8 = 11;
const FEATURES_HEADER: u16 = 1;
const FEATURES_ACTIVE: u16 = 4;
const HEADER_INDEX: u16 = 1;
const HEADER_NAME: u16 = 2;
const BITSET_BITS: u16 = 3;
const BIT_NAME: u16 = 2;
/// An attribute with attributes in it.
const NESTED: u16 = 0x8000;

/// Asks generic netlink in the network namespace of the calling thread.
#[derive(Debug)]
pub(super) struct Generic {
    netlink: Netlink,
    netdev: Option<u16>,
    ethtool: Option<u16>,
}

impl Generic {
    /// Opens a socket.
    pub(super) fn open() -> io::Result<Self> {
        let mut netlink = Netlink::open(NETLINK_GENERIC)?;
        let netdev = family(&mut netlink, "netdev");
        let ethtool = family(&mut netlink, "ethtool");
        Ok(Self { netlink, netdev, ethtool })
    }

    /// What the driver of an interface can do with XDP; `None` before Linux 6.3.
    pub(super) fn xdp(&mut self, ifindex: u32) -> Option<XdpFeatures> {
        let mut body = vec![DEV_GET, 1, 0, 0];
        push(&mut body, DEV_IFINDEX, &ifindex.to_ne_bytes());
        let answers = self.netlink.request(self.netdev?, false, &body).ok()?;
        let features = attribute(answers.first()?.get(4..)?, DEV_XDP_FEATURES)?;
        Some(XdpFeatures(u64::from_ne_bytes(features.try_into().ok()?)))
    }

    /// The name of an interface and its offloads.
    pub(super) fn offloads(&mut self, ifindex: u32) -> Option<(String, Offloads)> {
        let mut header = Vec::new();
        push(&mut header, HEADER_INDEX, &ifindex.to_ne_bytes());
        let mut body = vec![FEATURES_GET, 1, 0, 0];
        push(&mut body, FEATURES_HEADER | NESTED, &header);
        let answers = self.netlink.request(self.ethtool?, false, &body).ok()?;
        let answer = answers.first()?.get(4..)?;
        let name = attribute(attribute(answer, FEATURES_HEADER)?, HEADER_NAME).map(text)?;
        let bits = attribute(attribute(answer, FEATURES_ACTIVE)?, BITSET_BITS)?;
        let on: HashSet<String> =
            attributes(bits).into_iter().filter_map(|(_, bit)| attribute(bit, BIT_NAME).map(text)).collect();
        Some((name, offloads(&on)))
    }
}

/// Offloads by the kernel's names of the features that are switched on.
fn offloads(on: &HashSet<String>) -> Offloads {
    let any = |names: &[&str]| names.iter().any(|name| on.contains(*name));
    Offloads {
        lro: any(&["rx-lro"]),
        gro_hw: any(&["rx-gro-hw"]),
        rx_vlan: any(&["rx-vlan-hw-parse"]),
        tx_checksum: any(&["tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6"]),
        segmentation: any(&["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation"]),
        gro: any(&["rx-gro"]),
    }
}

fn family(netlink: &mut Netlink, name: &str) -> Option<u16> {
    let mut body = vec![GET_FAMILY, 1, 0, 0];
    push(&mut body, FAMILY_NAME, format!("{name}\0").as_bytes());
    let answers = netlink.request(CONTROLLER, false, &body).ok()?;
    let id = attribute(answers.first()?.get(4..)?, FAMILY_ID)?;
    Some(u16::from_ne_bytes(id.try_into().ok()?))
}

/// Names of nftables' tables with their families; of the old iptables, the names of theirs.
pub(super) fn packet_filters() -> Option<Vec<String>> {
    const GET_TABLE: u16 = 10 << 8 | 1;
    const TABLE_NAME: u16 = 1;
    let mut netlink = Netlink::open(rtnetlink::sys::protocols::NETLINK_NETFILTER).ok()?;
    let answers = match netlink.request(GET_TABLE, true, &[0; 4]) {
        Ok(answers) => answers,
        // A kernel without nftables.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Vec::new(),
        Err(_) => return None,
    };
    let mut tables: Vec<String> = answers
        .iter()
        .filter_map(|answer| {
            let family = match answer.first()? {
                1 => "inet",
                2 => "ip",
                3 => "arp",
                5 => "netdev",
                7 => "bridge",
                10 => "ip6",
                _ => "other",
            };
            Some(format!("{family} {}", text(attribute(answer.get(4..)?, TABLE_NAME)?)))
        })
        .collect();
    for (file, family) in
        [("/proc/net/ip_tables_names", "iptables"), ("/proc/net/ip6_tables_names", "ip6tables")]
    {
        let names = std::fs::read_to_string(file).unwrap_or_default();
        tables.extend(names.lines().map(|name| format!("{family} {name}")));
    }
    Some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_go_by_the_kernels_names() {
        let on = ["tx-checksum-ip-generic", "rx-gro", "rx-checksum"].map(str::to_owned).into();
        let expected = Offloads { tx_checksum: true, gro: true, ..Offloads::default() };
        assert_eq!(offloads(&on), expected);
    }
}
