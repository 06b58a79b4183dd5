//! An echo (RFC 792, RFC 4443).

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::connect::{unbound, unreached};
use super::udp::report_icmp_errors;
use super::{Deadline, Step, Way};
use crate::health::Outcome;

/// Bytes before the payload: type, code, checksum, identifier, sequence number.
const HEAD: usize = 8;
const PAYLOAD: usize = 32;
/// Longest IPv4 header, echo, and some.
const PACKET: usize = 512;

/// Sends an echo request and waits for its reply. `nonce` becomes its identifier, sequence number and payload.
pub(super) async fn probe(nonce: u64, way: Way, deadline: &mut Deadline) -> Step<()> {
    let (socket, raw) = open(way)?;
    report_icmp_errors(&socket, way).map_err(|error| not_tried(&error))?;
    socket.connect(SocketAddr::new(way.to.ip(), 0)).await.map_err(|error| unreached(&error))?;
    let request = request(nonce, way.to.is_ipv6());
    socket.send(&request).await.map_err(|error| unreached(&error))?;
    let mut packet = [0; PACKET];
    loop {
        let received = deadline.within("waiting for the echo reply", socket.recv(&mut packet)).await?;
        let length = received.map_err(|error| unreached(&error))?;
        // Raw sockets of IPv4 give the IP header too.
        let skipped = if raw && way.to.is_ipv4() { usize::from(packet[0] & 0xf) * 4 } else { 0 };
        if packet[..length].get(skipped..).is_some_and(|reply| answers(reply, &request, raw)) {
            return Ok(());
        }
    }
}

/// A socket of the backend's family; whether it is raw. Raw needs CAP_NET_RAW, the other one `net.ipv4.ping_group_range`.
fn open(way: Way) -> Step<(UdpSocket, bool)> {
    let (domain, protocol) =
        if way.to.is_ipv4() { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let (socket, raw) = match Socket::new(domain, Type::RAW, Some(protocol)) {
        Ok(socket) => (Ok(socket), true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            (Socket::new(domain, Type::DGRAM, Some(protocol)), false)
        }
        Err(error) => (Err(error), true),
    };
    let socket = socket.map_err(|error| not_tried(&error))?;
    if let Some(source) = way.source {
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| unbound(way, &error))?;
    }
    socket.set_nonblocking(true).map_err(|error| not_tried(&error))?;
    // To the runtime a socket of messages is like any other.
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| not_tried(&error))?;
    Ok((socket, raw))
}

fn not_tried(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Outcome::NotTried(
            "an ICMP echo needs CAP_NET_RAW, or this group in net.ipv4.ping_group_range".into(),
        ),
        _ => super::connect::not_tried(error),
    }
}

fn request(nonce: u64, v6: bool) -> [u8; HEAD + PAYLOAD] {
    let mut request = [0; HEAD + PAYLOAD];
    request[0] = if v6 { 128 } else { 8 };
    let bytes = nonce.to_be_bytes();
    request[4..8].copy_from_slice(&bytes[..4]);
    for (place, byte) in request[HEAD..].iter_mut().zip(bytes.iter().cycle()) {
        *place = *byte;
    }
    // The kernel fills in the one of ICMPv6, which covers addresses.
    if !v6 {
        let checksum = checksum(&request);
        request[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    request
}

/// Whether an ICMP message is the reply: its type, code, identifier, sequence number and payload. Sockets that are not raw have
/// an identifier of the kernel's.
fn answers(reply: &[u8], request: &[u8], raw: bool) -> bool {
    let wanted = if request[0] == 128 { 129 } else { 0 };
    reply.len() == request.len()
        && reply[..2] == [wanted, 0]
        && (!raw || reply[4..6] == request[4..6])
        && reply[6..] == request[6..]
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    // Folded twice, it has 16 bits.
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reply_to_the_very_request_counts() {
        for v6 in [false, true] {
            let request = request(0x0123_4567_89ab_cdef, v6);
            let mut reply = request;
            assert!(!answers(&reply, &request, true), "the request itself");
            reply[0] = if v6 { 129 } else { 0 };
            assert!(answers(&reply, &request, true));
            for (place, what) in [(1, "code"), (4, "identifier"), (7, "sequence number"), (20, "payload")] {
                let mut wrong = reply;
                wrong[place] ^= 1;
                assert!(!answers(&wrong, &request, true), "{what}");
            }
            assert!(!answers(&reply[..39], &request, true), "cut short");
        }
    }

    #[test]
    fn the_checksum_makes_the_sum_of_all_words_zero() {
        let request = request(u64::MAX / 3, false);
        assert_eq!(checksum(&request), 0);
    }
}
