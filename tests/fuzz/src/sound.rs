//! Whether a frame is one that a balancer may send, and how to make one of bytes that were changed.

use lb_common::host::checksums;

use crate::{
    input::sum,
    reference::frame::{self, Packet, Piece, Read, TCP, UDP},
};

/// What is wrong with a frame that was sent.
///
/// `before` is the frame that it was made of, `source` the MAC address of the interface it leaves by. Checksums have to be right if they were.
#[must_use]
pub fn malformed(before: &[u8], after: &[u8], source: [u8; 6]) -> Option<String> {
    check(before, after, source).err()
}

fn check(before: &[u8], after: &[u8], source: [u8; 6]) -> Result<(), String> {
    let packet = packet_of(after).ok_or("there is no packet in it")?;
    if after[6..12] != source {
        return Err(format!("its source is {:02x?}", &after[6..12]));
    }
    if after[0] & 1 != 0 || after[..6] == [0; 6] {
        return Err(format!("its destination is {:02x?}", &after[..6]));
    }
    if packet.ttl == 0 {
        return Err("its TTL is 0".to_owned());
    }
    let length = after.len() - packet.network;
    if packet.length() > length {
        return Err(format!("it says that it has {} bytes, and has {length}", packet.length()));
    }
    if checksums(before).is_ok() {
        checksums(after)?;
    }
    Ok(())
}

/// The packet of a frame; `None`: it has none that is forwarded.
fn packet_of(bytes: &[u8]) -> Option<Packet> {
    let (network, is_v6) = frame::network_header(bytes).ok()??;
    match frame::packet(bytes, network, is_v6)? {
        Read::Packet(packet) => Some(packet),
        _ => None,
    }
}

/// Puts the checksums of a frame right, as far as it has a whole packet.
pub fn mend(bytes: &mut [u8]) {
    let Some(packet) = packet_of(bytes) else { return };
    let put =
        |bytes: &mut [u8], at: usize, value: u16| bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    if packet.is_v4() {
        put(bytes, packet.network + 10, 0);
        let header = !sum(&bytes[packet.network..packet.transport]);
        put(bytes, packet.network + 10, header);
    }
    if packet.piece != Piece::Whole {
        return;
    }
    let at = packet.transport
        + if packet.proto == TCP {
            16
        } else if packet.proto == UDP {
            6
        } else {
            2
        };
    put(bytes, at, 0);
    let covered = &bytes[packet.transport..packet.end];
    let mut pseudo = Vec::new();
    if packet.proto != 1 {
        let addresses = if packet.is_v4() {
            packet.network + 12..packet.network + 20
        } else {
            packet.network + 8..packet.network + 40
        };
        pseudo.extend_from_slice(&bytes[addresses]);
        pseudo.extend((covered.len() as u32).to_be_bytes());
        pseudo.extend([0, packet.proto]);
    }
    pseudo.extend_from_slice(covered);
    let check = match !sum(&pseudo) {
        0 if packet.proto == UDP => 0xffff,
        check => check,
    };
    put(bytes, at, check);
}

/// Exchanges source and destination, as an answer has them: stations, addresses and ports.
pub fn reverse(bytes: &mut [u8]) {
    let Some(packet) = packet_of(bytes) else { return };
    let mut swap =
        |a: usize, b: usize, length: usize| (0..length).for_each(|byte| bytes.swap(a + byte, b + byte));
    swap(0, 6, 6);
    let network = packet.network;
    if packet.is_v4() {
        swap(network + 12, network + 16, 4);
    } else {
        swap(network + 8, network + 24, 16);
    }
    if !packet.is_later() && !packet.is_icmp() {
        swap(packet.transport, packet.transport + 2, 2);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lb_common::host::FrameSpec;

    use super::*;

    fn frames() -> Vec<FrameSpec> {
        let ends = |last: u8| -> [SocketAddr; 2] {
            [([192, 0, 2, last], 80).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()], 80).into()]
        };
        let pairs = ends(1).into_iter().zip(ends(2));
        let mut all: Vec<FrameSpec> =
            pairs.flat_map(|(src, dst)| [FrameSpec::tcp(src, dst, 2), FrameSpec::udp(src, dst)]).collect();
        for frame in &mut all {
            (frame.smac, frame.dmac, frame.payload) = ([2; 6], [4; 6], vec![1, 2, 3]);
        }
        all
    }

    #[test]
    fn frames_that_are_right_are_sound_and_others_are_not() {
        for spec in frames() {
            let frame = spec.build();
            assert_eq!(malformed(&frame, &frame, [2; 6]), None);
            assert!(malformed(&frame, &frame, [3; 6]).is_some());
            assert!(malformed(&frame, &frame[..frame.len() - 1], [2; 6]).is_some());
            let mut broken = frame.clone();
            *broken.last_mut().unwrap() ^= 1;
            assert!(malformed(&frame, &broken, [2; 6]).is_some());
            assert!(FrameSpec { hop_limit: 0, ..spec }.build() != frame);
        }
    }

    #[test]
    fn a_mended_frame_is_the_one_that_was_built() {
        for spec in frames() {
            let frame = spec.build();
            let mut other = frame.clone();
            let check = spec.transport_offset()
                + if frame.len() > 14 + 40 + 20 || spec.protocol() == 6 { 16 } else { 6 };
            other[check.min(frame.len() - 4)] ^= 0xff;
            mend(&mut other);
            assert_eq!(checksums(&other), Ok(()));
        }
    }

    #[test]
    fn an_answer_has_the_ends_exchanged_and_right_checksums() {
        for spec in frames() {
            let mut frame = spec.build();
            reverse(&mut frame);
            checksums(&frame).unwrap();
            reverse(&mut frame);
            assert_eq!(frame, spec.build());
        }
    }
}
