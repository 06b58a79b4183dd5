//! What is in a frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Port;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A frame.
#[derive(Debug)]
pub(crate) enum Read {
    /// Not for us: another station, no IP, another protocol, a routing header that is not used up.
    Foreign,
    /// It ends within a header, or a header cannot be.
    Broken,
    /// A packet.
    Packet(Packet),
}

/// Which part of a packet a frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// All of it.
    Whole,
    /// The first fragment.
    First,
    /// Another one.
    Later,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Offsets in the frame of the network header, of the transport header, and behind the packet.
    pub(crate) network: usize,
    pub(crate) transport: usize,
    pub(crate) end: usize,
    pub(crate) src_dst: (IpAddr, IpAddr),
    pub(crate) proto: u8,
    pub(crate) ttl: u8,
    pub(crate) piece: Piece,
    /// Identification of the packet whose fragment it is.
    pub(crate) id: u32,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    /// TCP flags.
    pub(crate) flags: u8,
}

impl Packet {
    pub(crate) fn src(&self) -> SocketAddr {
        SocketAddr::new(self.src_dst.0, self.sport)
    }

    pub(crate) fn dst(&self) -> SocketAddr {
        SocketAddr::new(self.src_dst.1, self.dport)
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.src_dst.0.is_ipv4()
    }

    pub(crate) fn is_icmp(&self) -> bool {
        matches!(self.proto, 1 | 58)
    }

    pub(crate) fn is_later(&self) -> bool {
        self.piece == Piece::Later
    }

    pub(crate) fn length(&self) -> usize {
        self.end - self.network
    }

    pub(crate) fn has(&self, flags: u8) -> bool {
        self.proto == TCP && self.flags & flags != 0
    }

    /// Whether it asks for a connection.
    pub(crate) fn is_syn(&self) -> bool {
        self.has(SYN) && !self.has(ACK | RST)
    }
}

/// Two bytes in network order.
pub(crate) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(half(bytes, at)?) << 16 | u32::from(half(bytes, at + 2)?))
}

/// Where the network header is, and whether it is IPv6's; `None`: it is no IP packet. An error: the frame ends before it.
pub(crate) fn network_header(frame: &[u8]) -> Result<Option<(usize, bool)>, ()> {
    let mut at = 12;
    for _ in 0..=2 {
        match half(frame, at).ok_or(())? {
            0x0800 => return Ok(Some((at + 2, false))),
            0x86dd => return Ok(Some((at + 2, true))),
            0x8100 | 0x88a8 => at += 4,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Reads a frame that arrived at an interface.
pub(crate) fn read(frame: &[u8], port: &Port) -> Read {
    if frame.len() < 14 {
        return Read::Broken;
    }
    let is_ours = port.macs.iter().any(|mac| frame.starts_with(mac));
    match network_header(frame) {
        // Tags are looked at first.
        Err(()) => Read::Broken,
        Ok(Some((at, is_v6))) if is_ours => packet(frame, at, is_v6).unwrap_or(Read::Broken),
        Ok(_) => Read::Foreign,
    }
}

/// The packet whose network header is there.
pub(crate) fn packet(frame: &[u8], at: usize, is_v6: bool) -> Option<Read> {
    let read = if is_v6 { ipv6(frame, at)? } else { ipv4(frame, at)? };
    let Read::Packet(mut packet) = read else { return Some(read) };
    if packet.piece == Piece::Later {
        return Some(Read::Packet(packet));
    }
    let bytes = &frame[packet.transport..packet.end];
    match packet.proto {
        TCP => {
            let offset = usize::from(*bytes.get(12)? >> 4) * 4;
            // Options may go on in the next fragment.
            if bytes.len() < 20 || offset < 20 || (offset > bytes.len() && packet.piece == Piece::Whole) {
                return None;
            }
            packet.flags = bytes[13];
        }
        UDP => {
            let length = usize::from(half(bytes, 4)?);
            if bytes.len() < 8 || length < 8 || (length > bytes.len() && packet.piece == Piece::Whole) {
                return None;
            }
        }
        _ if bytes.len() < 8 => return None,
        _ => return Some(Read::Packet(packet)),
    }
    (packet.sport, packet.dport) = (half(bytes, 0)?, half(bytes, 2)?);
    Some(Read::Packet(packet))
}

fn ipv4(frame: &[u8], at: usize) -> Option<Read> {
    let header = frame.get(at..at + 20)?;
    let length = usize::from(header[0] & 15) * 4;
    let total = usize::from(half(header, 2)?);
    if header[0] >> 4 != 4
        || length < 20
        || at + length > frame.len()
        || total < length
        || at + total > frame.len()
    {
        return None;
    }
    let (proto, fragment) = (header[9], half(header, 6)?);
    // A later one is told by its first.
    if !matches!(proto, 1 | TCP | UDP) && fragment & 0x1fff == 0 {
        return Some(Read::Foreign);
    }
    let address = |from: usize| {
        IpAddr::from(Ipv4Addr::new(header[from], header[from + 1], header[from + 2], header[from + 3]))
    };
    Some(Read::Packet(Packet {
        network: at,
        transport: at + length,
        end: at + total,
        src_dst: (address(12), address(16)),
        proto,
        ttl: header[8],
        piece: match (fragment & 0x1fff, fragment & 0x2000) {
            (0, 0) => Piece::Whole,
            (0, _) => Piece::First,
            _ => Piece::Later,
        },
        id: half(header, 4)?.into(),
        sport: 0,
        dport: 0,
        flags: 0,
    }))
}

fn ipv6(frame: &[u8], at: usize) -> Option<Read> {
    let header = frame.get(at..at + 40)?;
    let end = at + 40 + usize::from(half(header, 4)?);
    if header[0] >> 4 != 6 || end > frame.len() {
        return None;
    }
    let address = |from: usize| -> Option<IpAddr> {
        let octets: [u8; 16] = header.get(from..from + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).into())
    };
    let (mut next, mut transport, mut piece, mut id) = (header[6], at + 40, Piece::Whole, 0);
    let mut count = 0;
    // Hop-by-hop options, routing, fragment, destination options.
    while matches!(next, 0 | 43 | 44 | 60) {
        count += 1;
        let extension = frame.get(transport..end)?;
        if count > 6 || extension.len() < 8 {
            return None;
        }
        if next == 43 && extension[3] != 0 {
            return Some(Read::Foreign);
        }
        if next == 44 {
            let field = half(extension, 2)?;
            // A header without a fragment (RFC 6946) is one more header.
            piece = match (field >> 3, field & 1) {
                (0, 0) => piece,
                (0, _) => Piece::First,
                _ => Piece::Later,
            };
            id = word(extension, 4)?;
            transport += 8;
        } else {
            transport += (usize::from(extension[1]) + 1) * 8;
        }
        next = extension[0];
        if piece == Piece::Later {
            break;
        }
    }
    if transport > end {
        return None;
    }
    if !matches!(next, 58 | TCP | UDP) && piece != Piece::Later {
        return Some(Read::Foreign);
    }
    let (src_dst, ttl) = ((address(8)?, address(24)?), header[7]);
    Some(Read::Packet(Packet {
        network: at,
        transport,
        end,
        src_dst,
        proto: next,
        ttl,
        piece,
        id,
        sport: 0,
        dport: 0,
        flags: 0,
    }))
}
