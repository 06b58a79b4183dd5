//! `lbctl explain`.

use std::{fs, io::Read as _};

use hyper::Method;

use super::{
    args::ExplainArgs,
    commands::{Session, Text},
    failure::{Exit, Failure},
    recording::{self, Recorded},
    render,
};
use crate::api::{Explanation, Packet};

/// Most bytes of a file that are read.
const FILE_MAX: u64 = 64 << 20;

pub(super) async fn explain(session: &Session, args: ExplainArgs) -> Text {
    let (packet, notes) = packet(args)?;
    let mut explanation: Explanation = session.client.send(Method::POST, "/v1/explain", &packet).await?;
    explanation.notes.extend(notes);
    session.show(&explanation, |explanation| render::explanation(explanation, session.style))
}

/// The packet, and what has to be said of it.
fn packet(args: ExplainArgs) -> Result<(Packet, Vec<String>), Failure> {
    if let Some(path) = args.pcap {
        let frame = recording::frame(&read(&path)?, args.packet)
            .map_err(|problem| Failure::new(Exit::Invalid, format!("{}: {problem}", path.display())))?;
        let (notes, digits) = (frame.notes(), frame.bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        let Recorded { interface, .. } = frame;
        return Ok((of_frame(args.ingress.or(interface), digits), notes));
    }
    if let Some(hex) = args.hex {
        let digits = hex.chars().filter(|digit| !digit.is_whitespace() && *digit != ':').collect();
        return Ok((of_frame(args.ingress, digits), Vec::new()));
    }
    let destination = args.destination.unwrap_or_default();
    let (destination, protocol) = match destination.split_once('/') {
        Some((destination, protocol)) => (destination.to_owned(), Some(protocol.to_owned())),
        None => (destination, None),
    };
    let packet = Packet {
        ingress: args.ingress,
        frame: None,
        source: args.source.map(|source| source.to_string()),
        destination: Some(destination),
        protocol,
        flags: (!args.flags.is_empty()).then_some(args.flags),
        ttl: args.ttl,
        length: args.length,
        vlan: args.vlan,
    };
    Ok((packet, Vec::new()))
}

fn of_frame(ingress: Option<String>, digits: String) -> Packet {
    Packet { ingress, frame: Some(digits), ..Packet::default() }
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
