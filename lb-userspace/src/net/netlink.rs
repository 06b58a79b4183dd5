//! The sockets to the kernel.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures_util::{Stream, StreamExt};
use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags},
    link::MacVlanMode,
    neighbour::{NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourState as Nud},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkMacVlan, LinkUnspec, MulticastGroup, RouteMessageBuilder,
    new_connection, new_multicast_connection,
    packet_core::{NetlinkMessage, NetlinkPayload},
    sys::AsyncSocket,
};

use super::{NeighbourKey, Notice, decode};

/// What is listened to.
const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

/// Room for a burst of messages, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused.
    #[error("netlink: {0}")]
    Request(#[from] rtnetlink::Error),
}

/// Where packets to an address go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Egress interface.
    pub ifindex: u32,
    /// The gateway, or the address itself if it is on the link.
    pub address: IpAddr,
}

/// Asks the kernel and has it do things.
#[derive(Clone, Debug)]
pub struct Requests {
    handle: Handle,
}

/// What the kernel says by itself.
pub struct Notices {
    messages: Box<dyn Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send + Unpin>,
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Notices {
    /// Starts to listen. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`NetError::Socket`].
    pub fn open() -> Result<Self, NetError> {
        let (mut connection, _, messages) = new_multicast_connection(GROUPS)?;
        connection.socket_mut().socket_mut().set_rx_buf_sz(RECEIVE_BUFFER)?;
        tokio::spawn(connection);
        Ok(Self { messages: Box::new(messages.map(|(message, _)| message)) })
    }

    /// The next notice; `None`: the socket is gone, open another and ask for everything.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            match self.messages.next().await?.payload {
                NetlinkPayload::InnerMessage(message) => {
                    if let Some(notice) = decode::notice(&message) {
                        return Some(notice);
                    }
                }
                NetlinkPayload::Overrun(_) => return Some(Notice::Lost),
                _ => {}
            }
        }
    }
}

impl Requests {
    /// Opens a socket. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`NetError::Socket`].
    pub fn open() -> Result<Self, NetError> {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Every link, address and neighbour.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn dump(&self) -> Result<Vec<Notice>, NetError> {
        let mut notices = Vec::new();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.next().await {
            notices.extend(decode::notice(&RouteNetlinkMessage::NewLink(link?)));
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(address) = addresses.next().await {
            notices.extend(decode::notice(&RouteNetlinkMessage::NewAddress(address?)));
        }
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut neighbours = self.handle.neighbours().get().set_address_family(family).execute();
            while let Some(neighbour) = neighbours.next().await {
                notices.extend(decode::notice(&RouteNetlinkMessage::NewNeighbour(neighbour?)));
            }
        }
        Ok(notices)
    }

    /// Where packets to `destination` go; `None` if there is no way, or it is this machine.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn next_hop(&self, destination: IpAddr) -> Result<Option<NextHop>, NetError> {
        let request = match destination {
            IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(v4, 32).build(),
            IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(v6, 128).build(),
        };
        let mut routes = Box::pin(self.handle.route().get(request).execute());
        match routes.next().await {
            None => Ok(None),
            Some(Ok(route)) => Ok(hop_of(&route, destination)),
            Some(Err(rtnetlink::Error::NetlinkError(_))) => Ok(None),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// The gateways of all routes.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn gateways(&self) -> Result<BTreeSet<NeighbourKey>, NetError> {
        let mut gateways = BTreeSet::new();
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        for request in [v4, v6] {
            let mut routes = Box::pin(self.handle.route().get(request).execute());
            while let Some(route) = routes.next().await {
                add_gateways(&route?, &mut gateways);
            }
        }
        Ok(gateways)
    }

    /// Gives a link an address, without asking whether another machine has it; one that is there already stays.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn add_address(&self, ifindex: u32, address: IpNet) -> Result<(), NetError> {
        let mut request = self.handle.address().add(ifindex, address.addr(), address.prefix_len()).replace();
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        Ok(request.execute().await?)
    }

