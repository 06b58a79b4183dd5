//! Packets are sealed with AES-256-GCM. Each run of a daemon is a session with a random id, and its keys are derived from the shared one
//! by HKDF-SHA-256 (RFC 5869), so that the numbers of packets, which make the nonce, may begin anew.
//!
//! Header, in clear and authenticated: version (1 byte), id of the key (1), 0 (2), session of the sender (16), number of the packet (8,
//! big-endian). The sealed message and the tag (16) follow.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};

use super::{key::KEY_BYTES, message::MOST_BYTES, window::Window};

/// Version of the format.
const VERSION: u8 = 1;
/// Bytes of the header.
pub(super) const HEADER: usize = 28;
/// Bytes of the tag behind the message.
pub(super) const TAG: usize = 16;
/// Says what derived keys are for.
const PURPOSE: &[u8] = b"lb flow replication 1";

/// A run of a daemon.
pub(super) type SessionId = [u8; 16];

/// Why a packet was not taken. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// Too short for a packet.
    Length,
    /// Another version of the format.
    Version,
    /// A key that is not in the file.
    KeyId,
    /// A packet of this machine's own.
    Reflected,
    /// It was not made with the key.
    Authentication,
    /// It came before, or long after later ones.
    Replayed,
    /// It is of a session that did not prove to be the present one.
    Session,
    /// It is for another session of this machine.
    Addressee,
    /// Too many of unknown sessions at once.
    Rate,
    /// What is in it has no meaning.
    Message,
}

impl Rejection {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Length,
        Self::Version,
        Self::KeyId,
        Self::Reflected,
        Self::Authentication,
        Self::Replayed,
        Self::Session,
        Self::Addressee,
        Self::Rate,
        Self::Message,
    ];

    /// The name in API and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Version => "version",
            Self::KeyId => "key-id",
            Self::Reflected => "reflected",
            Self::Authentication => "authentication",
            Self::Replayed => "replayed",
            Self::Session => "session",
            Self::Addressee => "addressee",
            Self::Rate => "rate",
            Self::Message => "message",
        }
    }
}

/// What stands before a sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key_id: u8,
    pub(super) session: SessionId,
    pub(super) number: u64,
}

impl Header {
    /// Reads it.
    pub(super) fn read(packet: &[u8]) -> Result<Self, Rejection> {
        let Some((head, rest)) = packet.split_at_checked(HEADER) else { return Err(Rejection::Length) };
        if head[0] != VERSION || head[2..4] != [0; 2] {
            return Err(Rejection::Version);
        }
        if rest.len() < TAG {
            return Err(Rejection::Length);
        }
        let (mut session, mut number) = ([0; 16], [0; 8]);
        session.copy_from_slice(&head[4..20]);
        number.copy_from_slice(&head[20..28]);
        Ok(Self { key_id: head[1], session, number: u64::from_be_bytes(number) })
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..2].copy_from_slice(&[VERSION, self.key_id]);
        bytes[4..20].copy_from_slice(&self.session);
        bytes[20..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

/// The key of a session.
fn session_key(shared: &[u8; KEY_BYTES], key_id: u8, session: &SessionId) -> Option<LessSafeKey> {
    let id = [key_id];
    let info = [PURPOSE, &id[..]];
    let extracted = Salt::new(HKDF_SHA256, session).extract(shared);
    extracted.expand(&info, &AES_256_GCM).ok().map(|key| LessSafeKey::new(UnboundKey::from(key)))
}

/// Seals what is sent.
pub(super) struct Sealer {
    key: LessSafeKey,
    last: Header,
}

impl Sealer {
    /// `None` never happens: the lengths are those of the algorithms.
    pub(super) fn new(shared: &[u8; KEY_BYTES], key_id: u8, session: SessionId) -> Option<Self> {
        let key = session_key(shared, key_id, &session)?;
        Some(Self { key, last: Header { key_id, session, number: 0 } })
    }

    pub(super) fn session(&self) -> &SessionId {
        &self.last.session
    }

    /// The packet of a message that is appended by `write`, with a number that no other has; `None`: it is longer than the algorithm allows, or the
    /// numbers are used up.
    pub(super) fn seal(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Option<Vec<u8>> {
        self.last.number = self.last.number.checked_add(1)?;
        let header = self.last.bytes();
        let mut packet = Vec::with_capacity(MOST_BYTES);
        packet.extend_from_slice(&header);
        write(&mut packet);
        let nonce = self.last.nonce();
        let tag =
            self.key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut packet[HEADER..]).ok()?;
        packet.extend_from_slice(tag.as_ref());
        Some(packet)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("last", &self.last).finish_non_exhaustive()
    }
}

/// Opens what the other machine sends in a session.
pub(super) struct Opener {
    key: LessSafeKey,
    key_id: u8,
    session: SessionId,
    window: Window,
}

impl Opener {
    /// `None` never happens, as for [`Sealer::new`].
    pub(super) fn new(shared: &[u8; KEY_BYTES], header: &Header) -> Option<Self> {
        let key = session_key(shared, header.key_id, &header.session)?;
        Some(Self { key, key_id: header.key_id, session: header.session, window: Window::new() })
    }

    pub(super) fn session(&self) -> &SessionId {
        &self.session
    }

    /// Nothing that was sent before the last packet is opened any more.
    pub(super) fn close(&mut self) {
        self.window.close();
    }

    /// The message of a packet. A packet that is refused changes nothing.
    pub(super) fn open(&mut self, header: &Header, packet: &[u8]) -> Result<Vec<u8>, Rejection> {
        if header.key_id != self.key_id {
            return Err(Rejection::KeyId);
        }
        if !self.window.is_new(header.number) {
            return Err(Rejection::Replayed);
        }
        let (head, sealed) = packet.split_at_checked(HEADER).ok_or(Rejection::Length)?;
        let mut message = sealed.to_vec();
        let length = self
            .key
            .open_in_place(header.nonce(), Aad::from(head), &mut message)
            .map_err(|_| Rejection::Authentication)?
            .len();
        message.truncate(length);
        self.window.take(header.number);
        Ok(message)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("session", &self.session).finish_non_exhaustive()
    }
}
