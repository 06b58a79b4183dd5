//! Files of packets in the format pcapng (draft-ietf-opsawg-pcapng), little-endian, with times in nanoseconds.
//!
//! A block is its type, its length, its content, and its length again; options follow the fixed part of the content. The writer gives blocks as
//! bytes, the reader takes what it writes apart again, wherever it is cut.

use std::time::Duration;

/// Block types.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// Byte order, as it is read by whoever has the same.
const MAGIC: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;

/// Codes of options (§3.5, §4.1 to 4.4 and 4.6).
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const INTERFACE_RESOLUTION: u16 = 9;
    pub(super) const PACKET_FLAGS: u16 = 2;
    pub(super) const PACKET_ID: u16 = 5;
    pub(super) const PACKET_QUEUE: u16 = 6;
    pub(super) const PACKET_VERDICT: u16 = 7;
    pub(super) const STATISTICS_START: u16 = 2;
    pub(super) const STATISTICS_END: u16 = 3;
    pub(super) const STATISTICS_RECEIVED: u16 = 4;
    pub(super) const STATISTICS_DROPPED: u16 = 5;
    pub(super) const STATISTICS_ACCEPTED: u16 = 6;
    pub(super) const STATISTICS_DROPPED_BY_SYSTEM: u16 = 7;
    pub(super) const STATISTICS_DELIVERED: u16 = 8;
}

/// Which way a packet went through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It arrived.
    In = 1,
    /// It left.
    Out = 2,
}

/// A packet to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// Number of the interface in this file, from 0.
    pub interface: u32,
    /// Wall-clock time since 1970.
    pub at: Duration,
    /// As it arrived, or as it left.
    pub way: Way,
    /// Length of the whole frame.
    pub length: u32,
    /// Its first bytes.
    pub bytes: &'a [u8],
    /// The same for all copies of one packet.
    pub id: u64,
    /// The receive queue.
    pub queue: u32,
    /// The XDP action.
    pub action: Option<u64>,
    /// A comment.
    pub comment: &'a str,
}

/// What became of the packets of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that were looked at.
    pub received: u64,
    /// Those that the filter accepted.
    pub accepted: u64,
    /// Those that are missing in the file as there were more than may be.
    pub dropped: u64,
    /// Those that are missing as there was no room for them.
    pub dropped_by_system: u64,
    /// Those in the file.
    pub delivered: u64,
}

/// A block of which the length is not known yet.
struct Block(Vec<u8>);

impl Block {
    fn new(kind: u32) -> Self {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(0_u32.to_le_bytes());
        Self(bytes)
    }

    fn word(&mut self, word: u32) {
        self.0.extend(word.to_le_bytes());
    }

    fn half(&mut self, half: u16) {
        self.0.extend(half.to_le_bytes());
    }

    /// Bytes, and as many zeros as make them whole words.
    fn padded(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// The two words of a time (§4.3): the upper one first.
    fn time(at: Duration) -> [u8; 8] {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let (upper, lower) = (((nanos >> 32) as u32).to_le_bytes(), (nanos as u32).to_le_bytes());
        let ([a, b, c, d], [e, f, g, h]) = (upper, lower);
        [a, b, c, d, e, f, g, h]
    }

    /// An option; what is longer than 65535 bytes is cut between two letters.
    fn text(&mut self, code: u16, text: &str) {
        let cut = text.floor_char_boundary(usize::from(u16::MAX));
        self.option(code, &text.as_bytes()[..cut]);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.half(code);
        self.half(u16::try_from(value.len()).unwrap_or(u16::MAX));
        self.padded(value);
    }

    fn end(mut self) -> Vec<u8> {
        self.option(option::END, &[]);
        let length = (self.0.len() as u32 + 4).to_le_bytes();
        self.0.splice(4..8, length);
        self.0.extend(length);
        self.0
    }
}

/// The begin of a file.
#[must_use]
pub fn section(application: &str, comment: &str) -> Vec<u8> {
    let mut block = Block::new(SECTION);
    block.word(MAGIC);
    block.half(1);
    block.half(0);
    // How long the section is nobody knows yet.
    block.word(u32::MAX);
    block.word(u32::MAX);
    block.text(option::COMMENT, comment);
    block.text(option::SECTION_APPLICATION, application);
    block.end()
}

/// An interface; they are numbered in their order. At most `snap` bytes of each frame are in the file.
#[must_use]
pub fn interface(name: &str, snap: u32) -> Vec<u8> {
    let mut block = Block::new(INTERFACE);
    block.half(ETHERNET);
    block.half(0);
    block.word(snap);
    block.text(option::INTERFACE_NAME, name);
    block.option(option::INTERFACE_RESOLUTION, &[9]);
    block.end()
}

/// A packet.
#[must_use]
pub fn packet(packet: &Written<'_>) -> Vec<u8> {
    let mut block = Block::new(PACKET);
    block.word(packet.interface);
    block.0.extend(Block::time(packet.at));
    block.word(u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX));
    block.word(packet.length);
    block.padded(packet.bytes);
    block.text(option::COMMENT, packet.comment);
    block.option(option::PACKET_FLAGS, &(packet.way as u32).to_le_bytes());
    block.option(option::PACKET_ID, &packet.id.to_le_bytes());
    block.option(option::PACKET_QUEUE, &packet.queue.to_le_bytes());
    if let Some(action) = packet.action {
        // 2: of an XDP program.
        let mut verdict = vec![2];
        verdict.extend(action.to_le_bytes());
        block.option(option::PACKET_VERDICT, &verdict);
    }
    block.end()
}

