//! The answer of `POST /v1/explain`.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    abi::FlowState,
    wire::{ACK, FIN, ICMP, ICMPV6, RST, SYN},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    schema::{Endpoint, Word},
    traffic::Drop,
    view::{self, Names},
};
use crate::{
    control::Snapshot,
    explain::{Direction, Entry, Fate, FlowUse, Headers, Trace},
    model::Protocol,
};

/// Answer of `POST /v1/explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// `pass`: handed to the host; `drop`; `transmit`: sent out of the interface it came in at; `redirect`: sent out of another one;
    /// `aborted`: a defect.
    #[schemars(with = "Word<Fate>")]
    pub verdict: String,
    /// The interface it arrives at.
    pub ingress: String,
    /// The interface it leaves by.
    pub egress: Option<String>,
    /// Why it is dropped; where there is a verdict besides, what is sent tells the sender.
    pub drop: Option<Drop>,
    /// The service, by its name, or `#` and its id.
    pub service: Option<String>,
    /// The backend, likewise.
    pub backend: Option<String>,
    /// Which way it goes.
    #[schemars(with = "Option<Word<Direction>>")]
    pub direction: Option<String>,
    /// `hit`: it goes by an entry of the flow tables; `begun`: it makes one; `none`.
    #[schemars(with = "Word<FlowUse>")]
    pub flow: String,
    /// The entry that it found.
    pub entry_before: Option<FlowEntry>,
    /// The entry as it would be afterwards.
    pub entry_after: Option<FlowEntry>,
    /// As it arrives.
    pub arrives: PacketHeaders,
    /// As it leaves, or what is sent instead.
    pub leaves: Option<PacketHeaders>,
    /// The frame as it leaves, in hexadecimal digits.
    pub frame: Option<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// An entry of the flow tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowEntry {
    /// `established` or `embryonic`: without an answer yet.
    pub tier: String,
    /// State of the connection.
    pub state: String,
    /// Seconds since its last packet.
    pub idle_seconds: u64,
    /// The service, by its name, or `#` and its id.
    pub service: String,
    /// The backend, likewise.
    pub backend: String,
    /// Source with which its packets leave.
    #[schemars(with = "Endpoint")]
    pub source: SocketAddr,
    /// Destination with which they leave.
    #[schemars(with = "Endpoint")]
    pub destination: SocketAddr,
}

/// Headers of a frame, as far as it has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PacketHeaders {
    /// Source MAC address.
    pub source_mac: String,
    /// Destination MAC address.
    pub destination_mac: String,
    /// Ids of VLAN tags, the outer one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<u16>,
    /// Source, with its port if there is one.
    pub source: Option<String>,
    /// Destination, likewise.
    pub destination: Option<String>,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a number.
    pub protocol: Option<String>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// Length from the network header on, in bytes.
    pub length: Option<usize>,
    /// TCP flags, or type and code of ICMP, or where a fragment's part begins.
    pub details: Option<String>,
}

/// An explanation with names; `name` gives those of interfaces.
pub(super) fn of(
    snapshot: &Snapshot,
    trace: &Trace,
    (ingress, name): (u32, &dyn Fn(u32) -> String),
    notes: Vec<String>,
) -> Explanation {
    let names = Names::of(snapshot);
    let sent = matches!(trace.fate, Fate::Transmit | Fate::Redirect);
    Explanation {
        verdict: trace.fate.to_string(),
        ingress: name(ingress),
        egress: trace.egress.map(name),
        drop: trace.reason.map(|reason| view::drop_of(reason, 1)),
        service: trace.service.map(|service| names.service(service)),
        backend: trace.backend.map(|backend| names.pair(0, backend).1),
        direction: trace.direction.map(|direction| direction.to_string()),
        flow: trace.flow.to_string(),
        entry_before: trace.before.as_ref().map(|entry| flow_entry(&names, entry)),
        entry_after: trace.after.as_ref().map(|entry| flow_entry(&names, entry)),
        arrives: headers(&trace.arrived),
        leaves: sent.then(|| headers(&Headers::of(&trace.frame))),
        frame: sent.then(|| trace.frame.iter().map(|byte| format!("{byte:02x}")).collect()),
        notes,
    }
}

fn flow_entry(names: &Names<'_>, entry: &Entry) -> FlowEntry {
    let (service, backend) = names.pair(entry.service, entry.backend);
    FlowEntry {
        tier: if entry.established { "established" } else { "embryonic" }.to_owned(),
        state: FlowState::from_number(entry.state).map_or("unknown", FlowState::as_str).to_owned(),
        idle_seconds: entry.idle_seconds,
        service,
        backend,
        source: entry.source,
        destination: entry.destination,
    }
}

pub(super) fn headers(headers: &Headers) -> PacketHeaders {
    let mac = |octets: [u8; 6]| octets.map(|octet| format!("{octet:02x}")).join(":");
    let end = |address: IpAddr, port: Option<u16>| {
        port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string())
    };
    let is_packet = headers.addresses.is_some();
    PacketHeaders {
        source_mac: mac(headers.smac),
        destination_mac: mac(headers.dmac),
        vlans: headers.vlans.clone(),
        source: headers.addresses.map(|(source, _)| end(source, headers.ports.map(|ports| ports.0))),
        destination: headers.addresses.map(|(_, to)| end(to, headers.ports.map(|ports| ports.1))),
        protocol: is_packet.then(|| protocol(headers.protocol)),
        ttl: is_packet.then_some(headers.ttl),
        length: is_packet.then_some(headers.length),
        details: details(headers),
    }
}

fn protocol(number: u8) -> String {
    match (Protocol::from_number(number), number) {
        (Some(protocol), _) => protocol.to_string(),
        (_, ICMP) => "icmp".to_owned(),
        (_, ICMPV6) => "icmpv6".to_owned(),
        _ => number.to_string(),
    }
}

fn details(headers: &Headers) -> Option<String> {
    let flags = headers.flags.map(|flags| {
        let named = [(SYN, "syn"), (FIN, "fin"), (RST, "rst"), (8, "psh"), (ACK, "ack"), (32, "urg")];
        let set = named.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
        set.collect::<Vec<_>>().join(" ")
    });
    let icmp = headers.icmp.map(|(kind, code)| format!("type {kind} code {code}"));
    let fragment = headers.fragment.map(|offset| format!("fragment at {offset}"));
    let all: Vec<String> =
        [flags, icmp, fragment].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
