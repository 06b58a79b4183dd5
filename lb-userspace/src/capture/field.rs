//! The words of filters of captures.

use lb_common::abi::DropReason;

use crate::{
    events::{Shape, Vocabulary},
    explain::{Direction, Fate, FlowUse},
    model::{Keyword, keyword::keyword},
};

/// A property of a captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Name of the service.
    Service,
    /// Name of the backend.
    Backend,
    /// The client's address; the source of a packet of no service.
    Client,
    /// Its port.
    ClientPort,
    /// The VIP; the destination of a packet of no service.
    Vip,
    /// The port of the VIP.
    Port,
    /// `tcp`, `udp`, `icmp` or `icmpv6`.
    Protocol,
    /// [`Direction`].
    Direction,
    /// [`Fate`], but for `aborted`.
    Verdict,
    /// The drop reason, also of a packet whose sender was told instead.
    Reason,
    /// [`FlowUse`].
    Flow,
    /// The interface that it arrived at.
    Ingress,
    /// The interface that it leaves by.
    Egress,
    /// Bytes of the frame as it arrived.
    Length,
}

keyword!(Field {
    Service = "service",
    Backend = "backend",
    Client = "client",
    ClientPort = "client-port",
    Vip = "vip",
    Port = "port",
    Protocol = "protocol",
    Direction = "direction",
    Verdict = "verdict",
    Reason = "reason",
    Flow = "flow",
    Ingress = "ingress",
    Egress = "egress",
    Length = "length",
});

/// Protocols that a filter can name, with their numbers.
pub(super) const PROTOCOLS: [(&str, u8); 4] = [("tcp", 6), ("udp", 17), ("icmp", 1), ("icmpv6", 58)];
/// Verdicts, in the order of the data path's numbers.
pub(super) const VERDICTS: [Fate; 4] = [Fate::Pass, Fate::Drop, Fate::Transmit, Fate::Redirect];
/// Ways and uses of the flow table, in the order of their bits.
pub(super) const DIRECTIONS: [Option<Direction>; 3] =
    [None, Some(Direction::ToBackend), Some(Direction::ToClient)];
pub(super) const FLOWS: [FlowUse; 3] = [FlowUse::None, FlowUse::Hit, FlowUse::Begun];

impl Field {
    /// The words that it can have, if these are known.
    #[must_use]
    pub fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Protocol => Some(PROTOCOLS.map(|(word, _)| word).to_vec()),
            Self::Direction => Some(Direction::ALL.iter().map(|way| way.as_str()).collect()),
            Self::Verdict => Some(VERDICTS.map(Fate::as_str).to_vec()),
            Self::Reason => Some(DropReason::ALL.iter().map(|reason| reason.as_str()).collect()),
            Self::Flow => Some(FLOWS.map(FlowUse::as_str).to_vec()),
            _ => None,
        }
    }
}

impl Vocabulary for Field {
    fn shape(self) -> Shape {
        match self {
            Self::Client | Self::Vip => Shape::Address,
            Self::ClientPort | Self::Port | Self::Length => Shape::Number,
            Self::Service
            | Self::Backend
            | Self::Protocol
            | Self::Direction
            | Self::Verdict
            | Self::Reason
            | Self::Flow
            | Self::Ingress
            | Self::Egress => Shape::Text,
        }
    }

    fn check(self, word: &str) -> Result<(), String> {
        match self.words() {
            Some(words) if !words.contains(&word) => {
                Err(format!("{word:?} is not known; expected one of {}", words.join(", ")))
            }
            _ => Ok(()),
        }
    }
}
