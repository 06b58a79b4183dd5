//! Checks the checksums of a whole frame from scratch: outer headers, and the packet that an ICMP error quotes. Shares no code
//! with the pipeline.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One's complement sum of big-endian 16-bit words, folded; an odd last byte is padded with 0.
pub(super) fn ones_complement(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = u64::from(start);
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo-header of TCP, UDP and ICMPv6, not folded.
pub(super) fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, length: usize) -> u32 {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let addresses = [octets(src), octets(dst)].concat();
    u32::from(ones_complement(0, &addresses)) + u32::from(protocol) + length as u32
}

/// Checks every checksum of a frame.
///
/// # Errors
/// The first one that is wrong, or why the frame can't be read.
pub fn checksums(frame: &[u8]) -> Result<(), String> {
    let mut at = 12;
    let mut ether_type = word(frame, at)?;
    while ether_type == 0x8100 || ether_type == 0x88a8 {
        at += 4;
        ether_type = word(frame, at)?;
    }
    if ether_type != 0x0800 && ether_type != 0x86dd {
        return Err(format!("EtherType {ether_type:#06x}"));
    }
    packet(frame.get(at + 2..).ok_or("no packet")?, false)
}

/// Checks a packet from its network header on; a quoted one may end early, then its transport checksum can't be checked.
fn packet(bytes: &[u8], quoted: bool) -> Result<(), String> {
    let what = if quoted { "quoted" } else { "outer" };
    let outline = match bytes.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(bytes).map_err(|error| format!("{what} {error}"))?,
        Some(6) => ipv6(bytes).map_err(|error| format!("{what} {error}"))?,
        other => return Err(format!("{what} IP version {other:?}")),
    };
    let Outline { src, dst, protocol, transport, length, fragment } = outline;
    if fragment {
        return Ok(());
    }
    let Some(body) = bytes.get(transport..length) else {
        return if quoted { Ok(()) } else { Err("shorter than its length says".into()) };
    };
    let pseudo = if protocol == 1 { 0 } else { pseudo_header(src, dst, protocol, body.len()) };
    let unchecked = protocol == 17 && src.is_ipv4() && word(body, 6)? == 0;
    if matches!(protocol, 1 | 6 | 17 | 58) && !unchecked && ones_complement(pseudo, body) != 0xffff {
        return Err(format!("{what} checksum of protocol {protocol} is wrong"));
    }
    if protocol == 17 && src.is_ipv6() && word(body, 6)? == 0 {
        return Err(format!("{what} UDP checksum is 0, which IPv6 forbids"));
    }
    let is_error = match protocol {
        1 => matches!(body.first(), Some(3 | 11 | 12)),
        58 => matches!(body.first(), Some(1..=4)),
        _ => false,
    };
    match body.get(8..) {
        Some(quote) if is_error && !quoted && quote.len() >= 20 => packet(quote, true),
        _ => Ok(()),
    }
}

/// What a network header says.
struct Outline {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    transport: usize,
    length: usize,
    fragment: bool,
}

fn ipv4(bytes: &[u8]) -> Result<Outline, String> {
    let transport = usize::from(bytes[0] & 15) * 4;
    let header = bytes.get(..transport).filter(|header| header.len() >= 20).ok_or("IPv4 header is cut")?;
    if ones_complement(0, header) != 0xffff {
        return Err("IPv4 header checksum is wrong".into());
    }
    let address =
        |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]).into();
    Ok(Outline {
        src: address(12),
        dst: address(16),
        protocol: header[9],
        transport,
        length: usize::from(word(bytes, 2)?),
        fragment: word(bytes, 6)? & 0x3fff != 0,
    })
}

fn ipv6(bytes: &[u8]) -> Result<Outline, String> {
    let header: &[u8; 40] = bytes.first_chunk().ok_or("IPv6 header is cut")?;
    let address = |at: usize| {
        let octets: [u8; 16] = std::array::from_fn(|index| header[at + index]);
        IpAddr::from(Ipv6Addr::from(octets))
    };
    let (mut protocol, mut transport, mut fragment) = (header[6], 40, false);
    while matches!(protocol, 0 | 43 | 44 | 60) {
        let next = word(bytes, transport)?.to_be_bytes();
        if protocol == 44 {
            fragment |= word(bytes, transport + 2)? & 0xfff9 != 0;
            transport += 8;
        } else {
            transport += (usize::from(next[1]) + 1) * 8;
        }
        protocol = next[0];
    }
    let length = 40 + usize::from(word(bytes, 4)?);
    Ok(Outline { src: address(8), dst: address(24), protocol, transport, length, fragment })
}

fn word(bytes: &[u8], at: usize) -> Result<u16, String> {
    match bytes.get(at..at + 2) {
        Some(pair) => Ok(u16::from_be_bytes([pair[0], pair[1]])),
        None => Err(format!("ends before byte {}", at + 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FrameSpec;

    fn frames() -> Vec<Vec<u8>> {
        let v4 = |last| std::net::SocketAddr::from(([192, 0, 2, last], 80));
        let mut tcp = FrameSpec::tcp(v4(1), v4(2), 2);
        tcp.payload = vec![1, 2, 3];
        let mut error = FrameSpec::icmp(v4(3).ip(), v4(1).ip(), 3, 4, 1280);
        error.payload = tcp.packet();
        let v6 = |last| std::net::SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 80));
        vec![tcp.build(), error.build(), FrameSpec::udp(v6(1), v6(2)).build()]
    }

    #[test]
    fn every_changed_bit_of_a_packet_is_found() {
        for frame in frames() {
            checksums(&frame).unwrap();
            for bit in 14 * 8..frame.len() * 8 {
                let mut broken = frame.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                // Of the IPv6 header, only addresses and length are under a checksum.
                let unprotected = frame[12] == 0x86 && (bit / 8 < 18 || (20..22).contains(&(bit / 8)));
                assert!(checksums(&broken).is_err() || unprotected, "byte {} of {frame:02x?}", bit / 8);
            }
        }
    }

    #[test]
    fn a_checksum_of_rfc_1071_is_right() {
        assert_eq!(ones_complement(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }
}
