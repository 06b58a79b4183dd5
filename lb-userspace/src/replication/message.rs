//! What is in a sealed packet, before it is sealed. Numbers are big-endian.
//!
//! Each message begins with the session it is for (16 bytes, 0: not known) and its kind (1).
//! - Hello (1): the challenge of its sender (16), the challenge that it answers (16, 0: none), id of its flow tables (8), and the id that
//!   it knew the receiver's by (8, 0: none).
//! - Frame (2): sweeps wanted so far (4), next batch expected (8), bits of the 128 after it that came (16), tick (4), number of the batch (8, 0: none),
//!   then the items of the batch: flows ([`Flow::write`]), begin of a sweep (kind 1: number of the sweep (4), wanted (4)) and its end
//!   (kind 2: number (4), whether nothing was lost (1)).

use super::{
    record::Flow,
    seal::{HEADER, Rejection, SessionId, TAG},
};

/// Most bytes of a packet, so that it fits into any network between two machines.
pub const MOST_BYTES: usize = 1400;
/// Bytes of a frame without items.
const FRAME: usize = 16 + 1 + 4 + 8 + 16 + 4 + 8;
/// Most bytes of the items of a batch.
pub(super) const MOST_ITEM_BYTES: usize = MOST_BYTES - HEADER - TAG - FRAME;

const HELLO_KIND: u8 = 1;
const FRAME_KIND: u8 = 2;
const BEGIN_KIND: u8 = 1;
const END_KIND: u8 = 2;

/// A random number that has to be said back.
pub(super) type Challenge = [u8; 16];

/// A message and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) to: SessionId,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Hello(Hello),
    Frame(Frame),
}

/// How machines get to know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) challenge: Challenge,
    pub(super) answer: Challenge,
    pub(super) tables: u64,
    pub(super) known: u64,
}

/// All else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Sweeps that the sender wants, since the session began.
    pub(super) wanted: u32,
    /// The batch that the sender expects next.
    pub(super) next: u64,
    /// Which of the batches after that one came.
    pub(super) came: u128,
    /// The sender's tick.
    pub(super) tick: u32,
    /// Number of the batch, from 1; 0: there is none.
    pub(super) batch: u64,
    /// Its items.
    pub(super) items: Vec<u8>,
}

/// An item of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Flow(Flow),
    Begin { sweep: u32, wanted: u32 },
    End { sweep: u32, is_intact: bool },
}

impl Item {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Flow(flow) => flow.bytes(),
            Self::Begin { .. } => 9,
            Self::End { .. } => 6,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Flow(flow) => flow.write(out),
            Self::Begin { sweep, wanted } => {
                out.push(BEGIN_KIND);
                out.extend_from_slice(&sweep.to_be_bytes());
                out.extend_from_slice(&wanted.to_be_bytes());
            }
            Self::End { sweep, is_intact } => {
                out.push(END_KIND);
                out.extend_from_slice(&sweep.to_be_bytes());
                out.push(u8::from(*is_intact));
            }
        }
    }

    /// All items of a batch.
    pub(super) fn read_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut items = Vec::new();
        while let Some(kind) = bytes.first() {
            items.push(match *kind {
                4 | 6 => Self::Flow(Flow::read(&mut bytes)?),
                BEGIN_KIND => {
                    let mut reader = Reader(&bytes[1..]);
                    let begin = Self::Begin { sweep: reader.u32()?, wanted: reader.u32()? };
                    bytes = reader.0;
                    begin
                }
                END_KIND => {
                    let mut reader = Reader(&bytes[1..]);
                    let end = Self::End { sweep: reader.u32()?, is_intact: reader.array::<1>()? != [0] };
                    bytes = reader.0;
                    end
                }
                _ => return None,
            });
        }
        Some(items)
    }
}

impl Message {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to);
        match &self.body {
            Body::Hello(Hello { challenge, answer, tables, known }) => {
                out.push(HELLO_KIND);
                out.extend_from_slice(challenge);
                out.extend_from_slice(answer);
                out.extend_from_slice(&tables.to_be_bytes());
                out.extend_from_slice(&known.to_be_bytes());
            }
            Body::Frame(Frame { wanted, next, came, tick, batch, items }) => {
                out.push(FRAME_KIND);
                out.extend_from_slice(&wanted.to_be_bytes());
                out.extend_from_slice(&next.to_be_bytes());
                out.extend_from_slice(&came.to_be_bytes());
                out.extend_from_slice(&tick.to_be_bytes());
                out.extend_from_slice(&batch.to_be_bytes());
                out.extend_from_slice(items);
            }
        }
    }

    /// Reads it; items of a batch are looked at too.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        read(bytes).ok_or(Rejection::Message)
    }
}

fn read(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader(bytes);
    let to = reader.array()?;
    let body = match reader.array::<1>()? {
        [HELLO_KIND] => {
            let (challenge, answer) = (reader.array()?, reader.array()?);
            let hello = Hello { challenge, answer, tables: reader.u64()?, known: reader.u64()? };
            reader.0.is_empty().then_some(Body::Hello(hello))?
        }
        [FRAME_KIND] => {
            let (wanted, next) = (reader.u32()?, reader.u64()?);
            let came = u128::from_be_bytes(reader.array()?);
            let (tick, batch, items) = (reader.u32()?, reader.u64()?, reader.0.to_vec());
            Item::read_all(&items).filter(|items| items.is_empty() == (batch == 0))?;
            Body::Frame(Frame { wanted, next, came, tick, batch, items })
        }
        _ => return None,
    };
    Some(Message { to, body })
}

/// Reads from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