    /// Gives a link an address that brings no route of its network with it, unless it is link-local; otherwise as [`Self::add_address`].
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn add_host_address(&self, ifindex: u32, address: IpNet) -> Result<(), NetError> {
        let mut request = self.handle.address().add(ifindex, address.addr(), address.prefix_len()).replace();
        let is_link_local = matches!(address.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
        let mut flags = AddressFlags::Nodad;
        flags.set(AddressFlags::Noprefixroute, !is_link_local);
        request.message_mut().attributes.push(AddressAttribute::Flags(flags));
        Ok(request.execute().await?)
    }

    /// Makes a macvlan on a link, switched off; no error if there is a link of this name.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn add_macvlan(&self, name: &str, below: u32, mac: [u8; 6]) -> Result<(), NetError> {
        // In this mode frames of others from the same MAC address still reach the link below.
        let message = LinkMacVlan::new(name, below, MacVlanMode::Bridge).address(mac.to_vec()).build();
        match self.handle.link().add(message).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EEXIST => Ok(()),
            result => Ok(result?),
        }
    }

    /// The link of this name, if there is one.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn link(&self, name: &str) -> Result<Option<Notice>, NetError> {
        let mut links = Box::pin(self.handle.link().get().match_name(name).execute());
        match links.next().await {
            None | Some(Err(rtnetlink::Error::NetlinkError(_))) => Ok(None),
            Some(Ok(link)) => Ok(decode::notice(&RouteNetlinkMessage::NewLink(link))),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Switches a link on or off.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn switch_link(&self, ifindex: u32, on: bool) -> Result<(), NetError> {
        let link = LinkUnspec::new_with_index(ifindex);
        let message = if on { link.up() } else { link.down() }.build();
        Ok(self.handle.link().change(message).execute().await?)
    }

    /// Removes a link that is made of software; one that is not there is no error.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn remove_link(&self, ifindex: u32) -> Result<(), NetError> {
        match self.handle.link().del(ifindex).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(()),
            result => Ok(result?),
        }
    }

    /// The id of the XDP program that a link runs in driver or network stack; `None`: none, or there is no such link.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn xdp_program(&self, link: &str) -> Result<Option<u32>, NetError> {
        let mut links = Box::pin(self.handle.link().get().match_name(link).execute());
        match links.next().await {
            None | Some(Err(rtnetlink::Error::NetlinkError(_))) => Ok(None),
            Some(Ok(link)) => Ok(decode::xdp_program(&link)),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Takes an address from a link; one that is not there is no error.
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn remove_address(&self, ifindex: u32, address: IpNet) -> Result<(), NetError> {
        let (ip, prefix) = (address.addr(), address.prefix_len());
        let message = match ip {
            IpAddr::V4(v4) => {
                AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(v4, prefix).build()
            }
            IpAddr::V6(v6) => {
                AddressMessageBuilder::<Ipv6Addr>::new().index(ifindex).address(v6, prefix).build()
            }
        };
        match self.handle.address().del(message).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EADDRNOTAVAIL => Ok(()),
            result => Ok(result?),
        }
    }

    /// Has the kernel resolve a neighbour and keep it resolved (`NTF_EXT_MANAGED`, Linux 5.16).
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn keep(&self, (ifindex, address): NeighbourKey) -> Result<(), NetError> {
        let mut request = self.handle.neighbours().add(ifindex, address).replace().state(Nud::None);
        request.message_mut().attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        Ok(request.execute().await?)
    }

    /// Has the kernel resolve a neighbour as if a packet were to be sent; also ends [`Self::keep`].
    ///
    /// # Errors
    /// [`NetError::Request`].
    pub async fn resolve(&self, (ifindex, address): NeighbourKey) -> Result<(), NetError> {
        let request = self.handle.neighbours().add(ifindex, address).replace();
        Ok(request.state(Nud::None).flags(NeighbourFlags::Use).execute().await?)
    }
}

fn hop_of(route: &RouteMessage, destination: IpAddr) -> Option<NextHop> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let mut hop = NextHop { ifindex: 0, address: destination };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => hop.ifindex = *ifindex,
            RouteAttribute::Gateway(gateway) => hop.address = ip(gateway)?,
            RouteAttribute::Via(via) => hop.address = via_ip(via)?,
            _ => {}
        }
    }
    (hop.ifindex != 0).then_some(hop)
}

fn add_gateways(route: &RouteMessage, gateways: &mut BTreeSet<NeighbourKey>) {
    add_gateway(None, &route.attributes, gateways);
    for attribute in &route.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            for hop in hops {
                add_gateway(Some(hop.interface_index), &hop.attributes, gateways);
            }
        }
    }
}

fn add_gateway(ifindex: Option<u32>, attributes: &[RouteAttribute], gateways: &mut BTreeSet<NeighbourKey>) {
    let (mut ifindex, mut gateway) = (ifindex, None);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Via(via) => gateway = via_ip(via),
            _ => {}
        }
    }
    if let (Some(ifindex), Some(gateway)) = (ifindex, gateway) {
        gateways.insert((ifindex, gateway));
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn via_ip(via: &RouteVia) -> Option<IpAddr> {
    match via {
        RouteVia::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteVia::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
