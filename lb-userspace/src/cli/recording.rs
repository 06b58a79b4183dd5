//! Frames of files that somebody recorded: pcap (pcap-savefile(5)) and pcapng (draft-ietf-opsawg-pcapng), of either byte order.

use pcap_parser::{
    Block, EnhancedPacketBlock, PcapBlockOwned, PcapError, SimplePacketBlock, create_reader,
    traits::PcapNGPacketBlock as _,
};

/// Ethernet among the types of links; in a pcap file their upper four bits are about checksums of frames.
const ETHERNET: i32 = 1;
const LINK_TYPE: i32 = 0x0fff_ffff;
/// So many bytes have the headers of a frame: what follows may be missing.
const HEADERS: usize = 128;
/// Code of the option of a packet that says, in two bits, which way it went, and the value for out (§4.3.1 of the draft).
const FLAGS: u16 = 2;
const OUTBOUND: u32 = 2;
/// The first bytes of a pcapng file.
const SECTION: &[u8] = &[0x0a, 0x0d, 0x0d, 0x0a];
/// What a reader needs more than the file is long.
const ROOM: usize = 1024;

/// A frame of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// From its Ethernet header on, as long as it was on the wire: zeros where the file does not have it.
    pub(super) bytes: Vec<u8>,
    /// How many of them are in the file.
    pub(super) present: usize,
    /// The interface, where `lbd` wrote the file.
    pub(super) interface: Option<String>,
    /// It left there, and did not arrive.
    pub(super) left: bool,
}

impl Recorded {
    /// What one has to know of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.present < self.bytes.len() {
            notes.push(format!(
                "the file has only the first {} bytes of it; the others are taken for zeros",
                self.present
            ));
        }
        if self.left {
            notes.push(
                "the file says that it left there: this is what would become of it if it arrived".to_owned(),
            );
        }
        notes
    }
}

/// A frame of a file; the first one is 1.
pub(super) fn frame(bytes: &[u8], number: u64) -> Result<Recorded, String> {
    // With room for all of it, nothing that is incomplete has a rest.
    let mut reader =
        create_reader(bytes.len() + ROOM, bytes).map_err(|error| unreadable(bytes, &error).to_owned())?;
    let (mut said, mut count) = (Said::default(), 0);
    loop {
        let size = match reader.next() {
            Ok((size, block)) => {
                if let Some(found) = said.heed(&block) {
                    count += 1;
                    if count == number {
                        return said.recorded(&found, number);
                    }
                }
                size
            }
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|error| error.to_string())?;
                continue;
            }
            Err(PcapError::Eof) => {
                return Err(format!("has {count} frames; there is no frame {number}"));
            }
            Err(PcapError::UnexpectedEof | PcapError::BufferTooSmall) => {
                return Err(format!("ends in frame {}", count + 1));
            }
            Err(_) => return Err(format!("is damaged behind frame {count}")),
        };
        reader.consume(size);
    }
}

/// Why a file has no begin.
fn unreadable(bytes: &[u8], error: &PcapError<&[u8]>) -> &'static str {
    match error {
        _ if bytes.len() < SECTION.len() => "is too short for a file of frames",
        PcapError::Incomplete(_) => "ends in its header",
        _ if bytes.starts_with(SECTION) => "ends in its header, or is damaged there",
        _ => "is neither a pcap nor a pcapng file, as `tcpdump -w` and `lbctl capture -w` write them",
    }
}

/// What a file said so far.
#[derive(Debug, Default)]
struct Said {
    interfaces: Vec<Interface>,
    /// `lbd` wrote it.
    ours: bool,
}

#[derive(Debug)]
struct Interface {
    link: i32,
    /// Most bytes of a frame; 0: all.
    snap: usize,
    name: Option<String>,
}

/// A frame as it stands in the file.
struct Found<'a> {
    interface: usize,
    length: usize,
    bytes: &'a [u8],
    left: bool,
}

