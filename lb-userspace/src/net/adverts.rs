//! The sockets of VRRP: one for each interface and address family.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::{
    sys::readable,
    vrrp::{Ends, Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL, Rejection, open_v4},
};

/// CS6, network control: what keepalived marks its adverts with.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Longest message: 255 IPv6 addresses behind 8 bytes; of IPv4, with the longest header.
const LONGEST: usize = 8 + 255 * 16 + 60;

/// A raw socket that hears and sends adverts on one interface.
#[derive(Debug)]
pub struct AdvertSocket {
    socket: AsyncFd<Socket>,
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
        let limit = u32::from(HOP_LIMIT);
        if is_v4 {
            socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(ifindex))?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(limit)?;
            socket.set_ttl_v4(limit)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        } else {
            socket.join_multicast_v6(&GROUP_V6, ifindex)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(limit)?;
            socket.set_unicast_hops_v6(limit)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
            socket.set_recv_hoplimit_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        Ok(Self { socket: readable::socket(socket)?, ifindex, is_v4 })
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

    /// Hands all messages that wait to `take`; what is no whole packet is left out.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` is none.
    pub fn receive(&self, mut take: impl FnMut(Envelope, &[u8])) -> io::Result<()> {
        let mut buffer = [0; LONGEST];
        loop {
            let opened = if self.is_v4 { self.next_v4(&mut buffer) } else { self.next_v6(&mut buffer) };
            match opened {
                Ok(Ok((envelope, message))) => take(envelope, message),
                Ok(Err(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn next_v4<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Result<(Envelope, &'a [u8]), Rejection>> {
        let length = nix::sys::socket::recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty())?;
        Ok(open_v4(&buffer[..length]))
    }

    fn next_v6<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Result<(Envelope, &'a [u8]), Rejection>> {
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let (mut destination, mut hop_limit) = (None, 0);
        let (length, source) = {
            let mut parts = [IoSliceMut::new(buffer)];
            let received = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::empty(),
            )?;
            for message in received.cmsgs()? {
                match message {
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                    }
                    ControlMessageOwned::Ipv6HopLimit(limit) => {
                        hop_limit = u8::try_from(limit).unwrap_or_default();
                    }
                    _ => {}
                }
            }
            let source = received.address.and_then(|address| Some(address.as_sockaddr_in6()?.ip()));
            (received.bytes, source)
        };
        let ends = source.zip(destination).and_then(|(source, to)| Ends::new(source.into(), to));
        let missing = Rejection::Length { found: length, expected: length };
        Ok(ends.ok_or(missing).map(|ends| (Envelope { ends, hop_limit }, &buffer[..length])))
    }
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}
