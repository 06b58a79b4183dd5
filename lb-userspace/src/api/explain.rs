//! `POST /v1/explain`: what the data path would do with a packet.

use std::net::SocketAddr;

use axum::{Json, extract::State};
use lb_common::{
    abi::Selector,
    host::FrameSpec,
    wire::{ACK, FIN, RST, SYN},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{
    answer::Answer,
    convert,
    data::{DataSource, Explained, PacketAt},
    error::ApiError,
    explanation::{self, Explanation},
    extract::Body,
    handlers::blocking,
    router::Api,
    schema::{Endpoint, Word},
};
use crate::{
    explain::{Fate, FlowUse},
    model::{Protocol, keyword::keyword},
};

/// Explanations at once: each has the kernel verify the program.
static ONE: Semaphore = Semaphore::const_new(1);

/// Shortest and longest frame: what `BPF_PROG_TEST_RUN` takes.
const FRAME_MIN: usize = 14;
const FRAME_MAX: usize = 3000;
/// Length of a packet that is only described, from its network header on.
const LENGTH_DEFAULT: u16 = 60;
/// Source of a frame that is only described.
const SOME_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A TCP flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpFlag {
    /// Begins a connection.
    Syn,
    /// Acknowledges.
    Ack,
    /// Ends a connection.
    Fin,
    /// Ends it at once.
    Rst,
    /// Data is to be handed over.
    Psh,
}

keyword!(TcpFlag { Syn = "syn", Ack = "ack", Fin = "fin", Rst = "rst", Psh = "psh" });

impl TcpFlag {
    const PSH: u8 = 8;

    fn bit(self) -> u8 {
        match self {
            Self::Syn => SYN,
            Self::Ack => ACK,
            Self::Fin => FIN,
            Self::Rst => RST,
            Self::Psh => Self::PSH,
        }
    }
}

/// Body of `POST /v1/explain`: a frame, or a packet described.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packet {
    /// The interface it arrives at; the first one that the program is attached to if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// The whole frame in hexadecimal digits, from its Ethernet header on; instead of all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Hex>")]
    pub frame: Option<String>,
    /// Source address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Endpoint>")]
    pub source: Option<String>,
    /// Destination address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Endpoint>")]
    pub destination: Option<String>,
    /// Its protocol; `tcp` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<Protocol>>")]
    pub protocol: Option<String>,
    /// Its TCP flags; `syn` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Word<TcpFlag>>>")]
    pub flags: Option<Vec<String>>,
    /// Its TTL or hop limit; 64 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// Its length in bytes from the network header on; 60 if left out, or what its headers take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 2982))]
    pub length: Option<u16>,
    /// Id of its VLAN tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4095))]
    pub vlan: Option<u16>,
}

/// Schema of a frame.
struct Hex;

impl JsonSchema for Hex {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hex".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^([0-9a-fA-F]{2}){14,3000}$"})
    }
}

pub(super) async fn explain(State(api): State<Api>, Body(packet): Body<Packet>) -> Answer<Explanation> {
    let interfaces = blocking(&api, DataSource::interfaces).await?;
    let (ingress, assumed) = match &packet.ingress {
        Some(name) => {
            let known = interfaces.iter().find(|interface| interface.name == *name);
            let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
            let expected = || format!("the program is not on {name:?}; expected one of {}", names.join(", "));
            (known.ok_or_else(|| ApiError::invalid("ingress", expected()))?, false)
        }
        None => {
            let first = interfaces.first();
            let none = || ApiError::invalid("ingress", "the program is on no interface; see `lbctl status`");
            (first.ok_or_else(none)?, interfaces.len() > 1)
        }
    };
    let frame = frame(&packet)?;
    let at = PacketAt { ifindex: ingress.ifindex, frame: frame.bytes, described: frame.described };
    let _permit = ONE.acquire().await;
    let explained = blocking(&api, move |data| data.explain(&at)).await?;
    let name = |ifindex: u32| {
        let known = interfaces.iter().find(|interface| interface.ifindex == ifindex);
        known.map_or_else(|| format!("#{ifindex}"), |interface| interface.name.clone())
    };
    let mut notes = notes(&explained);
    if assumed {
        notes.push(format!("it is taken to arrive at {}; `ingress` names another interface", ingress.name));
    }
    Ok(Json(explanation::of(&api.control.snapshot(), &explained.trace, (ingress.ifindex, &name), notes)))
}

