//! rtnetlink messages as [`Notice`]s.

use std::net::IpAddr;

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached},
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState as Nud,
    },
    route::RouteFlags,
};

use super::{Address, Link, Neighbour, NeighbourState, Notice};
use crate::loader::AttachMode;

/// What a message says; `None` if nothing that matters here.
pub(super) fn notice(message: &RouteNetlinkMessage) -> Option<Notice> {
    match message {
        RouteNetlinkMessage::NewLink(link) => own_family(link).then(|| Notice::Link(decode_link(link))),
        RouteNetlinkMessage::DelLink(link) => {
            own_family(link).then_some(Notice::LinkGone { ifindex: link.header.index })
        }
        RouteNetlinkMessage::NewAddress(address) => decode_address(address).map(Notice::Address),
        RouteNetlinkMessage::DelAddress(address) => decode_address(address).map(Notice::AddressGone),
        RouteNetlinkMessage::NewNeighbour(neighbour) => decode_neighbour(neighbour).map(Notice::Neighbour),
        RouteNetlinkMessage::DelNeighbour(neighbour) => {
            decode_neighbour(neighbour).map(Notice::NeighbourGone)
        }
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
            // Cache entries of single destinations are no routes.
            (!route.header.flags.contains(RouteFlags::Cloned)).then_some(Notice::Routing)
        }
        RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => Some(Notice::Routing),
        _ => None,
    }
}

/// Bridges announce their ports once more, in a family of their own.
fn own_family(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
}

fn decode_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        ifindex: message.header.index,
        name: String::new(),
        mac: [0; 6],
        mtu: 0,
        running: message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        xdp: None,
        below: None,
    };
    let (mut below, mut is_macvlan) = (None, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().unwrap_or_default(),
            LinkAttribute::Xdp(xdp) => link.xdp = xdp.iter().find_map(decode_xdp),
            LinkAttribute::Link(ifindex) => below = Some(*ifindex),
            LinkAttribute::LinkInfo(infos) => is_macvlan = infos.contains(&LinkInfo::Kind(InfoKind::MacVlan)),
            _ => {}
        }
    }
    link.below = below.filter(|_| is_macvlan);
    link
}

fn decode_xdp(attribute: &LinkXdp) -> Option<AttachMode> {
    match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(AttachMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(AttachMode::Generic),
        _ => None,
    }
}

/// The id of the XDP program that a link runs, if it is one.
pub(super) fn xdp_program(message: &LinkMessage) -> Option<u32> {
    let of_xdp = message.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    });
    of_xdp.flatten().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) if *id != 0 => Some(*id),
        _ => None,
    })
}

fn decode_address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut peer) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed | AddressFlags::Deprecated;
    Some(Address {
        ifindex: message.header.index,
        address: local.or(peer)?,
        prefix: message.header.prefix_len,
        global: message.header.scope == AddressScope::Universe && !flags.intersects(unusable),
    })
}

fn decode_neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    let (mut address, mut mac, mut managed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            NeighbourAttribute::ExtFlags(flags) => managed = flags.contains(NeighbourExtFlags::Managed),
            _ => {}
        }
    }
    let state = match message.header.state {
        Nud::Reachable | Nud::Stale | Nud::Delay | Nud::Probe => NeighbourState::Valid,
        Nud::Permanent | Nud::Noarp => NeighbourState::Fixed,
        Nud::Failed => NeighbourState::Failed,
        _ => NeighbourState::Unknown,
    };
    Some(Neighbour { ifindex: message.header.ifindex, address: address?, mac, state, managed })
}
