//! `lbctl capture`: copies of packets, before and after the data path worked on them.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    pin::pin,
};

use hyper::{Method, body::Bytes};

use super::{
    args::CaptureArgs,
    commands::{Session, Text},
    failure::{Exit, Failure},
    render,
    watch::interrupted,
};
use crate::{
    api::{CaptureEnd, CaptureLine, CaptureList, Client, Download, NewCapture, PCAPNG},
    capture::{
        Field,
        pcapng::{Found, Reader, Statistics},
    },
    events::Filter,
};

/// `application/x-ndjson`, and nothing else is wanted.
const LINES: &str = "application/x-ndjson";
/// Only the user who captures may read what others send.
const MODE: u32 = 0o600;
const FULL: u32 = lb_common::abi::MAX_SNAP;

/// Captures until it ends by itself, or is interrupted: then `lbd` is asked to end it, and tells what became of all packets.
///
/// # Errors
/// `lbd` refuses, the connection breaks, or what comes cannot be written.
pub(super) async fn capture(client: &Client, args: &CaptureArgs, json: bool) -> Result<(), Failure> {
    let wanted = wanted(args)?;
    let mut sink = match &args.write {
        Some(path) if path.as_os_str() == "-" && io::stdout().is_terminal() => {
            let message = "-w -: a terminal cannot show a pcapng file; expected a pipe (`| tshark -r -`), or no -w for text";
            return Err(Failure::new(Exit::Invalid, message));
        }
        Some(path) => Sink::File(Reader::default(), path, Vec::new()),
        None => Sink::Lines(Vec::new(), json),
    };
    let accept = if args.write.is_some() { PCAPNG } else { LINES };
    // Once for all: a signal that comes while nobody listens would be lost, or end this at once.
    let mut interruption = pin!(interrupted());
    let mut asked = false;
    let mut opening = pin!(client.download("/v1/captures", &wanted, accept));
    let mut download = loop {
        tokio::select! {
            biased;
            () = &mut interruption, if !asked => asked = true,
            opened = &mut opening => break opened?,
        }
    };
    if asked {
        stop(client, &download).await?;
    }
    let mut out: Box<dyn Write> = match &args.write {
        Some(path) if path.as_os_str() != "-" => Box::new(create(path)?),
        _ => Box::new(io::stdout()),
    };
    loop {
        let bytes = tokio::select! {
            bytes = download.next() => bytes,
            () = &mut interruption, if !asked => {
                asked = true;
                stop(client, &download).await?;
                continue;
            }
        };
        match bytes {
            None => return sink.finish(),
            Some(Err(problem)) => return Err(broken(&problem)),
            Some(Ok(bytes)) => {
                if !sink.take(&bytes, out.as_mut())? {
                    return Ok(());
                }
            }
        }
    }
}

/// The captures under way, or the end of one of them.
pub(super) async fn others(session: &Session, args: &CaptureArgs) -> Text {
    if let Some(number) = args.stop {
        session.client.call(Method::DELETE, &format!("/v1/captures/{number}"), Bytes::new()).await?;
        return Ok(if session.json { String::new() } else { format!("capture {number} ended\n") });
    }
    let list: CaptureList = session.client.get("/v1/captures").await?;
    session.show(&list, |list| render::captures(list, session.style))
}

/// Lets a capture end; one that has ended meanwhile is as good.
async fn stop(client: &Client, download: &Download) -> Result<(), Failure> {
    match client.call(Method::DELETE, &download.place, Bytes::new()).await {
        Err(crate::api::ClientError::Refused { status, .. }) if status.as_u16() == 404 => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// What is asked for; what is wrong with the filter is said here, before there is a connection.
fn wanted(args: &CaptureArgs) -> Result<NewCapture, Failure> {
    let filter = args.filter.join(" ");
    let _: Filter<Field> = filter.parse().map_err(|error| Failure::new(Exit::Invalid, format!("{error}")))?;
    Ok(NewCapture {
        filter: Some(filter),
        sample: args.sample,
        snap: if args.full { Some(FULL) } else { args.snap },
        rate: args.rate,
        count: args.count,
        duration: args.duration.clone(),
    })
}

fn create(path: &Path) -> Result<std::fs::File, Failure> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
    file.map_err(|error| Failure::new(Exit::General, format!("{}: {error}", path.display())))
}

fn broken(problem: &str) -> Failure {
    Failure::new(Exit::General, format!("{problem}; what came before is complete"))
}

/// Where packets go.
enum Sink<'a> {
    /// A file; what became of packets is in the blocks at its end.
    File(Reader, &'a Path, Vec<(Statistics, String)>),
    /// Lines, of which the last may not be complete yet.
    Lines(Vec<u8>, bool),
}

impl Sink<'_> {
    /// Takes bytes; false: nobody reads any more.
    fn take(&mut self, bytes: &[u8], out: &mut dyn Write) -> Result<bool, Failure> {
        let mut text = Vec::new();
        let written: &[u8] = match self {
            Self::File(reader, _, statistics) => {
                let found = reader.feed(bytes).ok_or_else(|| broken("what lbd sends is no pcapng file"))?;
                statistics.extend(found.into_iter().filter_map(|found| match found {
                    Found::Statistics(found, comment) => Some((found, comment)),
                    Found::Packet | Found::Other => None,
                }));
                bytes
            }
            Self::Lines(rest, json) => {
                rest.extend_from_slice(bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if *json {
                        text.extend(line);
                        continue;
                    }
                    match serde_json::from_slice(&line) {
                        Ok(CaptureLine::Packet(packet)) => {
                            text.extend(render::captured(&packet).into_bytes());
                        }
                        Ok(CaptureLine::End(end)) => eprint!("{}", summary(&end)),
                        Err(error) => {
                            let message = format!(
                                "a line of lbd is not understood ({error}); are `lbd` and `lbctl` of one version?"
                            );
                            return Err(Failure::new(Exit::General, message));
                        }
                    }
                }
                &text
            }
        };
        match out.write_all(written).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::new(Exit::General, format!("cannot write: {error}"))),
            Ok(()) => Ok(true),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(reader, path, statistics) => {
                let Some((_, comment)) = statistics.first().filter(|_| reader.is_at_end()) else {
                    return Err(broken("lbd ended in the middle"));
                };
                eprintln!("lbctl: {}: {comment}", path.display());
                Ok(())
            }
            Self::Lines(rest, _) if !rest.is_empty() => Err(broken("lbd ended in the middle")),
            Self::Lines(..) => Ok(()),
        }
    }
}

/// What became of all packets, for the standard error.
fn summary(end: &CaptureEnd) -> String {
    let CaptureEnd { reason, looked_at, captured, over_rate, lost } = end;
    let mut text = format!("lbctl: ended ({reason}): looked at {looked_at} packets, captured {captured}");
    if *over_rate > 0 {
        text += &format!(", left out {over_rate} over the rate (--rate)");
    }
    if *lost > 0 {
        text += &format!(", lost {lost} for which there was no room");
    }
    text + "\n"
}
