//! Adverts as bytes: version 3 (RFC 9568 section 5.2) and version 2 (RFC 3768 section 5.3).
//!
//! ```text
//! v3: version|type  vrid  priority  count  reserve|interval (12 bits, cs)   checksum  addresses
//! v2: version|type  vrid  priority  count  auth type  interval (8 bits, s)  checksum  addresses  authentication (8 bytes)
//! ```

mod addresses;
mod announcement;
mod envelope;
mod frame;
mod rejection;
#[cfg(test)]
mod tests;

use lb_common::checksum;
use thiserror::Error;

use super::{Interval, Priority, Version, Vrid};

pub use addresses::Addresses;
pub use announcement::{Mac, announcement};
pub use envelope::{Ends, Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL, open_v4};
pub use frame::{TRAFFIC_CLASS, group_frame};
pub use rejection::Rejection;

/// Bytes before the addresses.
const HEADER: usize = 8;
/// Bytes of version 2 behind them, with or without authentication.
const AUTHENTICATION: usize = 8;
/// Type of an advert; there is no other.
const ADVERT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const SIMPLE_TEXT: u8 = 1;

/// Who says so, in version 2. It protects against mistakes, not against anybody who can read a packet; RFC 3768 took it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Type 0.
    #[default]
    None,
    /// Type 1 of RFC 2338, keepalived's `auth_type PASS`: the password, filled up with zeros.
    SimpleText([u8; AUTHENTICATION]),
}

impl Authentication {
    /// A password of 1 to 8 bytes. As keepalived does, what is longer is cut.
    #[must_use]
    pub fn simple_text(password: &str) -> Self {
        let mut text = [0; AUTHENTICATION];
        text.iter_mut().zip(password.bytes()).for_each(|(to, from)| *to = from);
        Self::SimpleText(text)
    }
}

/// What the checksum of version 3 over IPv4 covers. Both are in use, and the RFCs were read both ways; version 2 never has a
/// pseudo-header, IPv6 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumForm {
    /// The message alone: RFC 9568 section 5.2.8.
    MessageOnly,
    /// Pseudo-header and message: RFC 5798 as keepalived and FRR read it.
    PseudoHeader,
}

/// An advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The version of its packet.
    pub version: Version,
    /// The virtual router.
    pub vrid: Vrid,
    /// The sender's.
    pub priority: Priority,
    /// Between the adverts of the sender.
    pub interval: Interval,
    /// What is backed up.
    pub addresses: Addresses,
    /// Of version 2.
    pub authentication: Authentication,
}

/// Why an advert can't be made.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unbuildable {
    /// A packet counts to 255.
    #[error("{0} addresses; expected 1 to 255")]
    Addresses(usize),
    /// Version 3 has 12 bits of centiseconds.
    #[error("interval {0}; version 3 has 10ms to 40.95s")]
    Interval(Interval),
    /// There is no IPv6 in version 2, and IPv4 addresses are not backed up over IPv6.
    #[error("addresses of another family than the packet has; expected the same, and IPv4 in version 2")]
    Family,
    /// Version 3 has none.
    #[error("authentication; version 3 has none")]
    Authentication,
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub advert: Advert,
    /// How its checksum was made.
    pub form: ChecksumForm,
}

impl Advert {
    /// Reads a message and checks what can be checked without knowing who receives it. What is to be ignored is: the four
    /// reserved bits of version 3, and the authentication data of type 0.
    ///
    /// # Errors
    /// The first thing that is wrong, in this order: version, type, length, checksum, VRID, count, authentication type, interval.
    pub fn parse(ends: &Ends, message: &[u8]) -> Result<Parsed, Rejection> {
        let found = message.len();
        let Some((header, rest)) = message.split_first_chunk::<HEADER>() else {
            return Err(Rejection::Length { found, expected: HEADER });
        };
        let [version_and_type, vrid, priority, count, fourth, fifth, ..] = *header;
        let is_v4 = matches!(ends, Ends::V4(..));
        let version = match version_and_type >> 4 {
            2 if is_v4 => Version::V2,
            3 => Version::V3,
            found => return Err(Rejection::UnknownVersion { found }),
        };
        let kind = version_and_type & 0x0f;
        if kind != ADVERT {
            return Err(Rejection::Type { found: kind });
        }
        let list = usize::from(count) * if is_v4 { 4 } else { 16 };
        let expected = HEADER + list + if version == Version::V2 { AUTHENTICATION } else { 0 };
        if found != expected {
            return Err(Rejection::Length { found, expected });
        }
        let form = checksum_form(version, ends, message)?;
        let vrid = Vrid::new(vrid).ok_or(Rejection::Vrid { found: 0 })?;
        if count == 0 {
            return Err(Rejection::NoAddress);
        }
        let (list, tail) = rest.split_at(list);
        let (authentication, interval) = match version {
            Version::V2 => (authentication(fourth, tail)?, Interval::from_seconds(fifth)),
            Version::V3 => {
                let centiseconds = u16::from_be_bytes([fourth & 0x0f, fifth]);
                (Authentication::None, Interval::from_centiseconds(centiseconds))
            }
        };
        let interval = interval.ok_or(Rejection::NoInterval)?;
        let addresses = Addresses::read(list, is_v4);
        let priority = Priority::new(priority);
        Ok(Parsed { advert: Self { version, vrid, priority, interval, addresses, authentication }, form })
    }