impl Said {
    /// Takes note of a block; the frame, if it is one.
    fn heed<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Option<Found<'a>> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.interfaces.push(Interface { link: header.network.0 & LINK_TYPE, snap: 0, name: None });
                None
            }
            PcapBlockOwned::Legacy(frame) => {
                Some(Found { interface: 0, length: frame.origlen as usize, bytes: frame.data, left: false })
            }
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                let application = section.shb_userappl().and_then(Result::ok);
                self.ours = application.is_some_and(|name| name.starts_with("lbd "));
                self.interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                let name = interface.if_name().and_then(Result::ok).map(str::to_owned);
                let (link, snap) = (interface.linktype.0, interface.snaplen as usize);
                self.interfaces.push(Interface { link, snap, name });
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => Some(enhanced(packet)),
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => Some(self.simple(packet)),
            PcapBlockOwned::NG(_) => None,
        }
    }

    /// A packet that says only how long it was: how much of it is there follows from its interface.
    fn simple<'a>(&self, packet: &'a SimplePacketBlock<'_>) -> Found<'a> {
        let snap = self.interfaces.first().map(|interface| interface.snap).filter(|snap| *snap > 0);
        let bytes = packet.packet_data();
        let bytes = &bytes[..bytes.len().min(snap.unwrap_or(usize::MAX))];
        Found { interface: 0, length: packet.origlen as usize, bytes, left: false }
    }

    fn recorded(&self, found: &Found<'_>, number: u64) -> Result<Recorded, String> {
        let Some(interface) = self.interfaces.get(found.interface) else {
            return Err(format!("says nothing of the interface of frame {number}"));
        };
        if interface.link != ETHERNET {
            return Err(format!(
                "has frames of link type {}; expected Ethernet (1): capture at one interface, not at `any`",
                interface.link
            ));
        }
        let present = found.bytes.len();
        if present < found.length && present < HEADERS {
            return Err(format!(
                "has only the first {present} of {} bytes of frame {number}, expected at least {HEADERS}; capture with `tcpdump -s 0`",
                found.length
            ));
        }
        let mut bytes = found.bytes.to_vec();
        bytes.resize(present.max(found.length), 0);
        let name = interface.name.clone().filter(|_| self.ours && !found.left);
        Ok(Recorded { bytes, present, interface: name, left: found.left })
    }
}