/// What became of the packets of an interface between two moments.
#[must_use]
pub fn statistics(
    interface: u32,
    (from, to): (Duration, Duration),
    found: &Statistics,
    comment: &str,
) -> Vec<u8> {
    let mut block = Block::new(STATISTICS);
    block.word(interface);
    block.0.extend(Block::time(to));
    block.text(option::COMMENT, comment);
    block.option(option::STATISTICS_START, &Block::time(from));
    block.option(option::STATISTICS_END, &Block::time(to));
    for (code, count) in [
        (option::STATISTICS_RECEIVED, found.received),
        (option::STATISTICS_DROPPED, found.dropped),
        (option::STATISTICS_ACCEPTED, found.accepted),
        (option::STATISTICS_DROPPED_BY_SYSTEM, found.dropped_by_system),
        (option::STATISTICS_DELIVERED, found.delivered),
    ] {
        block.option(code, &count.to_le_bytes());
    }
    block.end()
}

/// Takes a file apart as it comes.
#[derive(Debug, Default)]
pub struct Reader {
    rest: Vec<u8>,
}

/// What a reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A packet.
    Packet,
    /// Statistics of an interface, and their comment.
    Statistics(Statistics, String),
    /// Something else.
    Other,
}

/// Longest block that is read, in bytes.
const LONGEST: u32 = 1 << 20;

impl Reader {
    /// Takes bytes in, and gives the blocks that are complete with them; `None`: this is no such file.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Vec<Found>> {
        self.rest.extend_from_slice(bytes);
        let (mut found, mut read) = (Vec::new(), 0);
        while let Some(length) = number(&self.rest, read + 4) {
            if !(12..=LONGEST).contains(&length) || length % 4 != 0 {
                return None;
            }
            let Some(block) = self.rest.get(read..read + length as usize) else { break };
            found.push(examine(block)?);
            read += length as usize;
        }
        self.rest.drain(..read);
        Some(found)
    }

    /// Whether it ends with a whole block.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fn examine(block: &[u8]) -> Option<Found> {
    if number(block, block.len() - 4) != number(block, 4) {
        return None;
    }
    Some(match number(block, 0)? {
        PACKET => Found::Packet,
        STATISTICS => {
            let (mut found, mut comment) = (Statistics::default(), String::new());
            let mut at = 20;
            while let Some(head) = number(block, at).filter(|head| *head != 0) {
                let (code, length) = (head as u16, (head >> 16) as usize);
                let value = block.get(at + 4..at + 4 + length)?;
                let count = || Some(u64::from_le_bytes(value.try_into().ok()?));
                match code {
                    option::COMMENT => comment = String::from_utf8_lossy(value).into_owned(),
                    option::STATISTICS_RECEIVED => found.received = count()?,
                    option::STATISTICS_DROPPED => found.dropped = count()?,
                    option::STATISTICS_ACCEPTED => found.accepted = count()?,
                    option::STATISTICS_DROPPED_BY_SYSTEM => found.dropped_by_system = count()?,
                    option::STATISTICS_DELIVERED => found.delivered = count()?,
                    _ => {}
                }
                at += 4 + length.next_multiple_of(4);
            }
            Found::Statistics(found, comment)
        }
        _ => Found::Other,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
