//! Frames put on a link as they are.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, bind, send, socket},
};

use crate::netns::Netns;

/// Sends whole Ethernet frames out of an interface of a namespace.
#[derive(Debug)]
pub struct Injector {
    socket: OwnedFd,
    mac: [u8; 6],
}

impl Injector {
    /// Opens an interface.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        netns.run(|| {
            let address = link_address(interface)?;
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
                .context("cannot open a packet socket")?;
            bind(socket.as_raw_fd(), &address).with_context(|| format!("cannot bind to {interface}"))?;
            let mac = address.addr().with_context(|| format!("{interface} has no MAC address"))?;
            Ok(Self { socket, mac })
        })
    }

    /// The interface's MAC address.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends a frame of at least 14 bytes.
    ///
    /// # Errors
    ///
    /// If the interface refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.socket.as_raw_fd(), frame, MsgFlags::empty()).context("cannot send a frame")?;
        anyhow::ensure!(sent == frame.len(), "{sent} of {} bytes of a frame were sent", frame.len());
        Ok(())
    }
}

/// The MAC address of an interface of a namespace.
///
/// # Errors
///
/// If there is none of this name.
pub fn mac(netns: &Netns, interface: &str) -> Result<[u8; 6]> {
    netns.run(|| link_address(interface)?.addr().with_context(|| format!("{interface} has no MAC address")))
}

/// The link layer's address of an interface of this thread's namespace.
///
/// # Errors
///
/// If there is none of this name.
pub fn link_address(interface: &str) -> Result<LinkAddr> {
    let mut all = getifaddrs().context("cannot list the interfaces")?;
    all.find(|found| {
        found.interface_name == interface && found.address.is_some_and(|a| a.as_link_addr().is_some())
    })
    .and_then(|found| found.address.and_then(|address| address.as_link_addr().copied()))
    .with_context(|| format!("no interface {interface}"))
}
