//! Receiving many datagrams with one system call: `recvmmsg(2)`.

use std::{
    io, mem,
    net::Ipv6Addr,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
};

/// Bytes of control messages for each datagram: an `in6_pktinfo` and a hop limit, with their headers.
const CONTROL: usize = 64;
/// Bytes of a `cmsghdr`: its length, level and type.
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();

/// Room for datagrams, and those that were received last.
#[derive(Debug)]
pub struct Datagrams {
    bytes: Vec<u8>,
    longest: usize,
    control: Vec<u8>,
    received: Vec<Received>,
}

/// What there is of one datagram.
#[derive(Clone, Copy, Debug)]
struct Received {
    length: usize,
    control: usize,
    name: Option<libc::sockaddr_in6>,
}

/// A datagram. Of an IPv4 raw socket, it begins with the IP header; of an IPv6 one, there are only the addresses and the hop limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Who sent it, over IPv6.
    pub source: Option<Ipv6Addr>,
    /// Whom it was sent to, where the socket says so (`IPV6_RECVPKTINFO`).
    pub destination: Option<Ipv6Addr>,
    /// Its hop limit, where the socket says so (`IPV6_RECVHOPLIMIT`).
    pub hop_limit: Option<u8>,
}

impl Datagrams {
    /// Room for `count` datagrams of at most `longest` bytes; what is longer is cut off.
    #[must_use]
    pub fn new(count: usize, longest: usize) -> Self {
        Self {
            bytes: vec![0; count * longest],
            longest,
            control: vec![0; count * CONTROL],
            received: Vec::with_capacity(count),
        }
    }

    /// How many it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len().checked_div(self.longest).unwrap_or_default()
    }

    /// Takes datagrams that wait, and forgets those before. Waits for none.
    ///
    /// # Errors
    /// What `recvmmsg(2)` says; `WouldBlock` where none waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.received.clear();
        // SAFETY: integers and arrays of them; all 0 is valid.
        let mut names = vec![unsafe { mem::zeroed::<libc::sockaddr_in6>() }; self.capacity()];
        let mut parts: Vec<libc::iovec> = self
            .bytes
            .chunks_exact_mut(self.longest)
            .map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() })
            .collect();
        let places = names.iter_mut().zip(&mut parts).zip(self.control.chunks_exact_mut(CONTROL));
        let mut headers: Vec<libc::mmsghdr> = places
            .map(|((name, part), control)| {
                // SAFETY: integers and pointers, of which null is valid.
                let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
                header.msg_hdr.msg_name = ptr::from_mut(name).cast();
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                header.msg_hdr.msg_iov = part;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = CONTROL;
                header
            })
            .collect();
        let count = headers.len() as libc::c_uint;
        // SAFETY: each header points to a name, a part and room for control messages of the sizes given, which live and are used by nobody else
        // for the duration of the call; there are `count` headers, and no timeout.
        let received = unsafe {
            let flags = libc::MSG_DONTWAIT;
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, flags, ptr::null_mut())
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        self.received.extend(headers.iter().zip(&names).take(received).map(|(header, name)| Received {
            length: (header.msg_len as usize).min(self.longest),
            control: header.msg_hdr.msg_controllen.min(CONTROL),
            name: (i32::from(name.sin6_family) == libc::AF_INET6).then_some(*name),
        }));
        Ok(())
    }

    /// Those that were received last, the first one first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Datagram<'_>> {
        let places = self.bytes.chunks_exact(self.longest).zip(self.control.chunks_exact(CONTROL));
        self.received.iter().zip(places).map(|(received, (bytes, control))| {
            let mut datagram = Datagram {
                bytes: &bytes[..received.length],
                source: received.name.map(|name| name.sin6_addr.s6_addr.into()),
                destination: None,
                hop_limit: None,
            };
            read_control(&control[..received.control], &mut datagram);
            datagram
        })
    }
}

/// Reads control messages (cmsg(3)): a header, its data, and up to the next multiple of a word.
fn read_control(mut control: &[u8], datagram: &mut Datagram<'_>) {
    while let Some((length, rest)) = control.split_first_chunk::<8>() {
        let length = usize::from_ne_bytes(*length);
        let (Some((level, rest)), Some(data)) =
            (rest.split_first_chunk::<4>(), control.get(CONTROL_HEADER..length))
        else {
            return;
        };
        let Some((kind, _)) = rest.split_first_chunk::<4>() else { return };
        match (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                datagram.destination = data.first_chunk::<16>().map(|address| Ipv6Addr::from(*address));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let limit = data.first_chunk::<4>().map(|limit| i32::from_ne_bytes(*limit));
                datagram.hop_limit = limit.and_then(|limit| u8::try_from(limit).ok());
            }
            _ => {}
        }
        control = control.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{SocketAddr, UdpSocket},
        os::fd::AsFd as _,
    };

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;

    /// A socket that says to whom datagrams were sent, and one that sends to it.
    fn pair() -> (UdpSocket, UdpSocket) {
        let receiver = UdpSocket::bind("[::1]:0").unwrap();
        setsockopt(&receiver, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
        setsockopt(&receiver, sockopt::Ipv6RecvHopLimit, &true).unwrap();
        let sender = UdpSocket::bind("[::1]:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        (receiver, sender)
    }

    #[test]
    fn all_that_wait_are_received_with_their_addresses_and_hop_limits() {
        let (receiver, sender) = pair();
        let mut datagrams = Datagrams::new(3, 4);
        assert_eq!(datagrams.receive(receiver.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for text in ["a", "", "longer", "d"] {
            sender.send(text.as_bytes()).unwrap();
        }
        datagrams.receive(receiver.as_fd()).unwrap();
        let own = Some(Ipv6Addr::LOCALHOST);
        let of = |bytes| Datagram { bytes, source: own, destination: own, hop_limit: Some(64) };
        assert_eq!(datagrams.iter().collect::<Vec<_>>(), [of(b"a"), of(b""), of(b"long")]);
        datagrams.receive(receiver.as_fd()).unwrap();
        assert_eq!(datagrams.iter().collect::<Vec<_>>(), [of(b"d")], "and those before are forgotten");
        assert!(datagrams.receive(receiver.as_fd()).is_err());
        assert_eq!(datagrams.iter().len(), 0);
    }

    #[test]
    fn over_ipv4_there_are_only_bytes() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to: SocketAddr = receiver.local_addr().unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", to).unwrap();
        let mut datagrams = Datagrams::new(1, 1);
        datagrams.receive(receiver.as_fd()).unwrap();
        let only = Datagram { bytes: b"x", source: None, destination: None, hop_limit: None };
        assert_eq!(datagrams.iter().collect::<Vec<_>>(), [only]);
    }

    #[test]
    fn control_messages_that_are_cut_off_say_nothing() {
        let mut control = [0; 40];
        control[..8].copy_from_slice(&36_usize.to_ne_bytes());
        control[8..12].copy_from_slice(&libc::IPPROTO_IPV6.to_ne_bytes());
        control[12..16].copy_from_slice(&libc::IPV6_PKTINFO.to_ne_bytes());
        for length in 0..=control.len() {
            let mut datagram = Datagram { bytes: &[], source: None, destination: None, hop_limit: None };
            read_control(&control[..length], &mut datagram);
            assert_eq!(datagram.destination.is_some(), length >= 36, "{length}");
        }
        let mut datagram = Datagram { bytes: &[], source: None, destination: None, hop_limit: None };
        read_control(&[0; 32], &mut datagram);
        assert_eq!(datagram.destination, None, "a length of 0 ends it");
    }
}
