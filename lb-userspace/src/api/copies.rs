//! A capture on its way to the client: a pcapng file, or lines of JSON.

use std::{collections::BTreeMap, convert::Infallible, pin::Pin, time::Duration};

use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{MediaType, Operation, Response},
};
use axum::{
    Json,
    body::Body as HttpBody,
    http::header::{CONTENT_TYPE, LOCATION},
    response::{IntoResponse, Response as HttpResponse},
};
use futures_util::stream;
use tokio::time::Sleep;

use super::{
    access::Who,
    captured::{CaptureEnd, CaptureLine, shown},
    captures::names,
    router::Api,
    seats::Progress,
};
use crate::{
    capture::{
        Counts, Feed, Field, Names, Packet, Wanted,
        pcapng::{self, Statistics, Way, Written},
    },
    events::{Attribute, Kind, Notice},
    explain::Fate,
};

/// Media type of a file for Wireshark.
pub const PCAPNG: &str = "application/x-pcapng";
const LINES: &str = "application/x-ndjson";
/// Packets that are written at once.
const AT_ONCE: usize = 256;

/// Says for its life that a request is worked on.
pub(super) struct Busy(pub(super) Progress);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle();
    }
}

/// Tells subscribers that somebody captures, and on drop that it ended.
pub(super) struct Told {
    api: Api,
    who: String,
    about: String,
    captured: u64,
}

impl Told {
    pub(super) fn begin(api: &Api, who: Option<&Who>, about: &str) -> Self {
        let who = who.map(ToString::to_string).unwrap_or_default();
        let about = if about.is_empty() { "all" } else { about }.to_owned();
        tracing::info!(who, filter = about, "packets are captured");
        let told = Self { api: api.clone(), who, about, captured: 0 };
        told.publish(Notice::new(Kind::CaptureBegan));
        told
    }

    fn publish(&self, notice: Notice) {
        let notice =
            notice.with(Attribute::Who, self.who.clone()).with(Attribute::Reason, self.about.clone());
        self.api.events.publish(self.api.data.wall(), [notice]);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.publish(Notice::new(Kind::CaptureEnded).with(Attribute::Count, self.captured));
    }
}

/// What is written.
pub(super) enum Writing {
    /// A file, with the interfaces that it has: their ifindex, number, and packets.
    File(BTreeMap<u32, (u32, u64)>),
    Lines,
}

/// A capture on its way to the client.
pub(super) struct Stream {
    pub(super) feed: Feed,
    pub(super) wanted: Wanted,
    pub(super) names: Names,
    pub(super) snap: usize,
    pub(super) left: Option<u64>,
    pub(super) until: Pin<Box<Sleep>>,
    pub(super) ahead: Duration,
    /// Clock time of the first chunk.
    pub(super) began: Option<Duration>,
    pub(super) captured: u64,
    pub(super) writing: Writing,
    pub(super) about: String,
    pub(super) api: Api,
    pub(super) busy: Option<Busy>,
    pub(super) ended: bool,
    pub(super) told: Told,
}

