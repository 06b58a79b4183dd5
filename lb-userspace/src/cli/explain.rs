//! `lbctl explain`.

use std::{fs, io::Read as _};

use hyper::Method;

use super::{
    args::ExplainArgs,
    commands::{Session, Text},
    failure::{Exit, Failure},
    render,
};
use crate::api::{Explanation, Packet};

/// Most bytes of a file that are read.
const FILE_MAX: u64 = 64 << 20;

pub(super) async fn explain(session: &Session, args: ExplainArgs) -> Text {
    let explanation: Explanation = session.client.send(Method::POST, "/v1/explain", &packet(args)?).await?;
    session.show(&explanation, |explanation| render::explanation(explanation, session.style))
}

fn packet(args: ExplainArgs) -> Result<Packet, Failure> {
    let ingress = args.ingress;
    if let Some(path) = args.pcap {
        let bytes = read(&path)?;
        let frame = frame(&bytes, args.packet)
            .map_err(|problem| Failure::new(Exit::Invalid, format!("{}: {problem}", path.display())))?;
        let digits = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok(Packet { ingress, frame: Some(digits), ..Packet::default() });
    }
    if let Some(hex) = args.hex {
        let digits = hex.chars().filter(|digit| !digit.is_whitespace() && *digit != ':').collect();
        return Ok(Packet { ingress, frame: Some(digits), ..Packet::default() });
    }
    let destination = args.destination.unwrap_or_default();
    let (destination, protocol) = match destination.split_once('/') {
        Some((destination, protocol)) => (destination.to_owned(), Some(protocol.to_owned())),
        None => (destination, None),
    };
    Ok(Packet {
        ingress,
        frame: None,
        source: args.source.map(|source| source.to_string()),
        destination: Some(destination),
        protocol,
        flags: (!args.flags.is_empty()).then_some(args.flags),
        ttl: args.ttl,
        length: args.length,
        vlan: args.vlan,
    })
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(FILE_MAX).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::new(Exit::Invalid, format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

/// A frame of a file in the format of libpcap (pcap-savefile(5)); the first one is 1.
fn frame(bytes: &[u8], number: u64) -> Result<&[u8], String> {
    const ETHERNET: u32 = 1;
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    let magic = word(0).ok_or("is too short for a file of frames")?;
    let number_of: fn([u8; 4]) -> u32 = match u32::from_le_bytes(magic) {
        0xa1b2_c3d4 | 0xa1b2_3c4d => u32::from_le_bytes,
        0xd4c3_b2a1 | 0x4d3c_b2a1 => u32::from_be_bytes,
        0x0a0d_0d0a => {
            return Err("is a pcapng file; expected pcap (`tshark -r FILE -F pcap -w FILE.pcap`)".to_owned());
        }
        _ => return Err("is not a pcap file, as `tcpdump -w` writes it".to_owned()),
    };
    let link = word(20).map(number_of).ok_or("ends in its header")? & 0x0fff_ffff;
    if link != ETHERNET {
        return Err(format!(
            "has frames of link type {link}; expected Ethernet (1): capture at one interface, not at `any`"
        ));
    }
    let (mut at, mut count) = (24, 0);
    while let Some(length) = word(at + 8).map(number_of) {
        let end = at + 16 + length as usize;
        count += 1;
        if count == number {
            let original = word(at + 12).map(number_of);
            if original.is_some_and(|original| original > length) {
                return Err(format!(
                    "has only the first {length} bytes of frame {number}; capture with `tcpdump -s 0`"
                ));
            }
            return bytes.get(at + 16..end).ok_or_else(|| format!("ends in frame {number}"));
        }
        at = end;
    }
    Err(format!("has {count} frames; there is no frame {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these frames.
    fn file(frames: &[&[u8]], link: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link] {
            bytes.extend(word.to_le_bytes());
        }
        for frame in frames {
            let length = frame.len() as u32;
            for word in [0, 0, length, length] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(*frame);
        }
        bytes
    }

    #[test]
    fn a_frame_of_a_file_is_found_by_its_number() {
        let file = file(&[&[1; 60], &[2; 14]], 1);
        assert_eq!(frame(&file, 1), Ok(&[1; 60][..]));
        assert_eq!(frame(&file, 2), Ok(&[2; 14][..]));
        assert_eq!(frame(&file, 3), Err("has 2 frames; there is no frame 3".to_owned()));
    }

    #[test]
    fn what_is_no_such_file_is_named() {
        let whole = file(&[&[1; 60]], 1);
        for (bytes, problem) in [
            (&whole[..3], "too short"),
            (&whole[..22], "ends in its header"),
            (&whole[..50], "ends in frame 1"),
            (&file(&[], 113)[..], "link type 113"),
            (b"\x0a\x0d\x0d\x0a....", "pcapng"),
            (b"GET / HTTP", "not a pcap file"),
        ] {
            let error = frame(bytes, 1).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
