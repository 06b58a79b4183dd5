//! A packet that was captured.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_common::abi::{CapturedPacket, DropReason, Seen};

use super::{
    Field, Names,
    field::{DIRECTIONS, FLOWS, PROTOCOLS, VERDICTS},
};
use crate::{
    events::Value,
    explain::{Direction, Fate, FlowUse},
    model::Keyword,
    plan::address_of,
    sys::bpf::from_bytes,
};

/// Bytes of the head of a record.
const HEAD: usize = size_of::<CapturedPacket>();

/// A record of the data path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    head: CapturedPacket,
    /// The frame as it arrived, behind it the frame as it leaves.
    bytes: Vec<u8>,
}

impl Packet {
    /// Reads a record; `None` if it is none.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<Self> {
        let head = from_bytes::<CapturedPacket>(record.get(..HEAD)?)?;
        let bytes = record.get(HEAD..)?;
        let copied = head.arrived_copied as usize + head.leaves_copied as usize;
        Some(Self { head, bytes: bytes.get(..copied)?.to_vec() })
    }

    /// When it arrived, by the monotonic clock.
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.head.at)
    }

    /// Bit `n`: it is for the capture in element `n`.
    #[must_use]
    pub fn captures(&self) -> u32 {
        self.head.captures
    }

    /// The CPU that worked on it.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.head.cpu
    }

    /// The receive queue that it came through.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.head.queue
    }

    /// The frame as it arrived, its length, and as much of it as was copied, at most `snap` bytes.
    #[must_use]
    pub fn arrived(&self, snap: usize) -> (u32, &[u8]) {
        let copied = (self.head.arrived_copied as usize).min(snap);
        (self.head.arrived, self.bytes.get(..copied).unwrap_or_default())
    }

    /// The frame as it leaves, likewise; what is sent may be an answer to the sender. `None`: it does not leave.
    #[must_use]
    pub fn leaves(&self, snap: usize) -> Option<(u32, &[u8])> {
        let start = self.head.arrived_copied as usize;
        let copied = (self.head.leaves_copied as usize).min(snap);
        let sent = matches!(self.verdict(), Fate::Transmit | Fate::Redirect);
        sent.then(|| (self.head.leaves, self.bytes.get(start..start + copied).unwrap_or_default()))
    }

    /// Ifindex of the interface that it arrived at.
    #[must_use]
    pub fn ingress(&self) -> u32 {
        self.word(Seen::INGRESS)
    }

    /// Ifindex of the one that it leaves by.
    #[must_use]
    pub fn egress(&self) -> Option<u32> {
        Some(self.word(Seen::EGRESS)).filter(|ifindex| *ifindex != 0)
    }

    /// What the data path decided.
    #[must_use]
    pub fn verdict(&self) -> Fate {
        self.kind(0, &VERDICTS).unwrap_or(Fate::Aborted)
    }

    /// Why it was dropped, or what its sender is told.
    #[must_use]
    pub fn reason(&self) -> Option<DropReason> {
        DropReason::ALL.get((self.head.seen.reason as usize).checked_sub(1)?).copied()
    }

    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        self.kind(8, &DIRECTIONS).flatten()
    }

    /// What the flow table had to do with it.
    #[must_use]
    pub fn flow(&self) -> FlowUse {
        self.kind(16, &FLOWS).unwrap_or(FlowUse::None)
    }

    /// Id of the service.
    #[must_use]
    pub fn service(&self) -> Option<u16> {
        Some(self.word(Seen::SERVICE) as u16).filter(|id| *id != 0)
    }

    /// Id of the backend.
    #[must_use]
    pub fn backend(&self) -> Option<u32> {
        Some(self.word(Seen::BACKEND)).filter(|id| *id != 0)
    }

    /// The client with its port, 0 if there is none; the source of a packet of no service.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        let [a, b, ..] = self.word(Seen::PORTS).to_ne_bytes();
        Some(SocketAddr::new(self.address(Seen::CLIENT)?, u16::from_be_bytes([a, b])))
    }

    /// The VIP with its port, likewise; the destination.
    #[must_use]
    pub fn vip(&self) -> Option<SocketAddr> {
        let [.., c, d] = self.word(Seen::PORTS).to_ne_bytes();
        Some(SocketAddr::new(self.address(Seen::VIP)?, u16::from_be_bytes([c, d])))
    }

    /// IP protocol number.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        let [.., protocol, family] = self.word(Seen::SERVICE).to_le_bytes();
        (family != 0).then_some(protocol)
    }

    /// The value of a property; `None` if it has not got it.
    #[must_use]
    pub fn value(&self, field: Field, names: &Names) -> Option<Value> {
        let text = |word: &'static str| Value::from(word);
        match field {
            Field::Service => self.service().map(|id| names.service(id).into()),
            Field::Backend => self.backend().map(|id| names.backend(id).into()),
            Field::Client => self.client().map(|client| client.ip().into()),
            Field::ClientPort => self.client().map(|client| u64::from(client.port()).into()),
            Field::Vip => self.vip().map(|vip| vip.ip().into()),
            Field::Port => self.vip().map(|vip| u64::from(vip.port()).into()),
            Field::Protocol => {
                let number = self.protocol()?;
                let known = PROTOCOLS.iter().find(|(_, other)| *other == number);
                Some(known.map_or_else(|| number.to_string().into(), |(word, _)| text(word)))
            }
            Field::Direction => self.direction().map(|way| text(way.as_str())),
            Field::Verdict => Some(text(self.verdict().as_str())),
            Field::Reason => self.reason().map(|reason| text(reason.as_str())),
            Field::Flow => Some(text(self.flow().as_str())),
            Field::Ingress => Some(names.interface(self.ingress()).into()),
            Field::Egress => self.egress().map(|ifindex| names.interface(ifindex).into()),
            Field::Length => Some(u64::from(self.head.arrived).into()),
        }
    }

    /// All that is known of it, in the words of filters.
    #[must_use]
    pub fn describe(&self, names: &Names) -> String {
        let said = [
            Field::Verdict,
            Field::Reason,
            Field::Service,
            Field::Backend,
            Field::Direction,
            Field::Flow,
            Field::Ingress,
            Field::Egress,
        ];
        let said = said.iter().filter_map(|field| Some(format!("{field}={}", self.value(*field, names)?)));
        said.collect::<Vec<_>>().join(" ")
    }

    fn word(&self, place: usize) -> u32 {
        self.head.seen.words.get(place).copied().unwrap_or_default()
    }

    fn address(&self, place: usize) -> Option<IpAddr> {
        let words = [0, 1, 2, 3].map(|next| self.word(place + next));
        let [.., family] = self.word(Seen::SERVICE).to_le_bytes();
        address_of(words, family)
    }

    /// The one whose bit is set.
    fn kind<T: Copy>(&self, shift: u32, all: &[T]) -> Option<T> {
        let mut places = (shift..).zip(all);
        places.find(|(bit, _)| self.head.seen.kinds >> bit & 1 != 0).map(|(_, kind)| *kind)
    }
}
