//! Interfaces, addresses and neighbours.

use std::collections::HashMap;
use std::path::Path;

use aya::programs::{loaded_links, loaded_programs};
use futures_util::StreamExt as _;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};

use super::genl::Generic;
use super::{host::value, namespaces, pins};
use crate::doctor::facts::{Link, LocalAddress, Pins, XdpProgram};
use crate::loader::AttachMode;
use crate::model::Config;
use crate::net::{Neighbour, NetError, Notice, Requests};

/// What the kernel has.
#[derive(Debug, Default)]
pub(super) struct Seen {
    links: HashMap<String, Link>,
    names: HashMap<u32, String>,
    pub(super) addresses: Vec<LocalAddress>,
    pub(super) neighbours: Vec<Neighbour>,
}

impl Seen {
    /// A configured interface.
    pub(super) fn link(&self, name: &str) -> Option<Link> {
        self.links.get(name).cloned()
    }

    /// The name of an interface.
    pub(super) fn name(&self, ifindex: u32) -> Option<&str> {
        self.names.get(&ifindex).map(String::as_str)
    }
}

/// Asks for everything about the configured interfaces.
pub(super) async fn inspect(config: &Config, pins: &Pins) -> Result<Seen, NetError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let task = tokio::spawn(connection);
    let mut messages = Vec::new();
    let mut dump = handle.link().get().execute();
    while let Some(message) = dump.next().await {
        messages.push(message?);
    }
    task.abort();
    let mut seen = Seen::default();
    for message in &messages {
        seen.names.insert(message.header.index, name_of(message));
    }
    let mut generic = Generic::open().ok();
    for name in &config.interfaces {
        if let Some(message) = messages.iter().find(|message| name_of(message) == name.as_str()) {
            let mut link = decode(message, &seen.names, &mut generic, pins);
            link.vlans = vlans_above(&messages, message.header.index);
            seen.links.insert(name.to_string(), link);
        }
    }
    for notice in Requests::open()?.dump().await? {
        match notice {
            Notice::Address(address) => seen.addresses.push(LocalAddress {
                interface: seen.names.get(&address.ifindex).cloned().unwrap_or_default(),
                address: address.address,
                prefix: address.prefix,
            }),
            Notice::Neighbour(neighbour) => seen.neighbours.push(neighbour),
            _ => {}
        }
    }
    Ok(seen)
}

fn name_of(message: &LinkMessage) -> String {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    name.unwrap_or_default()
}

fn kind_of(message: &LinkMessage) -> Option<&InfoKind> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => info.iter().find_map(|info| match info {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        }),
        _ => None,
    })
}

fn decode(
    message: &LinkMessage,
    names: &HashMap<u32, String>,
    generic: &mut Option<Generic>,
    pins: &Pins,
) -> Link {
    let (name, ifindex) = (name_of(message), message.header.index);
    let mut link = Link {
        ifindex,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        driver: driver(message, &name),
        rp_filter: ["all", name.as_str()]
            .iter()
            .filter_map(|scope| value(&format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter")))
            .max(),
        xdp: generic.as_mut().and_then(|generic| generic.xdp(ifindex)),
        offloads: generic
            .as_mut()
            .and_then(|generic| generic.offloads(ifindex))
            .map(|(_, offloads)| offloads),
        ..Link::default()
    };
    let (mut lower, mut nsid) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(master) => link.master = names.get(master).cloned(),
            LinkAttribute::Link(index) => lower = Some(*index),
            LinkAttribute::LinkNetNsId(id) => nsid = Some(*id),
            LinkAttribute::Xdp(attributes) => link.program = program(attributes, &name, pins),
            _ => {}
        }
    }
    if link.driver == "veth" {
        link.peer = lower.map(|lower| namespaces::peer(generic.as_mut(), lower, nsid));
    }
    link
}

/// The kind of a virtual interface, else the driver of the device.
fn driver(message: &LinkMessage, name: &str) -> String {
    if let Some(kind) = kind_of(message) {
        return kind.to_string();
    }
    let path = Path::new("/sys/class/net").join(name).join("device/driver");
    let target = path.canonicalize().ok();
    let driver = target.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    driver.unwrap_or_else(|| "unknown".to_owned())
}

fn vlans_above(messages: &[LinkMessage], lower: u32) -> Vec<String> {
    let is_above = |message: &&LinkMessage| {
        kind_of(message) == Some(&InfoKind::Vlan) && message.attributes.contains(&LinkAttribute::Link(lower))
    };
    messages.iter().filter(is_above).map(name_of).collect()
}

fn program(attributes: &[LinkXdp], interface: &str, pins: &Pins) -> Option<XdpProgram> {
    let mode = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(AttachMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(AttachMode::Generic),
        _ => None,
    });
    let id = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) if *id != 0 => Some(*id),
        _ => None,
    })?;
    let ours = pins::is_ours(pins, interface, id);
    let name = loaded_programs()
        .map_while(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    let link =
        loaded_links().map_while(Result::ok).find(|link| link.program_id() == id).map(|link| link.id());
    Some(XdpProgram { id, name, mode, link, ours })
}
