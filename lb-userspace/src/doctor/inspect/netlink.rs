//! Requests to the kernel by netlink, one after the other, in the network namespace of the calling thread.

use std::io;

use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;
use rtnetlink::sys::{Socket, SocketAddr};

const HEADER: usize = 16;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// `NLM_F_ROOT | NLM_F_MATCH`.
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The bits of an attribute's type that are flags.
const TYPE_FLAGS: u16 = 0xc000;
/// Longest wait for the kernel, in seconds.
const PATIENCE: i64 = 2;

/// A socket to the kernel.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket of a protocol.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The answers to a request, each without its netlink header.
    pub(super) fn request(&mut self, kind: u16, dump: bool, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let flags = REQUEST | if dump { DUMP } else { ACK };
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0_u32.to_ne_bytes());
        message.extend_from_slice(body);
        self.socket.send(&message, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if self.take(&datagram, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Takes the messages of a datagram; whether they were the last ones.
    fn take(&self, mut datagram: &[u8], answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
        while let Some(length) = u32_at(datagram, 0) {
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let Some(message) = datagram.get(..length).filter(|_| length >= HEADER) else { break };
            let kind = u16_at(message, 4).unwrap_or(0);
            if u32_at(message, 8) == Some(self.sequence) {
                match kind {
                    DONE => return Ok(true),
                    ERROR => {
                        return match u32_at(message, HEADER).map(u32::cast_signed) {
                            Some(0) => Ok(true),
                            Some(error) => Err(io::Error::from_raw_os_error(-error)),
                            None => Err(io::ErrorKind::InvalidData.into()),
                        };
                    }
                    _ => answers.push(message[HEADER..].to_vec()),
                }
            }
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }
}

/// The attributes of a message as types and values.
pub(super) fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..length) else { break };
        found.push((kind & !TYPE_FLAGS, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The value of the first attribute of a type.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// Text of an attribute, without the zero at its end.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Appends an attribute.
pub(super) fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// The native-endian number at a place.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_written_as_they_are_read() {
        let mut message = Vec::new();
        push(&mut message, 1, b"eth0\0");
        push(&mut message, 0x8002, &7_u32.to_ne_bytes());
        assert_eq!(message.len(), 12 + 8);
        assert_eq!(attribute(&message, 1).map(text), Some("eth0".to_owned()));
        assert_eq!(attribute(&message, 2).and_then(|value| u32_at(value, 0)), Some(7));
        assert_eq!(attributes(&message[..6]), []);
        assert_eq!(attributes(&[0, 0, 0, 0, 1]), []);
    }
}
