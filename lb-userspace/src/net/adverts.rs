//! The sockets of VRRP: one for each interface and address family.

use std::{
    io::{self, IoSlice},
    net::{Ipv4Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd as _, AsRawFd as _},
};

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::{
    sys::{
        datagrams::{Datagram, Datagrams},
        readable,
    },
    vrrp::{Ends, Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL, TRAFFIC_CLASS, open_v4},
};

/// Longest message: 255 IPv6 addresses behind 8 bytes; of IPv4, with the longest header.
const LONGEST: usize = 8 + 255 * 16 + 60;
/// Messages that one system call takes.
const BATCH: usize = 32;
/// Bytes of the kernel for messages that wait, where it may be set: what others flood a network with keeps adverts out for that much longer.
const BUFFER: usize = 1 << 20;
/// Batches that are taken before something else is looked at: more than fit into the buffer, so that all that had arrived is heard.
const MOST_BATCHES: usize = 128;

/// A raw socket that hears and sends adverts on one interface.
#[derive(Debug)]
pub struct AdvertSocket {
    socket: AsyncFd<Socket>,
    datagrams: Datagrams,
    ifindex: u32,
    is_v4: bool,
}

impl AdvertSocket {
    /// Opens one, a member of the group of all VRRP routers. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// What the system says; it needs `CAP_NET_RAW`.
    pub fn open(ifindex: u32, name: &str, is_v4: bool) -> io::Result<Self> {
        let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(name.as_bytes()))?;
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
            socket.set_recv_buffer_size(BUFFER)?;
        }
        let limit = u32::from(HOP_LIMIT);
        if is_v4 {
            socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(ifindex))?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(limit)?;
            socket.set_ttl_v4(limit)?;
            socket.set_tos_v4(TRAFFIC_CLASS.into())?;
        } else {
            socket.join_multicast_v6(&GROUP_V6, ifindex)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(limit)?;
            socket.set_unicast_hops_v6(limit)?;
            socket.set_tclass_v6(TRAFFIC_CLASS.into())?;
            socket.set_recv_hoplimit_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        let datagrams = Datagrams::new(BATCH, LONGEST);
        Ok(Self { socket: readable::socket(socket)?, datagrams, ifindex, is_v4 })
    }

    /// The interface it belongs to.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Sends a message with TTL or hop limit 255.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, ends: &Ends, message: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(message)];
        let descriptor = self.socket.as_raw_fd();
        let send = |control, to: SocketAddr| {
            sendmsg(descriptor, &parts, &[control], MsgFlags::empty(), Some(&SockaddrStorage::from(to)))
        };
        let sent = match *ends {
            Ends::V4(source, destination) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: self.ifindex.cast_signed(),
                    ipi_spec_dst: in_addr(source),
                    ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED),
                };
                send(ControlMessage::Ipv4PacketInfo(&info), (destination, 0).into())
            }
            Ends::V6(source, destination) => {
                let ipi6_addr = libc::in6_addr { s6_addr: source.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: self.ifindex };
                let to = SocketAddrV6::new(destination, 0, 0, self.ifindex);
                send(ControlMessage::Ipv6PacketInfo(&info), to.into())
            }
        };
        sent.map(drop).map_err(io::Error::from)
    }

    /// Waits until there may be a message.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await?.clear_ready();
        Ok(())
    }

    /// Hands all messages that wait to `take`; what is no whole packet is left out. False: there may be more already.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` is none.
    pub fn receive(&mut self, mut take: impl FnMut(Envelope, &[u8])) -> io::Result<bool> {
        for _ in 0..MOST_BATCHES {
            match self.datagrams.receive(self.socket.as_fd()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
            for datagram in self.datagrams.iter() {
                let opened = if self.is_v4 { open_v4(datagram.bytes).ok() } else { open_v6(&datagram) };
                if let Some((envelope, message)) = opened {
                    take(envelope, message);
                }
            }
            if self.datagrams.iter().len() < BATCH {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A message as an IPv6 socket delivers it, with what it says of the header.
fn open_v6<'a>(datagram: &Datagram<'a>) -> Option<(Envelope, &'a [u8])> {
    let ends = Ends::V6(datagram.source?, datagram.destination?);
    Some((Envelope { ends, hop_limit: datagram.hop_limit.unwrap_or_default() }, datagram.bytes))
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}
