//! Hears the adverts on the clients' link.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lb_userspace::vrrp::{GROUP_V4, PROTOCOL};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::VRIDS;
use crate::{clock, netns::Netns};

const PATIENCE: Duration = Duration::from_secs(10);

/// An ear in the client's namespace.
#[derive(Debug)]
pub struct Adverts {
    /// A raw socket, of which only receiving is used.
    socket: UdpSocket,
}

impl Adverts {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// If the system has no socket for it.
    pub fn open(client: &Netns) -> Result<Self> {
        client.run(|| {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
            let ifindex = nix::net::if_::if_nametoindex("eth0")?;
            socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(ifindex))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(Self { socket: socket.into() })
        })
    }

    /// Waits for so many more adverts of a node, and gives the time of the last.
    ///
    /// # Errors
    ///
    /// If that takes longer than 10 seconds.
    pub fn heard(&self, source: Ipv4Addr, count: usize) -> Result<Instant> {
        self.socket.set_nonblocking(true)?;
        while self.socket.recv(&mut [0; 128]).is_ok() {}
        self.socket.set_nonblocking(false)?;
        let (begin, mut heard) = (clock::now(), 0);
        while begin.elapsed() < PATIENCE {
            let mut packet = [0; 128];
            let length = match self.socket.recv(&mut packet) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                length => length.context("no advert is heard")?,
            };
            if is_of(&packet[..length], source) {
                heard += 1;
            }
            if heard == count {
                return Ok(clock::now());
            }
        }
        bail!("{heard} instead of {count} adverts of {source} in {PATIENCE:?}")
    }
}

/// Whether an IPv4 packet is an advert of the node with this address, for the VIP.
fn is_of(packet: &[u8], source: Ipv4Addr) -> bool {
    let [first, ..] = packet else { return false };
    let message = packet.get(usize::from(first & 0x0f) * 4..).unwrap_or_default();
    packet.get(12..16) == Some(&source.octets()) && message.get(1) == Some(&VRIDS[0])
}