    /// The bytes of the message. `form` matters for version 3 over IPv4 only. An interval that is no whole number of seconds is
    /// rounded up in version 2.
    ///
    /// # Errors
    /// What a packet can't say.
    pub fn build(&self, ends: &Ends, form: ChecksumForm) -> Result<Vec<u8>, Unbuildable> {
        let fits = match (&self.addresses, ends) {
            (Addresses::V4(_), Ends::V4(..)) => true,
            (Addresses::V6(_), Ends::V6(..)) => self.version == Version::V3,
            _ => false,
        };
        if !fits {
            return Err(Unbuildable::Family);
        }
        let count = self.addresses.len();
        let count =
            u8::try_from(count).ok().filter(|count| *count > 0).ok_or(Unbuildable::Addresses(count))?;
        let [fourth, fifth] = self.type_and_interval()?;
        let version_and_type = self.version.number() << 4 | ADVERT;
        let mut message =
            vec![version_and_type, self.vrid.number(), self.priority.number(), count, fourth, fifth, 0, 0];
        self.addresses.write(&mut message);
        if self.version == Version::V2 {
            message.extend(match self.authentication {
                Authentication::None => [0; AUTHENTICATION],
                Authentication::SimpleText(text) => text,
            });
        }
        let sum = computed(&message, ends, form_of(self.version, ends).unwrap_or(form));
        message[6..8].copy_from_slice(&sum.to_ne_bytes());
        Ok(message)
    }

    /// Bytes 4 and 5.
    fn type_and_interval(&self) -> Result<[u8; 2], Unbuildable> {
        match (self.version, self.authentication) {
            (Version::V2, Authentication::None) => Ok([NO_AUTHENTICATION, self.interval.seconds()]),
            (Version::V2, Authentication::SimpleText(_)) => Ok([SIMPLE_TEXT, self.interval.seconds()]),
            (Version::V3, Authentication::None) if self.interval > Interval::LONGEST_V3 => {
                Err(Unbuildable::Interval(self.interval))
            }
            (Version::V3, Authentication::None) => Ok(self.interval.centiseconds().to_be_bytes()),
            (Version::V3, Authentication::SimpleText(_)) => Err(Unbuildable::Authentication),
        }
    }
}

/// What version 2 has behind its addresses.
fn authentication(kind: u8, data: &[u8]) -> Result<Authentication, Rejection> {
    match (kind, data.first_chunk()) {
        (NO_AUTHENTICATION, _) => Ok(Authentication::None),
        (SIMPLE_TEXT, Some(text)) => Ok(Authentication::SimpleText(*text)),
        _ => Err(Rejection::Authentication),
    }
}

/// The only form there is, except in version 3 over IPv4.
fn form_of(version: Version, ends: &Ends) -> Option<ChecksumForm> {
    match (version, ends) {
        (Version::V2, _) => Some(ChecksumForm::MessageOnly),
        (Version::V3, Ends::V6(..)) => Some(ChecksumForm::PseudoHeader),
        (Version::V3, Ends::V4(..)) => None,
    }
}

/// The form that makes the checksum right.
fn checksum_form(version: Version, ends: &Ends, message: &[u8]) -> Result<ChecksumForm, Rejection> {
    let forms = match form_of(version, ends) {
        Some(form) => [form, form],
        None => [ChecksumForm::MessageOnly, ChecksumForm::PseudoHeader],
    };
    let right = forms.into_iter().find(|form| computed(message, ends, *form) == 0);
    right.ok_or_else(|| {
        let mut without = message.to_vec();
        without[6..8].fill(0);
        Rejection::Checksum {
            found: u16::from_be_bytes([message[6], message[7]]),
            expected: u16::from_be(computed(&without, ends, forms[0])),
        }
    })
}

/// The checksum over all of a message, in wire order; 0 for one that has the right one in it.
fn computed(message: &[u8], ends: &Ends, form: ChecksumForm) -> u16 {
    let pseudo = match form {
        ChecksumForm::MessageOnly => 0,
        ChecksumForm::PseudoHeader => ends.pseudo_sum(message.len()),
    };
    !checksum::fold(checksum::sum(message) + pseudo)
}