/// A frame, and whether it was only described.
struct Framed {
    bytes: Vec<u8>,
    described: bool,
}

fn frame(packet: &Packet) -> Result<Framed, ApiError> {
    let Some(hex) = &packet.frame else {
        return Ok(Framed { bytes: described(packet)?, described: true });
    };
    let others = Packet { ingress: packet.ingress.clone(), frame: packet.frame.clone(), ..Packet::default() };
    if *packet != others {
        return Err(ApiError::invalid(
            "frame",
            "a frame says all by itself; leave out what describes a packet",
        ));
    }
    let digits = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
    });
    let bytes: Option<Vec<u8>> = digits.collect();
    let bytes = bytes.filter(|bytes| (FRAME_MIN..=FRAME_MAX).contains(&bytes.len())).ok_or_else(|| {
        let message =
            format!("is no frame; expected {FRAME_MIN} to {FRAME_MAX} bytes as pairs of hexadecimal digits");
        ApiError::invalid("frame", message)
    })?;
    Ok(Framed { bytes, described: false })
}

fn described(packet: &Packet) -> Result<Vec<u8>, ApiError> {
    let socket = |path: &'static str, text: &Option<String>| -> Result<SocketAddr, ApiError> {
        let expected = "expected an address with a port such as 198.51.100.7:40000 or [2001:db8::7]:40000";
        let text = text
            .as_deref()
            .ok_or_else(|| ApiError::invalid(path, format!("is missing; {expected}, or a `frame`")))?;
        text.parse()
            .map_err(|_| ApiError::invalid(path, format!("{text:?} is no address with a port; {expected}")))
    };
    let (source, destination) =
        (socket("source", &packet.source)?, socket("destination", &packet.destination)?);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(ApiError::invalid("source", "is of another address family than the destination"));
    }
    let protocol = packet.protocol.as_deref().map(|word| convert::word("protocol", word)).transpose()?;
    let mut spec = match protocol.unwrap_or(Protocol::Tcp) {
        Protocol::Tcp => FrameSpec::tcp(source, destination, flags(packet)?),
        Protocol::Udp if packet.flags.is_some() => {
            return Err(ApiError::invalid("flags", "UDP has none; leave them out"));
        }
        Protocol::Udp => FrameSpec::udp(source, destination),
    };
    spec.smac = SOME_MAC;
    spec.hop_limit = packet.ttl.unwrap_or(spec.hop_limit);
    if let Some(vlan) = packet.vlan {
        if vlan > 4095 {
            return Err(ApiError::invalid("vlan", format!("{vlan} is no VLAN; expected 0 to 4095")));
        }
        spec.tags = vec![(0x8100, vlan)];
    }
    let headers = spec.packet().len();
    let length = usize::from(packet.length.unwrap_or(LENGTH_DEFAULT));
    if 18 + length > FRAME_MAX {
        let message = format!("{length} bytes are too many; expected at most {}", FRAME_MAX - 18);
        return Err(ApiError::invalid("length", message));
    }
    spec.payload = vec![0; length.saturating_sub(headers)];
    Ok(spec.build())
}

fn flags(packet: &Packet) -> Result<u8, ApiError> {
    let Some(flags) = &packet.flags else { return Ok(SYN) };
    let mut bits = flags.iter().map(|word| convert::word::<TcpFlag>("flags", word).map(TcpFlag::bit));
    bits.try_fold(0, |all, bit| Ok(all | bit?))
}

fn notes(explained: &Explained) -> Vec<String> {
    let Explained { trace, same_code } = explained;
    let mut notes = Vec::new();
    let begins = trace.flow == FlowUse::Begun || (trace.before.is_none() && trace.backend.is_some());
    let by = |selector: Selector| trace.selector == Some(selector as u8);
    if begins && (by(Selector::Random) || by(Selector::LeastFlows)) {
        notes.push("the backend is drawn by lot: the next packet like this may get another one".to_owned());
    } else if begins && by(Selector::Rotation) {
        notes.push(
            "the backends take turns: a connection that begins before this one takes this turn".to_owned(),
        );
    }
    if begins && trace.flow == FlowUse::None && matches!(trace.fate, Fate::Transmit | Fate::Redirect) {
        notes.push("it takes no entry: the flow begins with the backend's SYN-ACK".to_owned());
    }
    if !same_code {
        notes.push(
            "the code that ran is not that of the attached program: another object was loaded since"
                .to_owned(),
        );
    }
    notes
}
