//! Sending whole frames: `AF_PACKET`.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

/// A socket that sends frames and receives none.
#[derive(Debug)]
pub struct FrameSender(OwnedFd);

impl FrameSender {
    /// Opens one.
    ///
    /// # Errors
    /// What `socket(2)` says; it needs `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes no addresses. Protocol 0: nothing is received.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a frame, Ethernet header first, out of an interface; past every XDP program.
    ///
    /// # Errors
    /// What `sendto(2)` says; `WouldBlock` and `ENOBUFS` when the interface is busy.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // SAFETY: integers and arrays of them; all 0 is valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = ifindex.cast_signed();
        let (data, length) = (frame.as_ptr().cast(), frame.len());
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: both buffers live and have the sizes given for the duration of the call, which only reads them.
        let sent =
            unsafe { libc::sendto(self.0.as_raw_fd(), data, length, 0, (&raw const address).cast(), size) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
