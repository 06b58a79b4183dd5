//! The socket between both machines.

use std::{io, io::IoSlice, net::SocketAddr, os::fd::AsRawFd as _};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};

use crate::model::Replication;

/// Bytes of packets that may wait; the kernel gives what it allows.
const BUFFER: usize = 4 << 20;

/// Packets that the kernel cuts out of what it is given at once, at most (`UDP_MAX_SEGMENTS` of Linux before 6.9, and the longest datagram).
const MOST_SEGMENTS: usize = 64;
const MOST_TOGETHER: usize = 65_000;

/// Packets that are handed to the kernel at once: it cuts them apart as late as it can (`UDP_SEGMENT`, Linux 4.18), so that most of what a packet costs
/// is spent once for all of them. All are of one length, but for the last, which may be shorter.
#[derive(Debug, Default)]
pub(super) struct Train {
    bytes: Vec<u8>,
    each: usize,
    count: usize,
    /// The last one is shorter.
    is_closed: bool,
}

impl Train {
    /// Appends a packet; false: it has to go into the next train.
    pub(super) fn add(&mut self, packet: &[u8]) -> bool {
        if self.count > 0 {
            let is_full = self.count == MOST_SEGMENTS || self.bytes.len() + packet.len() > MOST_TOGETHER;
            if self.is_closed || is_full || packet.len() > self.each {
                return false;
            }
            self.is_closed = packet.len() < self.each;
        } else {
            self.each = packet.len();
        }
        self.bytes.extend_from_slice(packet);
        self.count += 1;
        true
    }

    /// Sends all that is in it, and empties it. What the kernel does not take is lost.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let sent = self.send_together(socket).or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Err(error),
            // Without checksums by the interface, some kernels do not cut.
            _ if self.count > 1 => {
                self.bytes.chunks(self.each).try_for_each(|packet| socket.try_send(packet).map(drop))
            }
            _ => Err(error),
        });
        self.bytes.clear();
        (self.each, self.count, self.is_closed) = (0, 0, false);
        sent
    }

    fn send_together(&self, socket: &UdpSocket) -> io::Result<()> {
        if self.count <= 1 {
            return if self.count == 0 { Ok(()) } else { socket.try_send(&self.bytes).map(drop) };
        }
        // At most the length of a datagram.
        let each = u16::try_from(self.each).map_err(io::Error::other)?;
        socket.try_io(Interest::WRITABLE, || {
            let (bytes, cut) = ([IoSlice::new(&self.bytes)], [ControlMessage::UdpGsoSegments(&each)]);
            Ok(sendmsg::<()>(socket.as_raw_fd(), &bytes, &cut, MsgFlags::MSG_DONTWAIT, None).map(drop)?)
        })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_has_packets_of_one_length_and_a_shorter_one_at_its_end() {
        let mut train = Train::default();
        assert!(train.add(&[1; 100]) && train.add(&[2; 100]));
        assert!(!train.add(&[3; 101]), "a longer one");
        assert!(train.add(&[3; 99]));
        assert!(!train.add(&[4; 99]), "one after the shorter one");
    }

    #[test]
    fn a_train_is_not_longer_than_the_kernel_takes() {
        let mut train = Train::default();
        assert_eq!((0..100).take_while(|_| train.add(&[0; 50])).count(), 64);
        let mut train = Train::default();
        assert_eq!((0..100).take_while(|_| train.add(&[0; 1400])).count(), 46);
    }

    #[tokio::test]
    async fn what_was_sent_together_arrives_packet_by_packet() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        sender.connect(receiver.local_addr().unwrap()).await.unwrap();
        let mut train = Train::default();
        for lengths in [vec![700, 700, 700, 20], vec![33], vec![]] {
            for (number, length) in lengths.iter().enumerate() {
                assert!(train.add(&vec![number as u8; *length]));
            }
            sender.writable().await.unwrap();
            train.send(&sender).unwrap();
            for (number, length) in lengths.iter().enumerate() {
                let mut packet = [0; 2000];
                let got = receiver.recv(&mut packet).await.unwrap();
                assert_eq!(packet[..got], vec![number as u8; *length]);
            }
        }
    }
}
