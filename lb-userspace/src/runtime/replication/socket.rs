//! The socket between both machines.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::model::Replication;

/// Bytes of packets that may wait; the kernel gives what it allows.
const BUFFER: usize = 4 << 20;

/// Opens it: it hears the other machine only. Must be called in a tokio runtime.
///
/// # Errors
/// What the system says, as that the address is not there.
pub(super) fn open(wanted: &Replication) -> io::Result<UdpSocket> {
    let own = SocketAddr::new(wanted.local_address, wanted.port);
    let peer = SocketAddr::new(wanted.peer_address, wanted.port);
    let socket = Socket::new(Domain::for_address(own), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if let Some(interface) = &wanted.interface {
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
    }
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(&own.into())?;
    socket.connect(&peer.into())?;
    UdpSocket::from_std(socket.into())
}
