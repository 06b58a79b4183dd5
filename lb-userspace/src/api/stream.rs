//! The client's side of a stream of server-sent events (WHATWG HTML §9.2.6).

use std::collections::VecDeque;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{
    client::Connection,
    feed::{Event, Lost},
};

/// Longest line that is read, in bytes.
const LINE_LIMIT: usize = 1 << 20;

/// A stream of events. It ends when the daemon ends it, about every two minutes, or is ended; then open another one from the number of the
/// last event on.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    decoder: Decoder,
    _connection: Connection,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Something happened.
    Event(Event),
    /// Something happened that is not told.
    Lost(Lost),
}

impl Stream {
    pub(super) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, decoder: Decoder::default(), _connection: connection }
    }

    /// Waits for the next message; `None`: the stream has ended, or cannot be understood any more.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.decoder.messages.pop_front() {
                return Some(message);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.decoder.feed(&data)?;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Decoder {
    line: Vec<u8>,
    kind: String,
    data: String,
    messages: VecDeque<Message>,
}

impl Decoder {
    /// Takes bytes in, cut anywhere; `None`: this is no stream of events.
    fn feed(&mut self, bytes: &[u8]) -> Option<()> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > LINE_LIMIT {
                    return None;
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = std::str::from_utf8(&line).ok()?;
            self.take(line.strip_suffix('\r').unwrap_or(line))?;
        }
        Some(())
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => self.data.push_str(value),
            // Comments, and the number, which the event has as well.
            _ => {}
        }
        Some(())
    }

    fn dispatch(&mut self) -> Option<()> {
        let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
        if data.is_empty() {
            return Some(());
        }
        self.messages.push_back(match kind.as_str() {
            "lost" => Message::Lost(serde_json::from_str(&data).ok()?),
            _ => Message::Event(serde_json::from_str(&data).ok()?),
        });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "event: lost\ndata: {\"at_most\":3}\n\n: still here\n\nid: 7\r\nevent: health-up\r\ndata: {\"sequence\":7,\"time\":\"t\",\"topic\":\"health\",\r\ndata: \"kind\":\"health-up\",\"attributes\":{\"service\":\"w\"}}\r\n\r\n";

    #[test]
    fn a_stream_is_understood_wherever_it_is_cut() {
        let mut whole = Decoder::default();
        whole.feed(TEXT.as_bytes()).unwrap();
        assert_eq!(whole.messages.len(), 2);
        assert_eq!(whole.messages[0], Message::Lost(Lost { at_most: Some(3) }));
        assert!(matches!(&whole.messages[1], Message::Event(event) if event.sequence == 7));
        for cut in 0..TEXT.len() {
            let mut parts = Decoder::default();
            parts.feed(&TEXT.as_bytes()[..cut]).unwrap();
            parts.feed(&TEXT.as_bytes()[cut..]).unwrap();
            assert_eq!(parts.messages, whole.messages, "{cut}");
        }
    }

    #[test]
    fn what_is_no_stream_of_events_ends_it() {
        assert_eq!(Decoder::default().feed(b"data: {}\n\n"), None);
        assert_eq!(Decoder::default().feed(b"data: \xff\n\n"), None);
        assert_eq!(Decoder::default().feed(&vec![b'a'; LINE_LIMIT + 1]), None);
    }
}