impl Stream {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        if self.began.is_none() {
            if let Some(Busy(progress)) = &self.busy {
                progress.busy();
            }
            self.began = Some(Duration::ZERO);
            return Some(self.head());
        }
        let mut bytes = Vec::new();
        let reason = loop {
            let packet = tokio::select! {
                packet = self.feed.next() => packet,
                () = &mut self.until => break Some("duration"),
            };
            let Some(packet) = packet else { break Some("stopped") };
            self.take(&packet, &mut bytes);
            for _ in 0..AT_ONCE {
                if self.left == Some(0) {
                    break;
                }
                let Some(packet) = self.feed.try_next() else { break };
                self.take(&packet, &mut bytes);
            }
            if self.left == Some(0) {
                break Some("count");
            }
            if !bytes.is_empty() {
                break None;
            }
        };
        if let Some(reason) = reason {
            self.ended = true;
            bytes.extend(self.end(reason));
        }
        Some(bytes)
    }

    /// Writes a packet that the filter wants.
    fn take(&mut self, packet: &Packet, bytes: &mut Vec<u8>) {
        let is_new = packet.service().is_some_and(|id| !self.names.services.contains_key(&id))
            || packet.backend().is_some_and(|id| !self.names.backends.contains_key(&id))
            || !self.names.interfaces.contains_key(&packet.ingress());
        if is_new {
            let fresh = names(&self.api);
            // What is gone keeps its name.
            self.names.services.extend(fresh.services);
            self.names.backends.extend(fresh.backends);
            self.names.interfaces.extend(fresh.interfaces);
        }
        if !self.wanted.filter.accepts(|field: Field| packet.value(field, &self.names)) {
            return;
        }
        self.captured += 1;
        self.told.captured = self.captured;
        self.left = self.left.map(|left| left.saturating_sub(1));
        match &mut self.writing {
            Writing::File(interfaces) => {
                let about = (&self.names, self.snap, self.captured, self.ahead);
                file_packet(packet, interfaces, about, bytes);
            }
            Writing::Lines => {
                let line = CaptureLine::Packet(Box::new(shown(packet, &self.names, self.snap, self.ahead)));
                bytes.extend(written(&line));
            }
        }
    }

    fn head(&mut self) -> Vec<u8> {
        let Writing::File(interfaces) = &mut self.writing else { return Vec::new() };
        let application = concat!("lbd ", env!("CARGO_PKG_VERSION"));
        let mut bytes = pcapng::section(application, &format!("filter: {}", self.about));
        for (number, (ifindex, name)) in (0..).zip(&self.names.interfaces) {
            interfaces.insert(*ifindex, (number, 0));
            bytes.extend(pcapng::interface(name, self.snap as u32));
        }
        bytes
    }

    fn end(&self, reason: &str) -> Vec<u8> {
        let Counts { data_path, behind } = self.feed.counts();
        let end = CaptureEnd {
            reason: reason.to_owned(),
            looked_at: data_path.looked_at,
            captured: self.captured,
            over_rate: data_path.over_rate,
            lost: data_path.no_room + behind,
        };
        let Writing::File(interfaces) = &self.writing else { return written(&CaptureLine::End(end)) };
        let mut bytes = Vec::new();
        let now = self.api.data.now_of_packets() + self.ahead;
        for (interface, delivered) in interfaces.values() {
            // The data path counts for all interfaces together: that is in the statistics of the first.
            let mut found = Statistics { delivered: *delivered, ..Statistics::default() };
            let mut comment =
                "packets of this interface in the file, both copies of a packet counted".to_owned();
            if *interface == 0 {
                found.received = end.looked_at;
                found.accepted = data_path.wanted;
                found.dropped = end.over_rate;
                found.dropped_by_system = end.lost;
                comment = format!(
                    "ended: {reason}; of all interfaces together: looked at {}, captured {}, left out over the rate {}, lost {}",
                    end.looked_at, end.captured, end.over_rate, end.lost
                );
            }
            bytes.extend(pcapng::statistics(*interface, (now, now), &found, &comment));
        }
        bytes
    }
}

fn file_packet(
    packet: &Packet,
    interfaces: &mut BTreeMap<u32, (u32, u64)>,
    (names, snap, id, ahead): (&Names, usize, u64, Duration),
    bytes: &mut Vec<u8>,
) {
    let mut interface = |ifindex: u32, bytes: &mut Vec<u8>| {
        let next = interfaces.len() as u32;
        let (number, packets) = interfaces.entry(ifindex).or_insert_with(|| {
            bytes.extend(pcapng::interface(&names.interface(ifindex), snap as u32));
            (next, 0)
        });
        *packets += 1;
        *number
    };
    let action = match packet.verdict() {
        Fate::Aborted => 0,
        Fate::Drop => 1,
        Fate::Pass => 2,
        Fate::Transmit => 3,
        Fate::Redirect => 4,
    };
    let (at, comment) = (packet.at() + ahead, packet.describe(names));
    let (length, copied) = packet.arrived(snap);
    let mut written = Written {
        interface: interface(packet.ingress(), bytes),
        at,
        way: Way::In,
        length,
        bytes: copied,
        id,
        queue: packet.queue(),
        action: Some(action),
        comment: &comment,
    };
    bytes.extend(pcapng::packet(&written));
    if let Some((length, copied)) = packet.leaves(snap) {
        let egress = packet.egress().unwrap_or(packet.ingress());
        written.interface = interface(egress, bytes);
        (written.way, written.length, written.bytes, written.action) = (Way::Out, length, copied, None);
        bytes.extend(pcapng::packet(&written));
    }
}

fn written(line: &CaptureLine) -> Vec<u8> {
    // Only a map whose keys are no text could not be written.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// A stream of packets.
pub(super) struct Captured {
    pub(super) stream: Stream,
    pub(super) number: u64,
    pub(super) file: bool,
}

impl IntoResponse for Captured {
    fn into_response(self) -> HttpResponse {
        let kind = if self.file { PCAPNG } else { LINES };
        let place = format!("/v1/captures/{}", self.number);
        let chunks = stream::unfold(self.stream, async |mut stream| {
            let bytes = stream.next().await?;
            Some((Ok::<_, Infallible>(bytes), stream))
        });
        ([(CONTENT_TYPE, kind.to_owned()), (LOCATION, place)], HttpBody::from_stream(chunks)).into_response()
    }
}

impl OperationOutput for Captured {
    type Inner = CaptureLine;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        let mut response = Json::<CaptureLine>::operation_response(context, operation)?;
        let schema = response.content.swap_remove("application/json").unwrap_or_default();
        response.content.insert(LINES.to_owned(), schema);
        response.content.insert(PCAPNG.to_owned(), MediaType::default());
        Some(response)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let response = Self::operation_response(context, operation);
        response.map(|response| (Some(200), response)).into_iter().collect()
    }
}
