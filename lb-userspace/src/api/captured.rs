//! What is asked for to capture, and what is told of packets.

use std::{
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    explanation::{PacketHeaders, headers},
    schema::{Duration as DurationText, Endpoint, Word},
};
use crate::{
    capture::{Names, Packet},
    explain::{Direction, Fate, FlowUse, Headers},
    model::Keyword,
};

/// Body of `POST /v1/captures`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCapture {
    /// Which packets, such as `service=web verdict=drop`; docs/capture.md describes it. Left out: all that are not handed to the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// One packet of so many, drawn by lot; 1, every packet, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sample: Option<u32>,
    /// Bytes of each frame; 128 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 14, max = 9216))]
    pub snap: Option<u32>,
    /// Most packets in a second; 10000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate: Option<u32>,
    /// It ends after so many packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub count: Option<u64>,
    /// It ends after so long; 60 s if left out, at most 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub duration: Option<String>,
}

/// A line of a capture that is no pcapng file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptureLine {
    /// A packet.
    Packet(Box<CapturedPacket>),
    /// There are no more.
    End(CaptureEnd),
}

/// A packet that was captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapturedPacket {
    /// When it arrived.
    pub time: String,
    /// The interface it arrived at.
    pub ingress: String,
    /// The interface it leaves by.
    pub egress: Option<String>,
    /// `pass`, `drop`, `transmit`, `redirect`.
    #[schemars(with = "Word<Fate>")]
    pub verdict: String,
    /// Why it was dropped; with another verdict, what its sender is told.
    pub reason: Option<String>,
    /// The service, by its name, or `#` and its id.
    pub service: Option<String>,
    /// The backend, likewise.
    pub backend: Option<String>,
    /// Which way it goes.
    #[schemars(with = "Option<Word<Direction>>")]
    pub direction: Option<String>,
    /// `hit`: it went by an entry of the flow tables; `begun`: it made one; `none`.
    #[schemars(with = "Word<FlowUse>")]
    pub flow: String,
    /// The client.
    #[schemars(with = "Option<Endpoint>")]
    pub client: Option<SocketAddr>,
    /// The VIP that it talks to.
    #[schemars(with = "Option<Endpoint>")]
    pub vip: Option<SocketAddr>,
    /// Bytes of the frame as it arrived.
    pub length: u32,
    /// The CPU that worked on it.
    pub cpu: u32,
    /// The receive queue that it came through.
    pub queue: u32,
    /// As it arrived, as far as it was copied.
    pub arrived: Option<PacketHeaders>,
    /// As it left.
    pub left: Option<PacketHeaders>,
}

/// What became of all packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureEnd {
    /// Why it ended: `count`, `duration` or `stopped`.
    pub reason: String,
    /// Packets that the data path looked at, the sampled ones.
    pub looked_at: u64,
    /// Packets that were told.
    pub captured: u64,
    /// Wanted, but left out as there were more in a second than may be.
    pub over_rate: u64,
    /// Wanted, but lost as there was no room for the copies or they were not read fast enough.
    pub lost: u64,
}

/// Answer of `GET /v1/captures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureList {
    /// Those under way, the oldest first.
    pub captures: Vec<CaptureInfo>,
}

/// A capture under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureInfo {
    /// Its number.
    pub capture: u64,
    /// Which packets.
    pub filter: String,
    /// Bytes of each frame.
    pub snap: u32,
    /// For how long.
    pub seconds: u64,
    /// Packets that the data path looked at.
    pub looked_at: u64,
    /// Packets that it was to copy.
    pub wanted: u64,
}

/// A packet with names, as far as it was copied: at most `snap` bytes. The wall clock is `ahead` of its own.
pub(super) fn shown(packet: &Packet, names: &Names, snap: usize, ahead: Duration) -> CapturedPacket {
    let read = |bytes: &[u8]| (!bytes.is_empty()).then(|| headers(&Headers::of(bytes)));
    let (length, arrived) = packet.arrived(snap);
    CapturedPacket {
        time: humantime::format_rfc3339_nanos(UNIX_EPOCH + packet.at() + ahead).to_string(),
        ingress: names.interface(packet.ingress()),
        egress: packet.egress().map(|ifindex| names.interface(ifindex)),
        verdict: packet.verdict().to_string(),
        reason: packet.reason().map(|reason| reason.as_str().to_owned()),
        service: packet.service().map(|id| names.service(id)),
        backend: packet.backend().map(|id| names.backend(id)),
        direction: packet.direction().map(|way| way.as_str().to_owned()),
        flow: packet.flow().to_string(),
        client: packet.client(),
        vip: packet.vip(),
        length,
        cpu: packet.cpu(),
        queue: packet.queue(),
        arrived: read(arrived),
        left: packet.leaves(snap).and_then(|(_, bytes)| read(bytes)),
    }
}