fn enhanced<'a>(packet: &'a EnhancedPacketBlock<'_>) -> Found<'a> {
    let flags = packet.options.iter().find(|option| option.code.0 == FLAGS);
    let flags = flags.and_then(|option| option.value().first_chunk().copied());
    let number = if packet.big_endian() { u32::from_be_bytes } else { u32::from_le_bytes };
    Found {
        interface: packet.if_id as usize,
        length: packet.origlen as usize,
        bytes: packet.packet_data(),
        left: flags.map(number).is_some_and(|flags| flags & 3 == OUTBOUND),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::capture::pcapng::{self, Way, Written};

    /// A number in a byte order.
    type Order = fn(u32) -> [u8; 4];
    const ORDERS: [Order; 2] = [u32::to_le_bytes, u32::to_be_bytes];

    /// A pcap file with these frames; each was so many bytes longer.
    fn pcap(order: Order, frames: &[&[u8]], link: u32, longer: u32) -> Vec<u8> {
        let version = if order(1)[0] == 1 { 0x0004_0002 } else { 0x0002_0004 };
        let mut bytes: Vec<u8> = [0xa1b2_c3d4, version, 0, 0, 65_535, link].map(order).concat();
        for frame in frames {
            let length = frame.len() as u32;
            bytes.extend([0, 0, length, length + longer].map(order).concat());
            bytes.extend(*frame);
        }
        bytes
    }

    /// A pcapng block.
    fn block(order: Order, kind: u32, content: &[u8]) -> Vec<u8> {
        let length = order(content.len() as u32 + 12);
        [&order(kind)[..], &length, content, &length].concat()
    }

    /// A pcapng file with one interface, a frame in a simple packet, and the same with a direction.
    fn pcapng(order: Order, frame: &[u8], flags: u32) -> Vec<u8> {
        let length = frame.len() as u32;
        let padded = [frame, &vec![0; frame.len().next_multiple_of(4) - frame.len()]].concat();
        let version = if order(1)[0] == 1 { 1 } else { 0x0001_0000 };
        let link = if order(1)[0] == 1 { 1 } else { 0x0001_0000 };
        let option = if order(1)[0] == 1 { 0x0004_0002 } else { 0x0002_0004 };
        let section = [0x1a2b_3c4d, version, u32::MAX, u32::MAX].map(order).concat();
        let enhanced = [&[0, 0, 0, length, length].map(order).concat()[..], &padded].concat();
        let enhanced = [&enhanced[..], &[option, flags, 0].map(order).concat()].concat();
        [
            block(order, 0x0a0d_0d0a, &section),
            block(order, 1, &[link, 0].map(order).concat()),
            block(order, 3, &[&order(length)[..], &padded].concat()),
            block(order, 5, &[0; 12]),
            block(order, 6, &enhanced),
        ]
        .concat()
    }

    fn whole(bytes: &[u8]) -> Recorded {
        Recorded { bytes: bytes.to_vec(), present: bytes.len(), interface: None, left: false }
    }

    #[test]
    fn a_frame_of_a_pcap_file_is_found_by_its_number_in_either_byte_order() {
        for order in ORDERS {
            let file = pcap(order, &[&[1; 60], &[2; 14]], 0x1000_0001, 0);
            assert_eq!(frame(&file, 1), Ok(whole(&[1; 60])));
            assert_eq!(frame(&file, 2), Ok(whole(&[2; 14])));
            assert_eq!(frame(&file, 3), Err("has 2 frames; there is no frame 3".to_owned()));
        }
    }

    #[test]
    fn a_frame_of_a_pcapng_file_is_found_by_its_number_in_either_byte_order() {
        for order in ORDERS {
            let file = pcapng(order, &[7; 61], 2);
            assert_eq!(frame(&file, 1), Ok(whole(&[7; 61])));
            assert_eq!(frame(&file, 2), Ok(Recorded { left: true, ..whole(&[7; 61]) }));
            assert_eq!(frame(&pcapng(order, &[7; 61], 1), 2), Ok(whole(&[7; 61])));
            assert_eq!(frame(&file, 3), Err("has 2 frames; there is no frame 3".to_owned()));
            // A second section begins anew.
            let twice = [file.clone(), pcapng(order, &[8; 20], 0)].concat();
            assert_eq!(frame(&twice, 4), Ok(whole(&[8; 20])));
        }
    }

    #[test]
    fn what_lbd_captured_says_where_it_arrived_and_what_is_missing() {
        let mut packet = Written {
            interface: 1,
            at: Duration::ZERO,
            way: Way::In,
            length: 1500,
            bytes: &[3; 128],
            id: 1,
            queue: 0,
            action: Some(4),
            comment: "verdict=redirect",
        };
        let mut file = pcapng::section("lbd 1.2.3", "filter: all");
        file.extend(["eth0", "eth1"].map(|name| pcapng::interface(name, 128)).concat());
        file.extend(pcapng::packet(&packet));
        packet.way = Way::Out;
        file.extend(pcapng::packet(&packet));
        let found = frame(&file, 1).unwrap();
        assert_eq!((found.bytes.len(), found.present, found.left), (1500, 128, false));
        assert_eq!(found.interface.as_deref(), Some("eth1"));
        assert!(found.bytes[128..].iter().all(|byte| *byte == 0));
        assert!(found.notes()[0].contains("only the first 128 bytes"), "{:?}", found.notes());
        let found = frame(&file, 2).unwrap();
        assert_eq!((found.left, found.interface.clone()), (true, None));
        assert!(found.notes()[1].contains("left there"), "{:?}", found.notes());
    }

    #[test]
    fn what_is_no_such_file_is_named() {
        let file = pcap(u32::to_le_bytes, &[&[1; 60]], 1, 0);
        let newer = pcapng(u32::to_le_bytes, &[1; 60], 0);
        for (bytes, problem) in [
            (&file[..0], "too short"),
            (&file[..3], "too short"),
            (&file[..22], "ends in its header"),
            (&file[..30], "ends in frame 1"),
            (&file[..50], "ends in frame 1"),
            (&pcap(u32::to_le_bytes, &[&[1; 60]], 113, 0)[..], "link type 113"),
            (&pcap(u32::to_le_bytes, &[&[1; 60]], 1, 1)[..], "only the first 60 of 61 bytes"),
            (&newer[..20], "ends in its header"),
            (&newer[..100], "ends in frame 1"),
            (b"GET / HTTP", "neither a pcap nor a pcapng file"),
        ] {
            let error = frame(bytes, 1).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        // A length that the file does not have, and lengths that contradict each other.
        let mut long = file.clone();
        long[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(frame(&long, 1), Err("ends in frame 1".to_owned()));
        let mut damaged = newer;
        let last = damaged.len() - 4;
        damaged[last..].copy_from_slice(&[0; 4]);
        assert_eq!(frame(&damaged, 2), Err("is damaged behind frame 1".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(bytes: Vec<u8>, at: proptest::sample::Index, value: u8, number in 1..4_u64) {
            let _ = frame(&bytes, number);
            for order in ORDERS {
                let mut file = pcapng(order, &bytes, 1);
                let place = at.index(file.len());
                file[place] = value;
                let _ = frame(&file, number);
                let _ = frame(&file[..place], number);
            }
        }
    }
}
